-- Concurrency of runs: which drivers hold a place under their key, running or not, from their first claim to their end.

CREATE INDEX jobs_places ON jobs (concurrency_key, state)
  WHERE concurrency_key IS NOT NULL AND kind = 'workflow' AND started_at IS NOT NULL AND finished_at IS NULL;
