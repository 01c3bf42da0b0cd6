-- part: has_key
j.concurrency_key = wanted.key AND j.finished_at IS NULL

-- part: holds
kind = 'workflow' AND started_at IS NOT NULL

-- part: wanted_keys
json_array_elements_text(:keys::text::json) AS wanted (key)

-- name: lock_concurrency
-- Locks concurrency keys in order, whether or not they are known.
INSERT INTO {concurrency_keys} (key, most)
SELECT wanted.key, NULL FROM {wanted_keys} ORDER BY wanted.key COLLATE "C"
ON CONFLICT (key) DO UPDATE SET most = 0 WHERE false;

-- name: lock_concurrency_at_once
-- As above for keys of jobs, which are known, where others are locked already: without waiting.
SELECT 1 FROM {concurrency_keys} WHERE key = ANY (ARRAY(SELECT wanted.key FROM {wanted_keys}))
ORDER BY key FOR UPDATE NOWAIT;

-- name: key_rooms
-- Of each key: its maximum, how many of its jobs run or hold a place as drivers of open runs, whether any waits.
SELECT wanted.key, k.most,
  (SELECT count(*) FROM {jobs} AS j WHERE {has_key} AND j.state = 'running')
    + (SELECT count(*) FROM {jobs} AS j WHERE {has_key} AND {holds} AND j.state IN ('pending', 'retrying')),
  EXISTS (SELECT 1 FROM {jobs} AS j WHERE {has_key} AND j.state IN ('pending', 'retrying') AND NOT ({holds}))
FROM {wanted_keys} LEFT JOIN {concurrency_keys} AS k ON k.key = wanted.key;

-- name: set_key
-- Keeps the maxima that an enqueue brought.
INSERT INTO {concurrency_keys} (key, most)
SELECT n.key, n.most FROM unnest(:key::text[], :most::int8[]) AS n (key, most) ORDER BY n.key COLLATE "C"
ON CONFLICT (key) DO UPDATE SET most = excluded.most;

-- name: set_missing_key
-- Gives a key the maximum of a job that waits again, unless it has one.
INSERT INTO {concurrency_keys} AS k (key, most)
SELECT concurrency_key, concurrency_max FROM {jobs} WHERE id = :id AND concurrency_key IS NOT NULL
ON CONFLICT (key) DO UPDATE SET most = excluded.most WHERE k.most IS NULL;

-- name: forget_keys
-- Removes the keys that no unfinished job has.
DELETE FROM {concurrency_keys} WHERE key = ANY (ARRAY(
  SELECT wanted.key FROM {wanted_keys} WHERE NOT EXISTS (SELECT 1 FROM {jobs} AS j WHERE {has_key})));

-- name: key_of
-- The concurrency key of a job.
SELECT concurrency_key FROM {jobs} WHERE id = :id;

-- name: key_running
-- Which jobs hold the places of a key.
SELECT id FROM {jobs} WHERE concurrency_key = :key AND finished_at IS NULL AND state = 'running'
UNION ALL SELECT id FROM {jobs}
  WHERE concurrency_key = :key AND finished_at IS NULL AND {holds} AND state IN ('pending', 'retrying')
ORDER BY id LIMIT :limit;

-- name: block_job
-- Takes due rows whose key is full out of the workers' way.
UPDATE {jobs} SET ready = 0, blocked = 1 WHERE id = ANY (:seq::text[]);

-- name: unblock_job
-- Makes blocked rows claimable again.
UPDATE {jobs} AS j SET blocked = 0, ready = CASE WHEN j.crashes < n.quarantine THEN 1 ELSE 2 END
FROM unnest(:seq::text[], :quarantine::int8[]) AS n (id, quarantine)
WHERE j.id = n.id AND j.blocked = 1;

-- name: blocked_places
-- In which queues rows of these keys are blocked, by jumping from queue to queue in the index.
WITH RECURSIVE walk (queue) AS (
  SELECT min(queue) FROM {jobs} WHERE blocked = 1
  UNION ALL
  SELECT (SELECT min(j.queue) FROM {jobs} AS j WHERE blocked = 1 AND j.queue > walk.queue)
  FROM walk WHERE walk.queue IS NOT NULL
)
SELECT wanted.key, walk.queue FROM walk CROSS JOIN {wanted_keys}
WHERE walk.queue IS NOT NULL AND EXISTS (
  SELECT 1 FROM {jobs} AS j WHERE j.blocked = 1 AND j.queue = walk.queue AND j.concurrency_key = wanted.key);

-- name: blocked_groups
-- Lanes and names with blocked rows of a key in a queue, each with its first row, by jumping from one to the next.
WITH RECURSIVE walk AS (
  (SELECT lane, name, priority, run_at, id FROM {jobs}
    WHERE blocked = 1 AND queue = :queue AND concurrency_key = :key
    ORDER BY lane, name, priority DESC, run_at, id LIMIT 1)
  UNION ALL
  SELECT next.* FROM walk CROSS JOIN LATERAL (
    SELECT j.lane, j.name, j.priority, j.run_at, j.id FROM {jobs} AS j
    WHERE j.blocked = 1 AND j.queue = :queue AND j.concurrency_key = :key
      AND (j.lane, j.name) > (walk.lane, walk.name)
    ORDER BY j.lane, j.name, j.priority DESC, j.run_at, j.id LIMIT 1) AS next
)
SELECT lane, name, priority, run_at, id FROM walk;

-- name: first_blocked
-- The first blocked rows of a key in a queue, lane and name that nobody else is changing: their places, and whether
-- they will start as usual.
SELECT id, crashes < :quarantine::int8
  AND (expires_at IS NULL OR started_at IS NOT NULL OR expires_at >= :now::int8)
FROM {jobs}
WHERE blocked = 1 AND queue = :queue AND concurrency_key = :key AND lane = :lane AND name = :name
ORDER BY priority DESC, run_at, id LIMIT :limit FOR UPDATE SKIP LOCKED;

-- name: claimable_before
-- How many due rows of the same key, queue, lane and name are claimable before a place.
SELECT count(*) FROM (
  SELECT 1 FROM {jobs}
  WHERE concurrency_key = :key AND finished_at IS NULL AND state IN ('pending', 'retrying') AND ready = 1
    AND NOT ({holds}) AND queue = :queue AND lane = :lane AND name = :name AND run_at <= :now
    AND (priority > :priority OR (priority = :priority AND (run_at, id) < (:run_at::int8, :id::text)))
  LIMIT :limit) AS before;

-- name: blocked_keys
-- Keys with blocked rows, after a queue and key, by jumping from one to the next.
WITH RECURSIVE walk AS (
  (SELECT queue, concurrency_key FROM {jobs}
    WHERE blocked = 1 AND (queue, concurrency_key) > (:queue::text, :key::text)
    ORDER BY queue, concurrency_key LIMIT 1)
  UNION ALL
  SELECT next.* FROM walk CROSS JOIN LATERAL (
    SELECT j.queue, j.concurrency_key FROM {jobs} AS j
    WHERE j.blocked = 1 AND (j.queue, j.concurrency_key) > (walk.queue, walk.concurrency_key)
    ORDER BY j.queue, j.concurrency_key LIMIT 1) AS next
)
SELECT queue, concurrency_key FROM walk LIMIT :limit;
