-- part: job_columns
id, created_at, updated_at, name, queue, state, payload, run_at, kind, lane, priority, failures, crashes,
epoch, worker_id, lease_until, started_at, finished_at, scheduled_at, expires_at, max_retries, timeout, backoff,
keep_result, result, error_type, error_message, error_traceback, reason, cancel_reason, unique_key,
effect_key, metadata, tags, app_id, org_id, progress, progress_note, set_aside, behind, replay_of,
concurrency_key, concurrency_max, blocked, run_id, step

-- part: in_scope
(:app_id::text IS NULL OR (app_id = :app_id AND org_id = :org_id::text))

-- part: job_filter
(:queues::text IS NULL OR queue = ANY (ARRAY(SELECT json_array_elements_text(:queues::text::json))))
AND (:names::text IS NULL OR name = ANY (ARRAY(SELECT json_array_elements_text(:names::text::json))))
AND {in_scope}

-- part: job_filter_row
(:created_after::int8 IS NULL OR created_at > :created_after)
AND (:created_before::int8 IS NULL OR created_at < :created_before)
AND (:tags::text IS NULL OR NOT EXISTS (
  SELECT 1 FROM json_array_elements_text(:tags::text::json) AS wanted (tag)
  WHERE wanted.tag NOT IN (SELECT json_array_elements_text(j.tags::json))))

-- name: insert_jobs
-- Adds waiting jobs that leave their options open, each in the lane that its queue wants; answers the new ids. Of an id
-- that comes twice the first counts, whatever order the join makes.
INSERT INTO {jobs} (id, ready, state, queue, name, kind, lane, priority, run_at, created_at, updated_at,
  app_id, org_id, metadata, payload)
SELECT n.id, 1, 'pending', n.queue, n.name, n.kind,
  coalesce(n.lane, CASE WHEN q.fair = 1 OR q.tenant_concurrency IS NOT NULL THEN n.tenant END, ''),
  n.priority, n.run_at, n.now, n.now, n.app_id, n.org_id, n.metadata, n.payload
FROM unnest(:id::text[], :queue::text[], :name::text[], :kind::text[], :lane::text[], :tenant::text[],
  :priority::int8[], :run_at::int8[], :now::int8[], :app_id::text[], :org_id::text[], :metadata::text[],
  :payload::bytea[])
  WITH ORDINALITY AS n (id, queue, name, kind, lane, tenant, priority, run_at, now, app_id, org_id, metadata, payload,
    number)
LEFT JOIN {queues} AS q ON q.name = n.queue
ORDER BY n.number
ON CONFLICT (id) DO NOTHING
RETURNING id;

-- name: insert_same_jobs
-- The same for jobs that differ in id and payload only; answers the new ids, NULL where all of them are new.
WITH added AS (
  {add_same_jobs}
  ON CONFLICT (id) DO NOTHING
  RETURNING id
)
SELECT CASE WHEN count(*) < cardinality(:id::text[]) THEN coalesce(array_agg(id), ARRAY[]::text[]) END FROM added;

-- name: insert_new_jobs
-- The same for jobs whose ids were never written, which costs a third less; refused where one of them was.
{add_same_jobs};

-- name: insert_new_jobs_and_tell
-- The same with a notification, unless another transaction brings one: who notifies keeps all others that do so waiting
-- until it is on the disk. Answers whether it did.
WITH added AS ({add_same_jobs} RETURNING 1)
SELECT CASE WHEN pg_try_advisory_xact_lock(1146310468, hashtext(:channel::text))
  THEN (SELECT true FROM pg_notify(:channel, :sender::text)) ELSE false END FROM (SELECT count(*) FROM added) AS all_of_them;

-- name: insert_new_job
-- One job whose id was never written; refused where it was.
{add_job};

-- name: insert_new_job_and_tell
-- The same with a notification, as above.
WITH added AS ({add_job} RETURNING 1)
SELECT CASE WHEN pg_try_advisory_xact_lock(1146310468, hashtext(:channel::text))
  THEN (SELECT true FROM pg_notify(:channel, :sender::text)) ELSE false END FROM (SELECT count(*) FROM added) AS the_one;

