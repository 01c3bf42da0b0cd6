-- part: prunable_job
state = :state AND kind <> 'workflow' AND finished_at < :before AND (
  run_id IS NULL OR NOT EXISTS (SELECT 1 FROM {runs} AS runs WHERE runs.id = jobs.run_id AND runs.finished_at IS NULL))

-- name: ended_jobs
-- Some jobs of one outcome that ended before a time, longest ended first, and how large they are.
SELECT finished_at, id, coalesce(length(payload), 0) + coalesce(length(result), 0)
FROM {jobs} AS jobs FORCE INDEX (jobs_ended) WHERE {prunable_job}
ORDER BY finished_at, id LIMIT :limit FOR UPDATE SKIP LOCKED;

-- name: count_ended_jobs
-- How many jobs of one outcome ended before a time.
SELECT count(*) FROM (
  SELECT 1 FROM {jobs} AS jobs FORCE INDEX (jobs_ended) WHERE {prunable_job} LIMIT :limit) AS old;

-- name: forget_attempts
-- Removes the attempts of some jobs.
DELETE FROM {attempts} WHERE job_id IN :seqs;

-- name: forget_jobs
-- Removes some jobs.
DELETE FROM {jobs} WHERE id IN :seqs;

-- name: delete_attempts
-- Removes the attempts of one job.
DELETE FROM {attempts} WHERE job_id = :id;

-- name: delete_job
-- Removes one job that does not run.
DELETE FROM {jobs} WHERE id = :id AND state <> 'running';

-- name: count_old_workers
-- How many dead workers were last seen before a time.
SELECT count(*) FROM (
  SELECT 1 FROM {workers} AS workers WHERE last_seen < :before AND (state = 'dead' OR last_seen + lease < :now)
  LIMIT :limit) AS old;

-- name: prune_workers
-- Removes some dead workers.
DELETE FROM {workers} WHERE last_seen < :before AND (state = 'dead' OR last_seen + lease < :now)
ORDER BY last_seen, id LIMIT :limit;

-- name: count_old_events
-- How many events are older than a time.
SELECT count(*) FROM (SELECT 1 FROM {events} AS events WHERE {prunable_event} LIMIT :limit) AS old;

-- name: count_old_records
-- How many records have expired.
SELECT count(*) FROM (SELECT 1 FROM {records} AS records WHERE expires_at <= :now LIMIT :limit) AS old;
