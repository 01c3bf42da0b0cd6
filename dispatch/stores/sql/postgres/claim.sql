-- name: claim_jobs
-- A whole claim from queues without limits, pauses and lanes, in one statement: walks the priorities of each queue,
-- locks due rows in claim order (never waiting for a row that somebody else has), makes them running, with the runs that
-- they drive, gives up the keys that were held until the start. The commit need not wait for the disk. The first column: a
-- queue of these (or an expired job or one with a concurrency key in the way) wants the long way, nothing was taken. The
-- third: how many entries of the ready index it has met, those included that are dead and cannot be removed yet; and eight
-- for each of its pages but the dozen that each priority takes, since what is known to be dead, but was not vacuumed, is
-- passed over uncounted.
WITH RECURSIVE asked AS MATERIALIZED (
  SELECT a.queue, a.share, a.n, {met_so_far} AS counted
  FROM unnest(:queues::text[], :shares::int8[]) WITH ORDINALITY AS a (queue, share, n)
), heads AS (
  SELECT asked.queue, asked.share, asked.n, first.lane, first.priority FROM asked CROSS JOIN LATERAL (
    SELECT lane, priority FROM {jobs} WHERE ready = 1 AND queue = asked.queue ORDER BY lane, priority DESC LIMIT 1
  ) AS first
  UNION ALL
  SELECT heads.queue, heads.share, heads.n, heads.lane, next.priority FROM heads CROSS JOIN LATERAL (
    SELECT priority FROM {jobs}
    WHERE ready = 1 AND queue = heads.queue AND lane = heads.lane AND priority < heads.priority
    ORDER BY priority DESC LIMIT 1
  ) AS next
), walk AS MATERIALIZED (
  SELECT queue, share, n, lane, priority, -9223372036854775808 AS run_at, '' AS id FROM heads
{claim_in_walk};

-- part: met_so_far
pg_stat_get_xact_tuples_returned('{jobs}_ready'::regclass)
    + 8 * pg_stat_get_xact_blocks_fetched('{jobs}_ready'::regclass)

-- name: claim_jobs_after
-- The same claim from the places where the last one ended, so that it does not meet again what is dead before them.
WITH asked AS MATERIALIZED (
  SELECT a.queue, a.share, a.lane, a.priority, a.run_at, a.id, a.n,
    {met_so_far} AS counted
  FROM unnest(:queues::text[], :shares::int8[], :lanes::text[], :priorities::int8[], :run_ats::int8[], :ids::text[])
    WITH ORDINALITY AS a (queue, share, lane, priority, run_at, id, n)
), walk AS MATERIALIZED (
  SELECT queue, share, n, lane, priority, run_at, id FROM asked
{claim_in_walk};

-- part: claim_in_walk
-- MATERIALIZED and ARRAY keep the pick from being made twice. The walk yields the highest priority first, and nothing
-- sorts behind it: a sort would lock rows that are not taken.
), gates AS MATERIALIZED (
  SELECT EXISTS (
    SELECT 1 FROM {queues} WHERE name = ANY (:queues) AND (paused_at IS NOT NULL OR fair = 1
      OR coalesce(max_concurrency, tenant_concurrency) IS NOT NULL OR rate_limit IS NOT NULL)
  ) OR EXISTS (
    SELECT 1 FROM walk CROSS JOIN LATERAL (
      SELECT lane FROM {jobs} WHERE ready = 1 AND queue = walk.queue AND lane > walk.lane ORDER BY lane LIMIT 1
    ) AS other_lane
  ) OR (:alone::bool AND EXISTS (
    SELECT 1 FROM {jobs} WHERE ready = 2 AND queue = ANY (:queues)
  )) AS special
), picked AS MATERIALIZED (
  SELECT p.place, p.odd FROM asked CROSS JOIN LATERAL (
    SELECT due.place, due.odd FROM walk CROSS JOIN LATERAL (
      SELECT ctid AS place, concurrency_key IS NOT NULL OR coalesce(expires_at < :now AND started_at IS NULL, false) AS odd
      FROM {jobs}
      WHERE ready = 1 AND queue = walk.queue AND lane = walk.lane AND priority = walk.priority AND run_at <= :now::int8
        AND (run_at, id) > (walk.run_at, walk.id) AND name = ANY (:names::text[])
      ORDER BY run_at, id LIMIT asked.share FOR UPDATE SKIP LOCKED
    ) AS due WHERE walk.n = asked.n LIMIT asked.share
  ) AS p WHERE NOT (SELECT special FROM gates) LIMIT :limit
), claimed AS (
  UPDATE {jobs} SET state = 'running', ready = 0, worker_id = :worker_id,
    epoch = greatest(epoch + 1, :epoch_floor::int8), lease_until = :lease_until, started_at = :now, updated_at = :now
  WHERE ctid = ANY (ARRAY(SELECT place FROM picked)) AND NOT EXISTS (SELECT 1 FROM picked WHERE odd)
    AND set_config('synchronous_commit', 'off', true) = 'off'
  RETURNING {job_columns}, unique_until
), driven AS (
  UPDATE {runs} AS r SET state = CASE WHEN compensating = 1 THEN 'compensating' ELSE 'running' END, blocked = NULL,
    parked = 0, wakes_at = NULL, started_at = coalesce(r.started_at, :now), updated_at = :now
  FROM claimed WHERE claimed.kind = 'workflow' AND r.id = claimed.run_id
), held AS (
  UPDATE {unique_keys} AS k SET live = 0 FROM claimed
  WHERE claimed.unique_until = 'start' AND k.key = claimed.unique_key AND k.job_id = claimed.id AND k.hold_until > :now
), freed AS (
  DELETE FROM {unique_keys} AS k USING claimed
  WHERE claimed.unique_until = 'start' AND k.key = claimed.unique_key AND k.job_id = claimed.id
    AND k.live = 1 AND coalesce(k.hold_until <= :now, true)
)
SELECT gates.special OR EXISTS (SELECT 1 FROM picked WHERE odd), (
    SELECT json_object_agg(waiting.queue, waiting.run_at)::text FROM (
      SELECT walk.queue, min(later.run_at) AS run_at FROM walk CROSS JOIN LATERAL (
        SELECT run_at FROM {jobs}
        WHERE ready = 1 AND queue = walk.queue AND lane = walk.lane AND priority = walk.priority AND run_at > :now
          AND name = ANY (:names)
        ORDER BY run_at LIMIT 1
      ) AS later GROUP BY walk.queue
    ) AS waiting
  ), (SELECT {met_so_far} - min(counted) - 100 * (SELECT count(*) FROM walk) FROM asked), claimed.*
FROM gates LEFT JOIN claimed ON true;

-- name: lock_queues
-- Locks the rows of queues with limits, in order: who counts against a limit holds its row.
SELECT 1 FROM {queues} WHERE name = ANY (ARRAY(SELECT json_array_elements_text(:queues::json)))
ORDER BY name FOR UPDATE;

-- name: lanes
-- Lanes of a queue with claimable rows, from one on, by jumping from lane to lane in the index.
WITH RECURSIVE walk (lane) AS (
  SELECT min(lane) FROM {jobs} WHERE ready = 1 AND queue = :queue AND lane >= :from_lane
  UNION ALL
  SELECT (SELECT min(j.lane) FROM {jobs} AS j WHERE ready = 1 AND queue = :queue AND j.lane > walk.lane)
  FROM walk WHERE walk.lane IS NOT NULL
)
SELECT lane FROM walk WHERE lane IS NOT NULL LIMIT :limit;

-- name: priorities
-- Priorities in a lane, highest first, by jumping from one to the next in the index.
WITH RECURSIVE walk (priority) AS (
  SELECT max(priority) FROM {jobs} WHERE ready = 1 AND queue = :queue AND lane = :lane
  UNION ALL
  SELECT (SELECT max(j.priority) FROM {jobs} AS j
    WHERE ready = 1 AND queue = :queue AND lane = :lane AND j.priority < walk.priority)
  FROM walk WHERE walk.priority IS NOT NULL
)
SELECT priority FROM walk WHERE priority IS NOT NULL;

-- name: due_jobs
-- Jobs of one lane and priority that are due and that nobody else is taking, in claim order, after a place.
SELECT {job_columns}, id AS seq, unique_until FROM {jobs}
WHERE ready = 1 AND queue = :queue AND lane = :lane AND priority = :priority AND run_at <= :now
  AND name = ANY (ARRAY(SELECT json_array_elements_text(:names::json)))
  AND (run_at, id) > (:after_run_at::int8, :after_id::text)
ORDER BY run_at, id LIMIT :limit FOR UPDATE SKIP LOCKED;

-- name: next_run_at
-- When the first job of a queue after a time is due, by jumping from lane to lane and from priority to priority.
WITH RECURSIVE walk AS (
  (SELECT lane, priority FROM {jobs} WHERE ready = 1 AND queue = :queue ORDER BY lane, priority DESC LIMIT 1)
  UNION ALL
  SELECT next.lane, next.priority FROM walk CROSS JOIN LATERAL (
    (SELECT j.lane, j.priority FROM {jobs} AS j
      WHERE ready = 1 AND queue = :queue AND j.lane = walk.lane AND j.priority < walk.priority
      ORDER BY j.priority DESC LIMIT 1)
    UNION ALL
    (SELECT j.lane, j.priority FROM {jobs} AS j
      WHERE ready = 1 AND queue = :queue AND j.lane > walk.lane ORDER BY j.lane, j.priority DESC LIMIT 1)
    LIMIT 1
  ) AS next
)
SELECT min(later.run_at) FROM walk CROSS JOIN LATERAL (
  SELECT run_at FROM {jobs}
  WHERE ready = 1 AND queue = :queue AND lane = walk.lane AND priority = walk.priority AND run_at > :after
    AND name = ANY (ARRAY(SELECT json_array_elements_text(:names::json)))
  ORDER BY run_at LIMIT 1
) AS later
WHERE walk.lane <> ALL (ARRAY(SELECT json_array_elements_text(:full::json)));

-- name: quarantined_due
-- Jobs that crashed workers and are due, and that nobody else is taking.
SELECT {job_columns}, id AS seq, unique_until FROM {jobs}
WHERE ready = 2 AND queue = :queue AND run_at <= :now
  AND name = ANY (ARRAY(SELECT json_array_elements_text(:names::json)))
ORDER BY priority DESC, run_at, id LIMIT :limit FOR UPDATE SKIP LOCKED;

-- name: quarantined_next
-- When the first job that crashed workers is due, of each tenant and concurrency key; a driver holds its place already.
SELECT min(run_at), app_id, org_id, CASE WHEN kind <> 'workflow' THEN concurrency_key END FROM {jobs}
WHERE ready = 2 AND queue = :queue AND name = ANY (ARRAY(SELECT json_array_elements_text(:names::json)))
GROUP BY app_id, org_id, CASE WHEN kind <> 'workflow' THEN concurrency_key END;

-- name: start_jobs
-- Makes picked rows running.
UPDATE {jobs} SET state = 'running', ready = 0, worker_id = :worker_id::text,
  epoch = greatest(epoch + 1, :epoch_floor::int8), lease_until = :lease_until::int8, started_at = :now::int8,
  updated_at = :now::int8
WHERE id = ANY (ARRAY(SELECT json_array_elements_text(:seqs::json)));

-- name: expire_job
-- Cancels picked rows that were not started in time.
UPDATE {jobs} AS j SET state = 'cancelled', ready = 0, reason = 'expired', finished_at = n.now, updated_at = n.now
FROM unnest(:now::int8[], :seq::text[]) AS n (now, id)
WHERE j.id = n.id;

-- name: queue_settings
-- The limits and pauses of every queue that has some.
SELECT name, max_concurrency, rate_limit, rate_burst, fair, tenant_concurrency, tokens, refilled_at, paused_at,
  paused_until FROM {queues};

-- name: running_in_queue
-- How many jobs of a queue run.
SELECT count(*) FROM {jobs} WHERE state = 'running' AND queue = :queue;

-- name: running_by_tenant
-- How many jobs of a queue run, by tenant.
SELECT app_id, org_id, count(*) FROM {jobs}
WHERE state = 'running' AND queue = :queue GROUP BY app_id, org_id;

-- name: live_slots
-- How many leased slots of a queue are held.
SELECT count(*) FROM {slots} WHERE queue = :queue AND lease_until > :now;

-- name: set_tokens
-- Keeps what is left in a queue's bucket.
UPDATE {queues} SET tokens = :tokens, refilled_at = :now WHERE name = :queue;

-- name: lock_fleet
-- Keeps those who set jobs aside and those who bring them back from passing each other unseen.
SELECT 1 FROM {locks} WHERE name = 'fleet' FOR UPDATE;

-- name: live_workers
-- What live workers serve.
SELECT queues, names FROM {workers} WHERE state <> 'dead' AND last_seen + lease >= :now;

-- name: due_names
-- Names, keys and places of the first due rows of a lane and priority.
SELECT id, name, concurrency_key FROM {jobs}
WHERE ready = 1 AND queue = :queue AND lane = :lane AND priority = :priority AND run_at <= :due
ORDER BY run_at, id LIMIT :limit;

-- name: ready_queues
-- Queues with claimable rows, by jumping from queue to queue in the index.
WITH RECURSIVE walk (queue) AS (
  SELECT min(queue) FROM {jobs} WHERE ready = 1
  UNION ALL
  SELECT (SELECT min(j.queue) FROM {jobs} AS j WHERE ready = 1 AND j.queue > walk.queue)
  FROM walk WHERE walk.queue IS NOT NULL
)
SELECT queue FROM walk WHERE queue IS NOT NULL;

-- name: set_aside
-- Takes rows that nobody serves out of the workers' way, unless somebody has one of them at this moment.
WITH locked AS MATERIALIZED (
  SELECT id FROM {jobs} WHERE id = ANY (:seq::text[]) AND ready = 1 ORDER BY id FOR UPDATE SKIP LOCKED)
UPDATE {jobs} AS j SET ready = 0, set_aside = 1, updated_at = n.now
FROM locked JOIN unnest(:seq::text[], :now::int8[]) AS n (id, now) ON n.id = locked.id
WHERE j.id = ANY (ARRAY[n.id]);

-- name: bring_back
-- Makes rows claimable again that somebody serves now.
WITH locked AS MATERIALIZED (
  SELECT id FROM {jobs}
  WHERE set_aside = 1
    AND (:queues::text IS NULL OR queue = ANY (ARRAY(SELECT json_array_elements_text(:queues::json))))
    AND name = ANY (ARRAY(SELECT json_array_elements_text(:names::json)))
  ORDER BY id FOR UPDATE)
UPDATE {jobs} SET set_aside = 0, ready = CASE WHEN crashes < :quarantine THEN 1 ELSE 2 END, updated_at = :now
WHERE id = ANY (ARRAY(SELECT id FROM locked)) AND set_aside = 1;

-- name: long_aside
-- Jobs, but no drivers, that nobody has served for long.
SELECT id, unique_key, concurrency_key, run_id, step FROM {jobs}
WHERE set_aside = 1 AND run_at <= :due AND kind <> 'workflow' ORDER BY run_at, id LIMIT :limit FOR UPDATE SKIP LOCKED;

-- name: fail_unserved
-- Ends a job that nobody serves.
UPDATE {jobs} SET state = 'failed', ready = 0, set_aside = 0, reason = 'no_handler', finished_at = :now,
  updated_at = :now
WHERE id = :id AND set_aside = 1;