-- part: add_job
INSERT INTO {jobs} (id, ready, state, queue, name, kind, lane, priority, run_at, created_at, updated_at,
  app_id, org_id, metadata, payload)
VALUES (:id, 1, 'pending', :queue, :name, :kind, coalesce(:lane::text, (
    SELECT :tenant::text FROM {queues} WHERE name = :queue AND (fair = 1 OR tenant_concurrency IS NOT NULL)
  ), ''), :priority, :run_at, :now::int8, :now, :app_id, :org_id, :metadata, :payload)

-- part: add_same_jobs
INSERT INTO {jobs} (id, ready, state, queue, name, kind, lane, priority, run_at, created_at, updated_at,
  app_id, org_id, metadata, payload)
SELECT n.id, 1, 'pending', :queue, :name, :kind, coalesce(:lane::text, (
    SELECT :tenant::text FROM {queues} WHERE name = :queue AND (fair = 1 OR tenant_concurrency IS NOT NULL)
  ), ''), :priority, :run_at, :now::int8, :now, :app_id, :org_id, :metadata, n.payload
FROM unnest(:id::text[], :payload::bytea[]) AS n (id, payload)

-- name: jobs_before
-- Which of these ids another transaction wrote.
SELECT id FROM {jobs}
WHERE id = ANY (ARRAY(SELECT json_array_elements_text(:ids::text::json))) AND :added::int8 IS NOT NULL
  AND xmin::text::int8 <> pg_current_xact_id()::text::int8 % 4294967296;

-- name: insert_plain_job
-- Adds waiting jobs that leave their options open; an id that is there already changes nothing.
INSERT INTO {jobs} (id, ready, state, queue, name, kind, lane, priority, run_at, created_at, updated_at,
  app_id, org_id, metadata, payload)
SELECT n.id, 1, 'pending', n.queue, n.name, n.kind, n.lane, n.priority, n.run_at, n.now, n.now, n.app_id, n.org_id,
  n.metadata, n.payload
FROM unnest(:id::text[], :queue::text[], :name::text[], :kind::text[], :lane::text[], :priority::int8[],
  :run_at::int8[], :now::int8[], :app_id::text[], :org_id::text[], :metadata::text[], :payload::bytea[])
  AS n (id, queue, name, kind, lane, priority, run_at, now, app_id, org_id, metadata, payload)
ON CONFLICT (id) DO NOTHING;

-- name: insert_alike_jobs
-- Adds waiting jobs that differ in id and payload only, given as a JSON object (id: payload as text); as above.
INSERT INTO {jobs} (id, ready, state, queue, name, kind, lane, priority, run_at, created_at, updated_at,
  app_id, org_id, metadata, payload)
SELECT n.id, 1, 'pending', :queue, :name, :kind, :lane, :priority, :run_at, :now::int8, :now, :app_id, :org_id,
  :metadata, convert_to(n.payload, 'UTF8') FROM json_each_text(:payloads::text::json) AS n (id, payload)
ON CONFLICT (id) DO NOTHING;

-- name: insert_job
-- Adds waiting jobs; an id that is there already changes nothing.
INSERT INTO {jobs} (id, ready, state, queue, name, kind, lane, priority, run_at, unique_key, unique_until,
  unique_hold_until, created_at, updated_at, scheduled_at, expires_at, max_retries, timeout, backoff, keep_result,
  app_id, org_id, effect_key, metadata, tags, behind, replay_of, concurrency_key, concurrency_max, blocked, run_id,
  step, payload)
SELECT n.id, n.ready, 'pending', n.queue, n.name, n.kind, n.lane, n.priority, n.run_at, n.unique_key, n.unique_until,
  n.unique_hold_until, n.now, n.now, n.scheduled_at, n.expires_at, n.max_retries, n.timeout, n.backoff, n.keep_result,
  n.app_id, n.org_id, n.effect_key, n.metadata, n.tags, n.behind, n.replay_of, n.concurrency_key, n.concurrency_max,
  n.blocked, n.run_id, n.step, n.payload
