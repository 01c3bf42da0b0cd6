-- part: no_time
typeof(value) <> 'integer' OR value NOT BETWEEN -62135596800000000 AND 253402300799999999

-- part: damaged
EXISTS (
  SELECT 1 FROM (
    SELECT created_at AS value UNION ALL SELECT updated_at UNION ALL SELECT run_at
    UNION ALL SELECT coalesce(lease_until, 0) UNION ALL SELECT coalesce(started_at, 0)
    UNION ALL SELECT coalesce(finished_at, 0) UNION ALL SELECT coalesce(scheduled_at, 0)
    UNION ALL SELECT coalesce(expires_at, 0) UNION ALL SELECT priority UNION ALL SELECT failures
    UNION ALL SELECT crashes UNION ALL SELECT epoch UNION ALL SELECT coalesce(max_retries, 0)
    UNION ALL SELECT coalesce(unique_hold_until, 0) UNION ALL SELECT coalesce(concurrency_max, 0)
  ) WHERE {no_time}
) OR EXISTS (
  SELECT 1 FROM (
    SELECT id AS value UNION ALL SELECT kind UNION ALL SELECT lane UNION ALL SELECT app_id UNION ALL SELECT org_id
    UNION ALL SELECT coalesce(unique_key, '') UNION ALL SELECT coalesce(effect_key, '')
  ) WHERE typeof(value) <> 'text'
) OR typeof(coalesce(timeout, 0)) NOT IN ('integer', 'real') OR typeof(coalesce(keep_result, 0)) <> 'integer'
OR typeof(coalesce(progress, 0)) NOT IN ('integer', 'real')

-- name: damaged_waiting
-- Claimable rows that hold what no job can hold; looks at every one.
SELECT seq, CASE typeof(id) WHEN 'text' THEN id ELSE hex(id) END, unique_key, concurrency_key, kind FROM jobs
WHERE ready IN (1, 2) AND queue IN (SELECT value FROM json_each(:queues))
  AND (state NOT IN ('pending', 'retrying') OR {damaged}) LIMIT :limit;

-- name: damaged_running
-- Running rows that hold what no job can hold.
SELECT seq FROM jobs INDEXED BY jobs_running WHERE state = 'running' AND ({damaged}) LIMIT :limit;

-- name: mend_job
-- Puts something readable into the columns that hold none; payload and result stay as they are.
UPDATE jobs SET id = CASE typeof(id) WHEN 'text' THEN id ELSE hex(id) END,
  kind = CASE typeof(kind) WHEN 'text' THEN kind ELSE 'job' END,
  lane = CASE typeof(lane) WHEN 'text' THEN lane ELSE hex(lane) END,
  app_id = CASE typeof(app_id) WHEN 'text' THEN app_id ELSE hex(app_id) END,
  org_id = CASE typeof(org_id) WHEN 'text' THEN org_id ELSE hex(org_id) END,
  unique_key = CASE typeof(unique_key) WHEN 'text' THEN unique_key END,
  effect_key = CASE typeof(effect_key) WHEN 'text' THEN effect_key END,
  created_at = (SELECT CASE WHEN {no_time} THEN :now ELSE value END FROM (SELECT created_at AS value)),
  updated_at = :now,
  run_at = (SELECT CASE WHEN {no_time} THEN :now ELSE value END FROM (SELECT run_at AS value)),
  priority = (SELECT CASE WHEN {no_time} THEN 0 ELSE value END FROM (SELECT priority AS value)),
  failures = (SELECT CASE WHEN {no_time} THEN 0 ELSE value END FROM (SELECT failures AS value)),
  crashes = (SELECT CASE WHEN {no_time} THEN 0 ELSE value END FROM (SELECT crashes AS value)),
  epoch = (SELECT CASE WHEN {no_time} THEN :now / 1000 ELSE value END FROM (SELECT epoch AS value)),
  lease_until = (SELECT CASE WHEN {no_time} THEN CASE WHEN state = 'running' THEN :now END ELSE value END
    FROM (SELECT lease_until AS value)),
  started_at = (SELECT CASE WHEN {no_time} THEN NULL ELSE value END FROM (SELECT started_at AS value)),
  finished_at = (SELECT CASE WHEN {no_time} THEN NULL ELSE value END FROM (SELECT finished_at AS value)),
  scheduled_at = (SELECT CASE WHEN {no_time} THEN NULL ELSE value END FROM (SELECT scheduled_at AS value)),
  expires_at = (SELECT CASE WHEN {no_time} THEN NULL ELSE value END FROM (SELECT expires_at AS value)),
  max_retries = (SELECT CASE WHEN {no_time} THEN NULL ELSE value END FROM (SELECT max_retries AS value)),
  unique_hold_until = (SELECT CASE WHEN {no_time} THEN NULL ELSE value END FROM (SELECT unique_hold_until AS value)),
  concurrency_max = (SELECT CASE WHEN {no_time} THEN CASE WHEN concurrency_key IS NULL THEN NULL ELSE 1 END ELSE value
    END FROM (SELECT concurrency_max AS value)),
  timeout = CASE WHEN typeof(timeout) IN ('integer', 'real') THEN timeout END,
  progress = CASE WHEN typeof(progress) IN ('integer', 'real') THEN progress END,
  keep_result = CASE WHEN typeof(keep_result) = 'integer' THEN keep_result END
WHERE seq = :seq;

-- name: fail_damaged
-- Ends a waiting job whose row was damaged.
UPDATE jobs SET state = 'failed', ready = 0, reason = 'row_damaged', finished_at = :now, error_type = 'RowDamaged',
  error_message = :message, error_traceback = NULL
WHERE seq = :seq;

-- name: put_aside
-- Takes the driver of a run, which only its run may end, out of the workers' way.
UPDATE jobs SET ready = 0, set_aside = 1 WHERE seq = :seq;
