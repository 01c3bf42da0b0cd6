-- part: entry_columns
id, job_id, job_name, queue, state, reason, error_type, error_message, error_traceback, payload, failures,
crashes, priority, max_retries, timeout, backoff, keep_result, unique_key, effect_key, metadata, tags, app_id, org_id,
replayed_as, created_at, updated_at, concurrency_key, concurrency_max

-- part: entry_filter
(:queues IS NULL OR queue IN :queues)
AND (:names IS NULL OR job_name IN :names)
AND (:error_types IS NULL OR coalesce(error_type, '') IN :error_types)
AND (:states IS NULL OR state IN :states)
AND (:created_before IS NULL OR created_at < :created_before)
AND {in_scope}

-- name: bury_job
-- Copies a job that failed for good into the dead letters; of a driver, whose counts begin anew with what its run records,
-- all failures and crashes of the run.
INSERT INTO {dlq} (id, job_id, job_name, queue, kind, lane, state, reason, error_type, error_message, error_traceback,
  payload, failures, crashes, priority, max_retries, timeout, backoff, keep_result, unique_key, unique_until,
  effect_key, metadata, tags, app_id, org_id, created_at, updated_at, concurrency_key, concurrency_max)
SELECT :id, id, name, queue, kind, lane, 'open', :reason, error_type, error_message, error_traceback, payload,
  CASE WHEN kind <> 'workflow' THEN failures
    ELSE (SELECT count(*) FROM {attempts} AS attempts WHERE job_id = :job_id AND attempts.kind = 'failed') END,
  CASE WHEN kind <> 'workflow' THEN crashes
    ELSE (SELECT count(*) FROM {attempts} AS attempts WHERE job_id = :job_id AND attempts.kind = 'crashed') END,
  priority, max_retries, timeout, backoff, keep_result, unique_key, unique_until,
  coalesce(effect_key, id), metadata, tags, app_id, org_id, :now, :now,
  concurrency_key, concurrency_max
FROM {jobs} AS jobs WHERE id = :job_id;

-- name: lock_entry
-- Locks one dead letter.
SELECT 1 FROM {dlq} AS dlq WHERE id = :id FOR UPDATE;

-- name: lock_entries_of
-- Locks the dead letters of a job.
SELECT 1 FROM {dlq} AS dlq WHERE job_id = :job_id ORDER BY id FOR UPDATE;

-- name: latest_dead_letter
-- The dead letter that a job's last death made.
SELECT id FROM {dlq} AS dlq WHERE job_id = :job_id ORDER BY id DESC LIMIT 1;

-- name: latest_replay
-- What was made of a job's latest dead letter.
SELECT replayed_as FROM {dlq} AS dlq WHERE job_id = :job_id ORDER BY id DESC LIMIT 1;

-- name: close_dead_letters
-- Closes what is open about a job that runs again.
UPDATE {dlq} AS dlq SET state = 'retried', updated_at = :now WHERE job_id = :job_id AND state = 'open';

-- name: get_entry
-- One dead letter.
SELECT {entry_columns} FROM {dlq} AS dlq WHERE id = :id AND {in_scope};

-- name: decide_entry
-- Closes an open dead letter.
UPDATE {dlq} AS dlq SET state = :state, replayed_as = :replayed_as, updated_at = :now WHERE id = :id AND state = 'open';

-- name: replay_job
-- Makes a new job of a dead letter, with another payload where one is given.
INSERT INTO {jobs} (id, ready, state, queue, name, kind, lane, priority, run_at, unique_key, unique_until, created_at,
  updated_at, max_retries, timeout, backoff, keep_result, app_id, org_id, effect_key, metadata, tags, replay_of,
  payload, concurrency_key, concurrency_max, made_in)
SELECT :new_id, 1, 'pending', queue, job_name, kind, lane, priority, :now, unique_key, unique_until, :now, :now,
  max_retries, timeout, backoff, keep_result, app_id, org_id, effect_key, metadata, tags, id, coalesce(:payload, payload),
  concurrency_key, concurrency_max, :transaction
FROM {dlq} AS dlq WHERE id = :id AND NOT EXISTS (SELECT 1 FROM {jobs} AS known WHERE known.id = :new_id);

-- name: purge_entries
-- Deletes some old dead letters.
DELETE FROM {dlq} WHERE created_at < :before AND {in_scope} AND (:states IS NULL OR state IN :states)
ORDER BY created_at, id LIMIT :limit;

-- name: list_entries
-- Dead letters that match, newest first.
SELECT {entry_columns} FROM {dlq} AS dlq
WHERE (:cursor IS NULL OR id < :cursor) AND {entry_filter} ORDER BY id DESC LIMIT :limit;

-- name: count_entries
-- How many dead letters match.
SELECT count(*) FROM {dlq} AS dlq WHERE {entry_filter};

-- name: entry_groups
-- Open dead letters that look alike.
SELECT job_name, coalesce(error_type, ''), count(*), min(created_at), max(created_at), max(id) FROM {dlq} AS dlq
WHERE state = 'open' AND {in_scope}
GROUP BY job_name, coalesce(error_type, '') ORDER BY count(*) DESC, job_name, coalesce(error_type, '');