FROM unnest(:id::text[], :ready::int2[], :queue::text[], :name::text[], :kind::text[], :lane::text[],
  :priority::int8[], :run_at::int8[], :unique_key::text[], :unique_until::text[], :unique_hold_until::int8[],
  :now::int8[], :scheduled_at::int8[], :expires_at::int8[], :max_retries::int8[], :timeout::float8[], :backoff::text[],
  :keep_result::int2[], :app_id::text[], :org_id::text[], :effect_key::text[], :metadata::text[], :tags::text[],
  :behind::text[], :replay_of::text[], :concurrency_key::text[], :concurrency_max::int8[], :blocked::int2[],
  :run_id::text[], :step::text[], :payload::bytea[])
  AS n (id, ready, queue, name, kind, lane, priority, run_at, unique_key, unique_until, unique_hold_until,
    now, scheduled_at, expires_at, max_retries, timeout, backoff, keep_result, app_id, org_id, effect_key, metadata,
    tags, behind, replay_of, concurrency_key, concurrency_max, blocked, run_id, step, payload)
ON CONFLICT (id) DO NOTHING;

-- name: replace_job
-- Puts another payload and its options into a waiting job; one with a concurrency key takes its place anew.
UPDATE {jobs} SET payload = :payload::bytea, concurrency_key = :concurrency_key, concurrency_max = :concurrency_max,
  blocked = CASE WHEN behind IS NULL AND set_aside = 0 THEN :blocked::int8 ELSE 0 END,
  ready = CASE WHEN behind IS NOT NULL OR set_aside = 1 OR :blocked = 1 THEN 0
    WHEN crashes < :quarantine THEN 1 ELSE 2 END,
  run_at = :run_at, priority = :priority, metadata = :metadata, tags = :tags, max_retries = :max_retries, timeout = :timeout, backoff = :backoff, keep_result = :keep_result,
  expires_at = :expires_at, updated_at = :now
WHERE id = :id AND state IN ('pending', 'retrying');

-- name: jobs_known
-- Which of some ids are taken.
SELECT id FROM {jobs} WHERE id = ANY (ARRAY(SELECT json_array_elements_text(:ids::text::json)));

-- name: job_state
-- The state of one job.
SELECT state FROM {jobs} WHERE id = :id;

-- name: get_job
-- One job.
SELECT {job_columns} FROM {jobs} WHERE id = :id AND {in_scope};

-- name: lock_job
-- Locks one job.
SELECT 1 FROM {jobs} WHERE id = :id FOR UPDATE;

-- name: lock_jobs
-- Locks jobs, and the drivers of the runs that wait for them, in the order of their ids; answers the jobs' unique keys.
WITH asked AS MATERIALIZED (SELECT json_array_elements_text(:ids::text::json) AS id)
SELECT CASE WHEN id = ANY (ARRAY(SELECT id FROM asked)) THEN unique_key END FROM {jobs}
WHERE id = ANY (ARRAY(
  SELECT id FROM asked
  UNION
  SELECT driver FROM {runs} WHERE id = ANY (ARRAY(
    SELECT run_id FROM {jobs} WHERE id = ANY (ARRAY(SELECT id FROM asked)) AND step IS NOT NULL))))
ORDER BY id FOR UPDATE;

-- name: lock_job_at_once
-- Locks one job after its unique key was locked, against the usual order: without waiting.
SELECT 1 FROM {jobs} WHERE id = :id FOR UPDATE NOWAIT;

-- name: lock_successors
-- Locks the jobs behind one after their unique key was locked, against the usual order: without waiting.
SELECT 1 FROM {jobs} WHERE behind = :behind ORDER BY id FOR UPDATE NOWAIT;

