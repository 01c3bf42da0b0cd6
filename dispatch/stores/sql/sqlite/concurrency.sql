-- part: has_key
concurrency_key = wanted.value AND finished_at IS NULL

-- part: holds
kind = 'workflow' AND started_at IS NOT NULL

-- name: key_rooms
-- Of each key: its maximum, how many of its jobs run or hold a place as drivers of open runs, whether any waits.
SELECT wanted.value, concurrency_keys.most,
  (SELECT count(*) FROM jobs INDEXED BY jobs_keyed WHERE {has_key} AND state = 'running')
    + (SELECT count(*) FROM jobs INDEXED BY jobs_places WHERE {has_key} AND {holds} AND state IN ('pending', 'retrying')),
  EXISTS (SELECT 1 FROM jobs INDEXED BY jobs_keyed
    WHERE {has_key} AND state IN ('pending', 'retrying') AND NOT ({holds}))
FROM json_each(:keys) AS wanted LEFT JOIN concurrency_keys ON concurrency_keys.key = wanted.value;

-- name: set_key
-- Keeps the maximum that an enqueue brought.
INSERT INTO concurrency_keys (key, most) VALUES (:key, :most)
ON CONFLICT (key) DO UPDATE SET most = excluded.most;

-- name: set_missing_key
-- Gives a key the maximum of a job that waits again, unless it has one.
INSERT INTO concurrency_keys (key, most)
SELECT concurrency_key, concurrency_max FROM jobs WHERE id = :id AND concurrency_key IS NOT NULL
ON CONFLICT (key) DO NOTHING;

-- name: forget_keys
-- Removes the keys that no unfinished job has.
DELETE FROM concurrency_keys WHERE key IN (
  SELECT wanted.value FROM json_each(:keys) AS wanted
  WHERE NOT EXISTS (SELECT 1 FROM jobs INDEXED BY jobs_keyed WHERE {has_key}));

-- name: key_of
-- The concurrency key of a job.
SELECT concurrency_key FROM jobs WHERE id = :id;

-- name: key_running
-- Which jobs hold the places of a key.
SELECT id FROM jobs INDEXED BY jobs_keyed WHERE concurrency_key = :key AND finished_at IS NULL AND state = 'running'
UNION ALL SELECT id FROM jobs INDEXED BY jobs_places
  WHERE concurrency_key = :key AND finished_at IS NULL AND {holds} AND state IN ('pending', 'retrying')
ORDER BY id LIMIT :limit;

-- name: block_job
-- Takes a due row whose key is full out of the workers' way.
UPDATE jobs SET ready = 0, blocked = 1 WHERE seq = :seq;

-- name: unblock_job
-- Makes a blocked row claimable again.
UPDATE jobs SET blocked = 0, ready = CASE WHEN crashes < :quarantine THEN 1 ELSE 2 END WHERE seq = :seq;

-- name: blocked_places
-- In which queues rows of these keys are blocked, by jumping from queue to queue in the index.
WITH RECURSIVE walk (queue) AS (
  SELECT min(queue) FROM jobs INDEXED BY jobs_blocked WHERE blocked = 1
  UNION ALL
  SELECT (SELECT min(jobs.queue) FROM jobs INDEXED BY jobs_blocked WHERE blocked = 1 AND jobs.queue > walk.queue)
  FROM walk WHERE walk.queue IS NOT NULL
)
SELECT wanted.value, walk.queue FROM walk JOIN json_each(:keys) AS wanted
WHERE walk.queue IS NOT NULL AND EXISTS (
  SELECT 1 FROM jobs INDEXED BY jobs_blocked
  WHERE blocked = 1 AND jobs.queue = walk.queue AND jobs.concurrency_key = wanted.value);

-- name: blocked_groups
-- Lanes and names with blocked rows of a key in a queue, each with its first row, by jumping from one to the next.
-- Compared as a pair, (lane, name) would be found by walking through all rows of the lane.
WITH RECURSIVE walk (seq) AS (
  SELECT (SELECT seq FROM jobs INDEXED BY jobs_blocked
    WHERE blocked = 1 AND queue = :queue AND concurrency_key = :key
    ORDER BY lane, name, priority DESC, run_at, id LIMIT 1)
  UNION ALL
  SELECT coalesce(
    (SELECT jobs.seq FROM jobs INDEXED BY jobs_blocked
      WHERE blocked = 1 AND jobs.queue = :queue AND jobs.concurrency_key = :key
        AND jobs.lane = here.lane AND jobs.name > here.name
      ORDER BY jobs.name, jobs.priority DESC, jobs.run_at, jobs.id LIMIT 1),
    (SELECT jobs.seq FROM jobs INDEXED BY jobs_blocked
      WHERE blocked = 1 AND jobs.queue = :queue AND jobs.concurrency_key = :key AND jobs.lane > here.lane
      ORDER BY jobs.lane, jobs.name, jobs.priority DESC, jobs.run_at, jobs.id LIMIT 1))
  FROM walk JOIN jobs AS here ON here.seq = walk.seq
)
SELECT lane, name, priority, run_at, id FROM walk JOIN jobs ON jobs.seq = walk.seq;

-- name: first_blocked
-- The first blocked rows of a key in a queue, lane and name: their places, and whether they will start as usual.
SELECT seq, crashes < :quarantine AND (expires_at IS NULL OR started_at IS NOT NULL OR expires_at >= :now)
FROM jobs INDEXED BY jobs_blocked
WHERE blocked = 1 AND queue = :queue AND concurrency_key = :key AND lane = :lane AND name = :name
ORDER BY priority DESC, run_at, id LIMIT :limit;

-- name: claimable_before
-- How many due rows of the same key, queue, lane and name are claimable before a place.
SELECT count(*) FROM (
  SELECT 1 FROM jobs INDEXED BY jobs_keyed
  WHERE concurrency_key = :key AND finished_at IS NULL AND state IN ('pending', 'retrying') AND ready = 1
    AND NOT ({holds}) AND queue = :queue AND lane = :lane AND name = :name AND run_at <= :now
    AND (priority > :priority OR (priority = :priority AND (run_at, id) < (:run_at, :id)))
  LIMIT :limit);

-- name: blocked_keys
-- Keys with blocked rows, after a queue and key, by jumping from one to the next.
WITH RECURSIVE walk (seq) AS (
  SELECT (SELECT seq FROM jobs INDEXED BY jobs_blocked
    WHERE blocked = 1 AND (queue, concurrency_key) > (:queue, :key) ORDER BY queue, concurrency_key LIMIT 1)
  UNION ALL
  SELECT coalesce(
    (SELECT jobs.seq FROM jobs INDEXED BY jobs_blocked
      WHERE blocked = 1 AND jobs.queue = here.queue AND jobs.concurrency_key > here.concurrency_key
      ORDER BY jobs.concurrency_key LIMIT 1),
    (SELECT jobs.seq FROM jobs INDEXED BY jobs_blocked
      WHERE blocked = 1 AND jobs.queue > here.queue ORDER BY jobs.queue, jobs.concurrency_key LIMIT 1))
  FROM walk JOIN jobs AS here ON here.seq = walk.seq
)
SELECT queue, concurrency_key FROM walk JOIN jobs ON jobs.seq = walk.seq LIMIT :limit;
