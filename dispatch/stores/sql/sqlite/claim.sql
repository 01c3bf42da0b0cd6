-- name: lanes
-- Lanes of a queue with claimable rows, from one on, by jumping from lane to lane in the index.
WITH RECURSIVE walk (lane) AS (
  SELECT min(lane) FROM jobs WHERE ready = 1 AND queue = :queue AND lane >= :from_lane
  UNION ALL
  SELECT (SELECT min(jobs.lane) FROM jobs WHERE ready = 1 AND queue = :queue AND jobs.lane > walk.lane)
  FROM walk WHERE walk.lane IS NOT NULL
)
SELECT lane FROM walk WHERE lane IS NOT NULL LIMIT :limit;

-- name: priorities
-- Priorities in a lane, highest first, by jumping from one to the next in the index.
WITH RECURSIVE walk (priority) AS (
  SELECT max(priority) FROM jobs WHERE ready = 1 AND queue = :queue AND lane = :lane
  UNION ALL
  SELECT (SELECT max(jobs.priority) FROM jobs
    WHERE ready = 1 AND queue = :queue AND lane = :lane AND jobs.priority < walk.priority)
  FROM walk WHERE walk.priority IS NOT NULL
)
SELECT priority FROM walk WHERE priority IS NOT NULL;

-- name: due_jobs
-- Jobs of one lane and priority that are due, in claim order, after a place.
SELECT {job_columns}, seq, unique_until FROM jobs INDEXED BY jobs_ready
WHERE ready = 1 AND queue = :queue AND lane = :lane AND priority = :priority AND run_at <= :now
  AND name IN (SELECT value FROM json_each(:names)) AND (run_at, id) > (:after_run_at, :after_id)
ORDER BY run_at, id LIMIT :limit;

-- name: next_run_at
-- When the first job of a queue after a time is due, by jumping from lane to lane and from priority to priority.
WITH RECURSIVE walk (lane) AS (
  SELECT min(lane) FROM jobs WHERE ready = 1 AND queue = :queue
  UNION ALL
  SELECT (SELECT min(jobs.lane) FROM jobs WHERE ready = 1 AND queue = :queue AND jobs.lane > walk.lane)
  FROM walk WHERE walk.lane IS NOT NULL
)
SELECT min((
  WITH RECURSIVE level (priority) AS (
    SELECT max(priority) FROM jobs WHERE ready = 1 AND queue = :queue AND lane = walk.lane
    UNION ALL
    SELECT (SELECT max(jobs.priority) FROM jobs
      WHERE ready = 1 AND queue = :queue AND jobs.lane = walk.lane AND jobs.priority < level.priority)
    FROM level WHERE level.priority IS NOT NULL
  )
  SELECT min((
    SELECT run_at FROM jobs INDEXED BY jobs_ready
    WHERE ready = 1 AND queue = :queue AND lane = walk.lane AND priority = level.priority AND run_at > :after
      AND name IN (SELECT value FROM json_each(:names))
    ORDER BY run_at LIMIT 1
  )) FROM level WHERE level.priority IS NOT NULL
)) FROM walk WHERE lane IS NOT NULL AND lane NOT IN (SELECT value FROM json_each(:full));

-- name: quarantined_due
-- Jobs that crashed workers and are due.
SELECT {job_columns}, seq, unique_until FROM jobs INDEXED BY jobs_quarantined
WHERE ready = 2 AND queue = :queue AND run_at <= :now AND name IN (SELECT value FROM json_each(:names))
ORDER BY priority DESC, run_at, id LIMIT :limit;

-- name: quarantined_next
-- When the first job that crashed workers is due, of each tenant and concurrency key; a driver holds its place already.
SELECT min(run_at), app_id, org_id, CASE WHEN kind <> 'workflow' THEN concurrency_key END FROM jobs INDEXED BY jobs_quarantined
WHERE ready = 2 AND queue = :queue AND name IN (SELECT value FROM json_each(:names))
GROUP BY app_id, org_id, CASE WHEN kind <> 'workflow' THEN concurrency_key END;

