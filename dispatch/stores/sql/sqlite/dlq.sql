-- part: entry_columns
id, job_id, job_name, queue, state, reason, error_type, error_message, error_traceback, CAST(payload AS BLOB), failures,
crashes, priority, max_retries, timeout, backoff, keep_result, unique_key, effect_key, metadata, tags, app_id, org_id,
replayed_as, created_at, updated_at, concurrency_key, concurrency_max

-- part: entry_filter
(:queues IS NULL OR queue IN (SELECT value FROM json_each(:queues)))
AND (:names IS NULL OR job_name IN (SELECT value FROM json_each(:names)))
AND (:error_types IS NULL OR coalesce(error_type, '') IN (SELECT value FROM json_each(:error_types)))
AND (:states IS NULL OR state IN (SELECT value FROM json_each(:states)))
AND (:created_before IS NULL OR created_at < :created_before)
AND {in_scope}

-- name: bury_job
-- Copies a job that failed for good into the dead letters; a driver with all failures and crashes of its run.
INSERT INTO dlq (id, job_id, job_name, queue, kind, lane, state, reason, error_type, error_message, error_traceback,
  payload, failures, crashes, priority, max_retries, timeout, backoff, keep_result, unique_key, unique_until,
  effect_key, metadata, tags, app_id, org_id, created_at, updated_at, concurrency_key, concurrency_max)
SELECT :id, id, name, queue, kind, lane, 'open', :reason, error_type, error_message, error_traceback, payload,
  CASE WHEN kind <> 'workflow' THEN failures
    ELSE (SELECT count(*) FROM attempts WHERE job_id = :job_id AND attempts.kind = 'failed') END,
  CASE WHEN kind <> 'workflow' THEN crashes
    ELSE (SELECT count(*) FROM attempts WHERE job_id = :job_id AND attempts.kind = 'crashed') END,
  priority, max_retries, timeout, backoff, keep_result, unique_key, unique_until,
  coalesce(effect_key, id), metadata, tags, app_id, org_id, :now, :now,
  concurrency_key, concurrency_max
FROM jobs WHERE id = :job_id;

-- name: latest_dead_letter
-- The dead letter that a job's last death made.
SELECT id FROM dlq WHERE job_id = :job_id ORDER BY id DESC LIMIT 1;

-- name: latest_replay
-- What was made of a job's latest dead letter.
SELECT replayed_as FROM dlq WHERE job_id = :job_id ORDER BY id DESC LIMIT 1;

-- name: close_dead_letters
-- Closes what is open about a job that runs again.
UPDATE dlq SET state = 'retried', updated_at = :now WHERE job_id = :job_id AND state = 'open';

-- name: get_entry
-- One dead letter.
SELECT {entry_columns} FROM dlq WHERE id = :id AND {in_scope};

-- name: decide_entry
-- Closes an open dead letter.
UPDATE dlq SET state = :state, replayed_as = :replayed_as, updated_at = :now WHERE id = :id AND state = 'open';

-- name: replay_job
-- Makes a new job of a dead letter, with another payload where one is given.
INSERT INTO jobs (id, ready, state, queue, name, kind, lane, priority, run_at, unique_key, unique_until, created_at,
  updated_at, max_retries, timeout, backoff, keep_result, app_id, org_id, effect_key, metadata, tags, replay_of, payload,
  concurrency_key, concurrency_max)
SELECT :new_id, 1, 'pending', queue, job_name, kind, lane, priority, :now, unique_key, unique_until, :now, :now,
  max_retries, timeout, backoff, keep_result, app_id, org_id, effect_key, metadata, tags, id, coalesce(:payload, payload),
  concurrency_key, concurrency_max
FROM dlq WHERE id = :id
ON CONFLICT (id) DO NOTHING;

-- name: purge_entries
-- Deletes some old dead letters.
DELETE FROM dlq WHERE id IN (
  SELECT id FROM dlq WHERE created_at < :before AND {in_scope}
    AND (:states IS NULL OR state IN (SELECT value FROM json_each(:states)))
  ORDER BY created_at, id LIMIT :limit);

-- name: list_entries
-- Dead letters that match, newest first.
SELECT {entry_columns} FROM dlq
WHERE (:cursor IS NULL OR id < :cursor) AND {entry_filter} ORDER BY id DESC LIMIT :limit;

-- name: count_entries
-- How many dead letters match.
SELECT count(*) FROM dlq WHERE {entry_filter};

-- name: entry_groups
-- Open dead letters that look alike.
SELECT job_name, coalesce(error_type, ''), count(*), min(created_at), max(created_at), max(id) FROM dlq
WHERE state = 'open' AND {in_scope}
GROUP BY job_name, coalesce(error_type, '') ORDER BY count(*) DESC, job_name, coalesce(error_type, '');