-- name: lock_keys
-- Locks unique keys in order, whether or not anybody holds them.
INSERT INTO {unique_keys} (key, job_id, live, hold_until)
SELECT k.key, '', 0, NULL FROM json_array_elements_text(:keys::text::json) AS k (key) ORDER BY k.key COLLATE "C"
ON CONFLICT (key) DO UPDATE SET live = 0 WHERE false;

-- name: unique_holder
-- Who holds a unique key, and whether it waits although it has expired before its first start.
SELECT job_id, live, hold_until, live = 1 AND EXISTS (
  SELECT 1 FROM {jobs} AS j WHERE j.id = held.job_id AND j.state IN ('pending', 'retrying') AND j.started_at IS NULL
    AND j.behind IS NULL AND j.expires_at < :now AND NOT EXISTS (
      SELECT 1 FROM {runs} AS r WHERE j.kind = 'workflow' AND r.id = j.run_id AND r.compensating = 1))
FROM {unique_keys} AS held WHERE key = :key;

-- name: keys_taken
-- Which of some unique keys are taken, if only by their time.
SELECT key FROM {unique_keys} WHERE key = ANY (ARRAY(SELECT json_array_elements_text(:keys::text::json)));

-- name: take_unique
-- Gives unique keys, each named once, to jobs; the longer holding time counts.
INSERT INTO {unique_keys} AS held (key, job_id, live, hold_until)
SELECT n.key, n.job_id, 1, n.hold_until FROM unnest(:key::text[], :job_id::text[], :hold_until::int8[])
  AS n (key, job_id, hold_until)
ON CONFLICT (key) DO UPDATE SET job_id = excluded.job_id, live = 1,
  hold_until = greatest(held.hold_until, excluded.hold_until);

-- name: hold_unique
-- Keeps a key taken until its time although its job does not need it any more.
UPDATE {unique_keys} SET live = 0 WHERE key = :key AND job_id = :job_id AND hold_until > :now;

-- name: free_unique
-- Frees a key that its job does not need any more and no time holds.
DELETE FROM {unique_keys}
WHERE key = :key AND ((job_id = :job_id AND live = 1) OR (live = 0 AND hold_until IS NULL));

-- name: prune_unique
-- Removes a few keys whose holding time is over, or that were only made to be locked.
DELETE FROM {unique_keys} WHERE key = ANY (ARRAY(
  SELECT key FROM {unique_keys} WHERE live = 0 AND coalesce(hold_until <= :now::int8, true)
  LIMIT 20 FOR UPDATE SKIP LOCKED));

-- name: successors
-- The jobs that wait for the end of one, first come first.
SELECT id, unique_hold_until FROM {jobs} WHERE behind = :behind AND state = 'pending' ORDER BY created_at, id;

-- name: free_successor
-- Makes the job behind a finished one claimable.
UPDATE {jobs} SET behind = NULL, ready = 1, updated_at = :now WHERE id = :id AND state = 'pending';

-- name: queue_behind
-- Makes a successor wait for another job.
UPDATE {jobs} SET behind = :behind WHERE id = :id AND state = 'pending';

-- name: lock_idempotency
-- Locks idempotency keys in order, whether or not they were used.
INSERT INTO {idempotency} (tenant, key, job_id, fingerprint, expires_at)
SELECT k.pair ->> 0, k.pair ->> 1, '', '', 0 FROM json_array_elements(:pairs::text::json) AS k (pair)
ORDER BY (k.pair ->> 0) COLLATE "C", (k.pair ->> 1) COLLATE "C"
ON CONFLICT (tenant, key) DO UPDATE SET expires_at = 0 WHERE false;

-- name: idempotent
-- The job that an idempotency key made.
SELECT job_id, fingerprint FROM {idempotency} WHERE tenant = :tenant AND key = :key AND expires_at > :now;