-- name: start_jobs
-- Makes picked rows running.
UPDATE jobs SET state = 'running', ready = 0, worker_id = :worker_id, epoch = max(epoch + 1, :epoch_floor),
  lease_until = :lease_until, started_at = :now, updated_at = :now
WHERE seq IN (SELECT value FROM json_each(:seqs));

-- name: expire_job
-- Cancels a picked row that was not started in time.
UPDATE jobs SET state = 'cancelled', ready = 0, reason = 'expired', finished_at = :now, updated_at = :now
WHERE seq = :seq;

-- name: queue_settings
-- The limits and pauses of every queue that has some.
SELECT name, max_concurrency, rate_limit, rate_burst, fair, tenant_concurrency, tokens, refilled_at, paused_at,
  paused_until FROM queues;

-- name: running_in_queue
-- How many jobs of a queue run.
SELECT count(*) FROM jobs WHERE state = 'running' AND queue = :queue;

-- name: running_by_tenant
-- How many jobs of a queue run, by tenant.
SELECT app_id, org_id, count(*) FROM jobs INDEXED BY jobs_running
WHERE state = 'running' AND queue = :queue GROUP BY app_id, org_id;

-- name: live_slots
-- How many leased slots of a queue are held.
SELECT count(*) FROM slots WHERE queue = :queue AND lease_until > :now;

-- name: set_tokens
-- Keeps what is left in a queue's bucket.
UPDATE queues SET tokens = :tokens, refilled_at = :now WHERE name = :queue;

-- name: live_workers
-- What live workers serve.
SELECT queues, names FROM workers WHERE state <> 'dead' AND last_seen + lease >= :now;

-- name: due_names
-- Names, keys and places of the first due rows of a lane and priority.
SELECT seq, name, concurrency_key FROM jobs INDEXED BY jobs_ready
WHERE ready = 1 AND queue = :queue AND lane = :lane AND priority = :priority AND run_at <= :due
ORDER BY run_at, id LIMIT :limit;

-- name: ready_queues
-- Queues with claimable rows, by jumping from queue to queue in the index.
WITH RECURSIVE walk (queue) AS (
  SELECT min(queue) FROM jobs INDEXED BY jobs_ready WHERE ready = 1
  UNION ALL
  SELECT (SELECT min(jobs.queue) FROM jobs INDEXED BY jobs_ready WHERE ready = 1 AND jobs.queue > walk.queue)
  FROM walk WHERE walk.queue IS NOT NULL
)
SELECT queue FROM walk WHERE queue IS NOT NULL;

-- name: set_aside
-- Takes a row that nobody serves out of the workers' way.
UPDATE jobs SET ready = 0, set_aside = 1, updated_at = :now WHERE seq = :seq;

-- name: bring_back
-- Makes rows claimable again that somebody serves now.
UPDATE jobs INDEXED BY jobs_aside SET set_aside = 0, ready = CASE WHEN crashes < :quarantine THEN 1 ELSE 2 END,
  updated_at = :now
WHERE set_aside = 1 AND (:queues IS NULL OR queue IN (SELECT value FROM json_each(:queues)))
  AND name IN (SELECT value FROM json_each(:names));

-- name: long_aside
-- Jobs, but no drivers, that nobody has served for long.
SELECT id, unique_key, concurrency_key, run_id, step FROM jobs INDEXED BY jobs_aside
WHERE set_aside = 1 AND run_at <= :due AND kind <> 'workflow' ORDER BY run_at, id LIMIT :limit;

-- name: fail_unserved
-- Ends a job that nobody serves.
UPDATE jobs SET state = 'failed', ready = 0, set_aside = 0, reason = 'no_handler', finished_at = :now, updated_at = :now
WHERE id = :id AND set_aside = 1;
