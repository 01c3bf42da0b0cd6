-- part: has_key
concurrency_key = wanted.`key` AND finished_at IS NULL

-- part: holds
kind = 'workflow' AND started_at IS NOT NULL

-- part: wanted_keys
JSON_TABLE(:keys, '$[*]' COLUMNS (`key` VARCHAR(700) PATH '$')) AS wanted

-- name: lock_concurrency
-- Locks concurrency keys in order, whether or not they are known.
INSERT INTO {concurrency_keys} (`key`, most) SELECT wanted.`key`, NULL FROM {wanted_keys} ORDER BY wanted.`key`
ON DUPLICATE KEY UPDATE most = {concurrency_keys}.most;

-- name: lock_concurrency_at_once
-- As above for keys of jobs, which are known, where others are locked already: without waiting.
SELECT 1 FROM {concurrency_keys} AS concurrency_keys WHERE `key` IN :keys ORDER BY `key` FOR UPDATE NOWAIT;

-- name: key_rooms
-- Of each key: its maximum, how many of its jobs run or hold a place as drivers of open runs, whether any waits.
SELECT wanted.`key`, concurrency_keys.most,
  (SELECT count(*) FROM {jobs} AS jobs FORCE INDEX (jobs_keyed) WHERE {has_key} AND state = 'running')
    + (SELECT count(*) FROM {jobs} AS jobs FORCE INDEX (jobs_places)
      WHERE place = wanted.`key` AND state IN ('pending', 'retrying')),
  EXISTS (SELECT 1 FROM {jobs} AS jobs FORCE INDEX (jobs_keyed)
    WHERE {has_key} AND state IN ('pending', 'retrying') AND NOT ({holds}))
FROM {wanted_keys} LEFT JOIN {concurrency_keys} AS concurrency_keys ON concurrency_keys.`key` = wanted.`key`;

-- name: set_key
-- Keeps the maximum that an enqueue brought.
INSERT INTO {concurrency_keys} (`key`, most) VALUES (:key, :most)
ON DUPLICATE KEY UPDATE most = VALUES(most);

-- name: set_missing_key
-- Gives a key the maximum of a job that waits again, unless it has one.
INSERT INTO {concurrency_keys} (`key`, most)
SELECT concurrency_key, concurrency_max FROM {jobs} AS jobs WHERE id = :id AND concurrency_key IS NOT NULL
ON DUPLICATE KEY UPDATE most = coalesce({concurrency_keys}.most, VALUES(most));

-- name: forget_keys
-- Removes the keys that no unfinished job has.
SELECT wanted.`key` FROM {wanted_keys}
WHERE NOT EXISTS (SELECT 1 FROM {jobs} AS jobs FORCE INDEX (jobs_keyed) WHERE {has_key});
DELETE FROM {concurrency_keys} WHERE `key` IN :found;

-- name: key_of
-- The concurrency key of a job.
SELECT concurrency_key FROM {jobs} AS jobs WHERE id = :id;

-- name: key_running
-- Which jobs hold the places of a key.
SELECT id FROM {jobs} AS jobs FORCE INDEX (jobs_keyed)
  WHERE concurrency_key = :key AND finished_at IS NULL AND state = 'running'
UNION ALL SELECT id FROM {jobs} AS jobs FORCE INDEX (jobs_places)
  WHERE place = :key AND state IN ('pending', 'retrying')
ORDER BY id LIMIT :limit;

-- name: block_job
-- Takes a due row whose key is full out of the workers' way.
UPDATE {jobs} AS jobs SET ready = 0, blocked = 1 WHERE id = :seq;

-- name: unblock_job
-- Makes a blocked row claimable again.
UPDATE {jobs} AS jobs SET blocked = 0, ready = CASE WHEN crashes < :quarantine THEN 1 ELSE 2 END
WHERE id = :seq AND blocked = 1;

-- name: blocked_places
-- In which queues rows of these keys are blocked.
SELECT DISTINCT concurrency_key, queue FROM {jobs} AS jobs FORCE INDEX (jobs_blocked)
WHERE blocked = 1 AND concurrency_key IN :keys ORDER BY queue, concurrency_key;

-- name: blocked_groups
-- Lanes and names with blocked rows of a key in a queue, each with its first row.
SELECT lane, name, priority, run_at, id FROM (
  SELECT lane, name, priority, run_at, id,
    row_number() OVER (PARTITION BY lane, name ORDER BY priority DESC, run_at, id) AS place
  FROM {jobs} AS jobs FORCE INDEX (jobs_blocked) WHERE blocked = 1 AND queue = :queue AND concurrency_key = :key
) AS ranked WHERE place = 1 ORDER BY lane, name;

-- name: first_blocked
-- The first blocked rows of a key in a queue, lane and name that nobody else is changing: their places, and whether
-- they will start as usual.
SELECT id, crashes < :quarantine AND (expires_at IS NULL OR started_at IS NOT NULL OR expires_at >= :now)
FROM {jobs} AS jobs FORCE INDEX (jobs_blocked)
WHERE blocked = 1 AND queue = :queue AND concurrency_key = :key AND lane = :lane AND name = :name
ORDER BY priority DESC, run_at, id LIMIT :limit FOR UPDATE SKIP LOCKED;

-- name: claimable_before
-- How many due rows of the same key, queue, lane and name are claimable before a place.
SELECT count(*) FROM (
  SELECT 1 FROM {jobs} AS jobs FORCE INDEX (jobs_keyed)
  WHERE concurrency_key = :key AND finished_at IS NULL AND state IN ('pending', 'retrying') AND ready = 1
    AND NOT ({holds}) AND queue = :queue AND lane = :lane AND name = :name AND run_at <= :now
    AND (priority > :priority OR (priority = :priority AND (run_at < :run_at OR (run_at = :run_at AND id < :id))))
  LIMIT :limit) AS earlier;

-- name: blocked_keys
-- Keys with blocked rows, after a queue and key.
SELECT DISTINCT queue, concurrency_key FROM {jobs} AS jobs FORCE INDEX (jobs_blocked)
WHERE blocked = 1 AND queue >= :queue AND (queue > :queue OR concurrency_key > :key)
ORDER BY queue, concurrency_key LIMIT :limit;