-- name: keep_idempotent
-- Remembers which job an idempotency key made.
INSERT INTO {idempotency} (tenant, key, job_id, fingerprint, expires_at)
VALUES (:tenant, :key, :job_id, :fingerprint, :expires_at)
ON CONFLICT (tenant, key) DO UPDATE SET job_id = excluded.job_id, fingerprint = excluded.fingerprint,
  expires_at = excluded.expires_at;

-- name: prune_idempotency
-- Removes a few idempotency keys whose time is over.
DELETE FROM {idempotency} WHERE ctid = ANY (ARRAY(
  SELECT ctid FROM {idempotency} WHERE expires_at <= :now LIMIT 20 FOR UPDATE SKIP LOCKED));

-- name: complete_job
-- The short way to completed, for jobs without keys that are no part of a run; answers the numbers of those that were.
-- What somebody else has changed meanwhile is looked at as it is then. `= ANY (ARRAY[one])` can only be looked up in the
-- index, row by row and in the order of the ids: no plan reads what has run or all that runs (hence the state, too, as
-- a column), nor locks in another order than others do.
UPDATE {jobs} AS j SET state = 'completed', result = n.result, finished_at = n.now, updated_at = n.now,
  lease_until = NULL
FROM (
  SELECT id, epoch, result, worker_id, now, number, 'running' AS state
  FROM unnest(:id::text[], :epoch::int8[], :result::bytea[], :worker_id::text[], :now::int8[]) WITH ORDINALITY
    AS n (id, epoch, result, worker_id, now, number)
  ORDER BY id COLLATE "C"
) AS n
WHERE j.id = ANY (ARRAY[n.id]) AND j.state = n.state AND j.worker_id = n.worker_id AND j.epoch = n.epoch
  AND j.unique_key IS NULL AND j.concurrency_key IS NULL AND j.run_id IS NULL
RETURNING n.number;

-- name: job_held
-- What a transition needs to know of its job.
SELECT state, worker_id, epoch, failures, crashes, cancel_reason, unique_key, left_as, started_at, run_at,
  concurrency_key, kind, run_id, step
FROM {jobs} WHERE id = :id;

-- name: leave_running
-- Ends a claim, whatever its outcome.
UPDATE {jobs} SET state = :state, ready = :ready, failures = :failures, run_at = :run_at, lease_until = NULL,
  worker_id = :keeps_worker, finished_at = :finished_at, updated_at = :now, reason = :reason, left_as = :left_as,
  result = coalesce(:result::bytea, result), error_type = coalesce(:error_type::text, error_type),
  error_message = CASE WHEN :error_type IS NULL THEN error_message ELSE :error_message END,
  error_traceback = CASE WHEN :error_type IS NULL THEN error_traceback ELSE :error_traceback END
WHERE id = :id AND state = 'running' AND worker_id = :worker_id AND epoch = :epoch;

-- name: add_attempt
-- Keeps a failed or crashed attempt.
INSERT INTO {attempts} (job_id, number, kind, error_type, error_message, error_traceback, worker_id, epoch, started_at,
  ended_at)
VALUES (:job_id, :number, :kind, :error_type, :error_message, :error_traceback, :worker_id, :epoch, :started_at, :now);

-- name: attempts
-- The attempts of a job, oldest first.
SELECT number, kind, error_type, error_message, error_traceback, worker_id, epoch, started_at, ended_at
FROM {attempts} WHERE job_id = :job_id ORDER BY seq;

-- name: lock_held
-- Locks what runs in a worker's name.
SELECT 1 FROM {jobs} WHERE state = 'running' AND worker_id = :worker_id ORDER BY id FOR UPDATE;

-- name: held_by_worker
-- What runs in a worker's name.
SELECT id, epoch, cancel_reason IS NOT NULL FROM {jobs}
WHERE state = 'running' AND worker_id = :worker_id ORDER BY id;

-- name: renew_job
-- Extends leases.
UPDATE {jobs} AS j SET lease_until = n.lease_until
FROM unnest(:id::text[], :worker_id::text[], :epoch::int8[], :lease_until::int8[])
  AS n (id, worker_id, epoch, lease_until)
