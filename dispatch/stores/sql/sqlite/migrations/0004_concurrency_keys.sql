-- Concurrency keys: jobs of which only so many run at once, and the flag that keeps those out of the claim's index
-- whose key is full.

ALTER TABLE jobs ADD COLUMN concurrency_key TEXT;
ALTER TABLE jobs ADD COLUMN concurrency_max INTEGER;
ALTER TABLE jobs ADD COLUMN blocked INTEGER NOT NULL DEFAULT 0;
CREATE INDEX jobs_keyed ON jobs (concurrency_key, state, ready, queue, lane, name, run_at)
  WHERE concurrency_key IS NOT NULL AND finished_at IS NULL;
CREATE INDEX jobs_blocked ON jobs (queue, concurrency_key, lane, name, priority DESC, run_at, id) WHERE blocked = 1;

ALTER TABLE dlq ADD COLUMN concurrency_key TEXT;
ALTER TABLE dlq ADD COLUMN concurrency_max INTEGER;

-- the maximum that the latest enqueue of a key brought
CREATE TABLE concurrency_keys (
  key TEXT PRIMARY KEY,
  most INTEGER NOT NULL
) WITHOUT ROWID;
