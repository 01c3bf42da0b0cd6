-- name: pause_queue
-- Stores a pause, making the queue's row if there is none; another's that ends later stays unless it is forced.
INSERT INTO {queues} AS standing (name, paused_at, paused_until, paused_by, pause_reason)
VALUES (:queue, :now, :until, :by, :reason)
ON CONFLICT (name) DO UPDATE SET paused_at = excluded.paused_at, paused_until = excluded.paused_until,
  paused_by = excluded.paused_by, pause_reason = excluded.pause_reason
WHERE :force = 1 OR standing.paused_at IS NULL OR standing.paused_by = excluded.paused_by
  OR excluded.paused_until IS NULL OR standing.paused_until <= excluded.paused_until;

-- name: resume_queue
-- Ends a pause that still holds.
UPDATE {queues} SET paused_at = NULL, paused_until = NULL, paused_by = '', pause_reason = ''
WHERE name = :queue AND paused_at IS NOT NULL AND (paused_until IS NULL OR paused_until > :now);

-- name: configure_queue
-- Stores the limits of a queue in place of what was there.
INSERT INTO {queues} (name, max_concurrency, rate_limit, rate_burst, fair, tenant_concurrency, tokens, refilled_at)
VALUES (:queue, :max_concurrency, :rate_limit, :rate_burst, :fair, :tenant_concurrency, :tokens, :now)
ON CONFLICT (name) DO UPDATE SET max_concurrency = excluded.max_concurrency, rate_limit = excluded.rate_limit,
  rate_burst = excluded.rate_burst, fair = excluded.fair, tenant_concurrency = excluded.tenant_concurrency,
  tokens = excluded.tokens, refilled_at = excluded.refilled_at;

-- name: queue_rows
-- Everything stored about queues.
SELECT name, max_concurrency, rate_limit, rate_burst, fair, tenant_concurrency, paused_at, paused_until, paused_by,
  pause_reason FROM {queues} WHERE :queue::text IS NULL OR name = :queue;

-- name: queue_counts
-- Waiting, retrying and blocked (parts of waiting), running and set aside jobs by queue.
SELECT queue, 'waiting', sum(n)::int8 FROM (
  SELECT queue, count(*) AS n FROM {jobs} WHERE ready = 1 AND (:queue::text IS NULL OR queue = :queue) GROUP BY queue
  UNION ALL
  SELECT queue, count(*) FROM {jobs} WHERE ready = 2 AND (:queue IS NULL OR queue = :queue) GROUP BY queue
  UNION ALL
  SELECT queue, count(*) FROM {jobs}
  WHERE set_aside = 1 AND ready = 0 AND state IN ('pending', 'retrying') AND (:queue IS NULL OR queue = :queue)
  GROUP BY queue
  UNION ALL
  SELECT queue, count(*) FROM {jobs}
  WHERE behind IS NOT NULL AND set_aside = 0 AND ready = 0 AND state IN ('pending', 'retrying')
    AND (:queue IS NULL OR queue = :queue)
  GROUP BY queue
  UNION ALL
  SELECT queue, count(*) FROM {jobs} WHERE blocked = 1 AND (:queue IS NULL OR queue = :queue) GROUP BY queue
) AS waiting GROUP BY queue
UNION ALL
SELECT queue, 'retrying', count(*) FROM {jobs}
WHERE state <> 'running' AND state = 'retrying' AND hashtext(state) = hashtext('retrying')
  AND (:queue IS NULL OR queue = :queue) GROUP BY queue
UNION ALL
SELECT queue, 'running', count(*) FROM {jobs}
WHERE state = 'running' AND (:queue IS NULL OR queue = :queue) GROUP BY queue
UNION ALL
SELECT queue, 'aside', count(*) FROM {jobs}
WHERE set_aside = 1 AND (:queue IS NULL OR queue = :queue) GROUP BY queue
UNION ALL
SELECT queue, 'blocked', count(*) FROM {jobs}
WHERE blocked = 1 AND (:queue IS NULL OR queue = :queue) GROUP BY queue;

-- name: oldest_run_at
-- When the first job of a lane and priority was due.
SELECT min(run_at) FROM {jobs}
WHERE ready = 1 AND queue = :queue AND lane = :lane AND priority = :priority;

-- name: slot_holders
-- Who holds leased slots.
SELECT queue, holder FROM {slots} WHERE lease_until > :now AND (:queue::text IS NULL OR queue = :queue)
ORDER BY queue, holder;

-- name: lock_slots
-- Lets those who want a slot of a queue in one by one.
INSERT INTO {slots} (queue, holder, lease_until) VALUES (:queue, '', 0)
ON CONFLICT (queue, holder) DO UPDATE SET lease_until = 0 WHERE false;

-- name: slot
-- One leased slot, lapsed or not.
SELECT lease_until, capacity FROM {slots} WHERE queue = :queue AND holder = :holder;

-- name: drop_lapsed_slots
-- Gives away the slots whose lease is over.
DELETE FROM {slots} WHERE queue = :queue AND lease_until <= :now AND holder <> :holder;

-- name: hold_slot
-- Takes or extends a leased slot.
INSERT INTO {slots} (queue, holder, lease_until, capacity) VALUES (:queue, :holder, :lease_until, :capacity)
ON CONFLICT (queue, holder) DO UPDATE SET lease_until = excluded.lease_until, capacity = excluded.capacity;

-- name: free_slot
-- Gives a leased slot back.
DELETE FROM {slots} WHERE queue = :queue AND holder = :holder;