WHERE j.id = n.id AND j.state = 'running' AND j.worker_id = n.worker_id AND j.epoch = n.epoch;

-- name: renew_jobs
-- A whole renewal: locks what runs in the worker's name, extends what it named, answers all of it. The commit need not
-- wait for the disk.
WITH mine AS MATERIALIZED (
  SELECT id, epoch, cancel_reason IS NOT NULL AS cancel FROM {jobs}
  WHERE state = 'running' AND worker_id = :worker_id AND set_config('synchronous_commit', 'off', true) = 'off'
  ORDER BY id FOR UPDATE
), renewed AS (
  UPDATE {jobs} SET lease_until = :lease_until
  WHERE id = ANY (ARRAY(
      SELECT mine.id FROM mine
      WHERE (mine.id, mine.epoch) IN (SELECT n.id, n.epoch FROM unnest(:ids::text[], :epochs::int8[]) AS n (id, epoch))
    )) AND state = 'running' AND worker_id = :worker_id
  RETURNING id
)
SELECT mine.id, mine.epoch, mine.cancel, renewed.id IS NOT NULL FROM mine LEFT JOIN renewed ON renewed.id = mine.id
ORDER BY mine.id;

-- name: cancel_requests
-- Which running jobs of a worker shall stop.
SELECT id FROM {jobs}
WHERE state = 'running' AND cancel_reason IS NOT NULL AND worker_id = :worker_id ORDER BY id;

-- name: report_progress
-- Notes how far claimed jobs are; answers the numbers of those that were held.
WITH locked AS MATERIALIZED (SELECT id FROM {jobs} WHERE id = ANY (:id::text[]) ORDER BY id FOR UPDATE)
UPDATE {jobs} AS j SET progress = n.progress, progress_note = n.note, updated_at = n.now
FROM locked JOIN
  unnest(:id::text[], :worker_id::text[], :epoch::int8[], :progress::float8[], :note::text[], :now::int8[])
  WITH ORDINALITY AS n (id, worker_id, epoch, progress, note, now, number) ON n.id = locked.id
WHERE j.id = ANY (ARRAY[n.id]) AND j.state = 'running'
  AND j.worker_id = n.worker_id AND j.epoch = n.epoch
RETURNING n.number;

-- name: some_lapsed
-- Whether any running job's lease is over.
SELECT EXISTS (SELECT 1 FROM {jobs} WHERE state = 'running' AND lease_until < :now);

-- name: lapsed_jobs
-- Running jobs whose lease is over and that nobody else is ending at this moment, longest first.
SELECT {job_columns} FROM {jobs}
WHERE state = 'running' AND lease_until < :now ORDER BY lease_until, id LIMIT :limit FOR UPDATE SKIP LOCKED;

-- name: steal_job
-- Takes a job from a worker that was lost.
UPDATE {jobs} SET state = :state, ready = :ready, crashes = :crashes, run_at = :run_at, reason = :reason,
  finished_at = :finished_at, worker_id = NULL, lease_until = NULL, updated_at = :now, error_type = :error_type,
  error_message = :error_message, error_traceback = NULL
WHERE id = :id AND state = 'running' AND epoch = :epoch AND lease_until < :now;

-- name: request_cancel
-- Asks for the end of a running job.
UPDATE {jobs} SET cancel_reason = coalesce(cancel_reason, :reason), updated_at = :now
WHERE id = :id AND state = 'running';

-- name: cancel_plain
-- The short way to cancelled, for waiting jobs without keys that are no part of a run; answers the numbers of those.
WITH locked AS MATERIALIZED (
  SELECT id, state, unique_key, concurrency_key, run_id FROM {jobs} WHERE id = ANY (:id::text[]) ORDER BY id FOR UPDATE
), plain AS MATERIALIZED (
  SELECT n.id, n.reason, n.now, n.number FROM locked JOIN
    unnest(:id::text[], :reason::text[], :now::int8[]) WITH ORDINALITY AS n (id, reason, now, number) ON n.id = locked.id
  WHERE locked.state IN ('pending', 'retrying') AND locked.unique_key IS NULL AND locked.concurrency_key IS NULL
    AND locked.run_id IS NULL
)
UPDATE {jobs} AS j SET state = 'cancelled', ready = 0, set_aside = 0, reason = plain.reason, finished_at = plain.now,
  updated_at = plain.now
