-- part: pause_gives_way
:force = 1 OR paused_at IS NULL OR paused_by = VALUES(paused_by) OR VALUES(paused_until) IS NULL
  OR paused_until <= VALUES(paused_until)

-- name: pause_queue
-- Stores a pause; another's that ends later stays unless it is forced. The end is set first: then the rest gives way.
INSERT INTO {queues} (name, paused_at, paused_until, paused_by, pause_reason)
VALUES (:queue, :now, :until, :by, :reason)
ON DUPLICATE KEY UPDATE paused_until = IF({pause_gives_way}, VALUES(paused_until), paused_until),
  paused_by = IF({pause_gives_way}, VALUES(paused_by), paused_by),
  pause_reason = IF({pause_gives_way}, VALUES(pause_reason), pause_reason),
  paused_at = IF({pause_gives_way}, VALUES(paused_at), paused_at);

-- name: resume_queue
-- Ends a pause that still holds.
UPDATE {queues} AS queues SET paused_at = NULL, paused_until = NULL, paused_by = '', pause_reason = ''
WHERE name = :queue AND paused_at IS NOT NULL AND (paused_until IS NULL OR paused_until > :now);

-- name: configure_queue
-- Stores the limits of a queue in place of what was there.
INSERT INTO {queues} (name, max_concurrency, rate_limit, rate_burst, fair, tenant_concurrency, tokens, refilled_at)
VALUES (:queue, :max_concurrency, :rate_limit, :rate_burst, :fair, :tenant_concurrency, :tokens, :now)
ON DUPLICATE KEY UPDATE max_concurrency = VALUES(max_concurrency), rate_limit = VALUES(rate_limit),
  rate_burst = VALUES(rate_burst), fair = VALUES(fair), tenant_concurrency = VALUES(tenant_concurrency),
  tokens = VALUES(tokens), refilled_at = VALUES(refilled_at);

-- name: queue_rows
-- Everything stored about queues.
SELECT name, max_concurrency, rate_limit, rate_burst, fair, tenant_concurrency, paused_at, paused_until, paused_by,
  pause_reason FROM {queues} AS queues WHERE :queue IS NULL OR name = :queue;

-- name: queue_counts
-- Waiting, retrying and blocked (parts of waiting), running and set aside jobs by queue.
SELECT queue, 'waiting', CAST(sum(n) AS SIGNED) FROM (
  SELECT queue, count(*) AS n FROM {jobs} AS jobs FORCE INDEX (jobs_ready)
  WHERE ready IN (1, 2) AND (:queue IS NULL OR queue = :queue) GROUP BY queue
  UNION ALL
  SELECT queue, count(*) FROM {jobs} AS jobs FORCE INDEX (jobs_aside)
  WHERE set_aside = 1 AND ready = 0 AND state IN ('pending', 'retrying') AND (:queue IS NULL OR queue = :queue)
  GROUP BY queue
  UNION ALL
  SELECT queue, count(*) FROM {jobs} AS jobs FORCE INDEX (jobs_behind)
  WHERE behind IS NOT NULL AND set_aside = 0 AND ready = 0 AND state IN ('pending', 'retrying')
    AND (:queue IS NULL OR queue = :queue) GROUP BY queue
  UNION ALL
  SELECT queue, count(*) FROM {jobs} AS jobs FORCE INDEX (jobs_blocked)
  WHERE blocked = 1 AND (:queue IS NULL OR queue = :queue) GROUP BY queue
) AS waiting GROUP BY queue
UNION ALL
SELECT queue, 'retrying', count(*) FROM {jobs} AS jobs FORCE INDEX (jobs_listed)
WHERE state = 'retrying' AND (:queue IS NULL OR queue = :queue) GROUP BY queue
UNION ALL
SELECT queue, 'running', count(*) FROM {jobs} AS jobs FORCE INDEX (jobs_running)
WHERE state = 'running' AND (:queue IS NULL OR queue = :queue) GROUP BY queue
UNION ALL
SELECT queue, 'aside', count(*) FROM {jobs} AS jobs FORCE INDEX (jobs_aside)
WHERE set_aside = 1 AND (:queue IS NULL OR queue = :queue) GROUP BY queue
UNION ALL
SELECT queue, 'blocked', count(*) FROM {jobs} AS jobs FORCE INDEX (jobs_blocked)
WHERE blocked = 1 AND (:queue IS NULL OR queue = :queue) GROUP BY queue;

-- name: oldest_run_at
-- When the first job of a lane and priority was due.
SELECT min(run_at) FROM {jobs} AS jobs FORCE INDEX (jobs_ready)
WHERE ready = 1 AND queue = :queue AND lane = :lane AND priority = :priority;

-- name: slot_holders
-- Who holds leased slots.
SELECT queue, holder FROM {slots} AS slots WHERE lease_until > :now AND (:queue IS NULL OR queue = :queue)
ORDER BY queue, holder;

-- name: lock_slots
-- Lets those who want a slot of a queue in one by one.
INSERT INTO {slots} (queue, holder, lease_until) VALUES (:queue, '', 0)
ON DUPLICATE KEY UPDATE lease_until = lease_until;

-- name: slot
-- One leased slot, lapsed or not.
SELECT lease_until, capacity FROM {slots} AS slots WHERE queue = :queue AND holder = :holder;

-- name: drop_lapsed_slots
-- Gives away the slots whose lease is over.
DELETE FROM {slots} WHERE queue = :queue AND lease_until <= :now AND holder <> :holder;

-- name: hold_slot
-- Takes or extends a leased slot.
INSERT INTO {slots} (queue, holder, lease_until, capacity) VALUES (:queue, :holder, :lease_until, :capacity)
ON DUPLICATE KEY UPDATE lease_until = VALUES(lease_until), capacity = VALUES(capacity);

-- name: free_slot
-- Gives a leased slot back.
DELETE FROM {slots} WHERE queue = :queue AND holder = :holder;