FROM plain WHERE j.id = ANY (ARRAY[plain.id])
RETURNING plain.number;

-- name: cancel_waiting
-- Cancels a job that has not been claimed.
UPDATE {jobs} SET state = 'cancelled', ready = 0, set_aside = 0, blocked = 0, behind = NULL, reason = :reason,
  finished_at = :now, updated_at = :now
WHERE id = :id AND state IN ('pending', 'retrying');

-- name: hurry_retry
-- Makes a waiting retry due now.
UPDATE {jobs} SET run_at = :now, updated_at = :now WHERE id = :id AND state = 'retrying';

-- name: revive_job
-- Makes a failed or cancelled job wait again; a driver waits for a place again.
UPDATE {jobs} SET state = 'pending', ready = 1, failures = 0, crashes = 0, run_at = :now, updated_at = :now,
  finished_at = NULL, expires_at = NULL, left_as = CASE WHEN worker_id IS NULL THEN left_as END, worker_id = NULL,
  cancel_reason = NULL, reason = NULL, set_aside = 0,
  started_at = CASE WHEN kind = 'workflow' AND concurrency_key IS NOT NULL THEN NULL ELSE started_at END
WHERE id = :id AND state IN ('failed', 'cancelled');

-- name: unique_of
-- The unique key of a job and until when it holds it in any case.
SELECT unique_key, unique_hold_until FROM {jobs} WHERE id = :id;

-- name: list_jobs
-- Jobs that match, newest first.
SELECT {job_columns} FROM {jobs} AS j
WHERE (:cursor::text IS NULL OR id < :cursor)
  AND kind = ANY (ARRAY(SELECT json_array_elements_text(:kinds::text::json)))
  AND {job_filter} AND {job_filter_row}
ORDER BY id DESC LIMIT :limit;

-- name: list_jobs_in_state
-- Jobs of one state and kind that match, newest first.
SELECT {job_columns} FROM {jobs} AS j
WHERE state <> 'running' AND state = :state AND kind = :kind AND id < :cursor AND {job_filter} AND {job_filter_row}
  AND hashtext(state) = hashtext(:state) AND ascii(kind) = ascii(:kind)
ORDER BY id DESC LIMIT :limit;

-- name: list_running_jobs
-- Running jobs that match, newest first.
SELECT {job_columns} FROM {jobs} AS j
WHERE state = 'running' AND kind = :kind AND id < :cursor AND {job_filter} AND {job_filter_row}
ORDER BY id DESC LIMIT :limit;

-- name: count_jobs
-- How many jobs match, by state.
SELECT state, count(*) FROM {jobs}
WHERE kind = ANY (ARRAY(SELECT json_array_elements_text(:kinds::text::json))) AND {job_filter}
GROUP BY state;

-- name: job_place
-- Where a waiting job stands.
SELECT queue, lane, priority, run_at FROM {jobs} WHERE id = :id AND state IN ('pending', 'retrying');

-- name: count_before
-- How many due jobs of the same priority stand before a place.
SELECT count(*) FROM (
  SELECT 1 FROM {jobs} WHERE ready = 1 AND queue = :queue AND lane = :lane AND priority = :priority AND run_at <= :now
    AND (run_at, id) < (:run_at::int8, :id::text) LIMIT :limit) AS before;

-- name: count_due
-- How many jobs of a priority are due.
SELECT count(*) FROM (
  SELECT 1 FROM {jobs} WHERE ready = 1 AND queue = :queue AND lane = :lane AND priority = :priority AND run_at <= :now
  LIMIT :limit) AS due;
