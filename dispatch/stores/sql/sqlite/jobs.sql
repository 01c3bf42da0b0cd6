-- part: job_columns
id, created_at, updated_at, name, queue, state, CAST(payload AS BLOB), run_at, kind, lane, priority, failures, crashes,
epoch, worker_id, lease_until, started_at, finished_at, scheduled_at, expires_at, max_retries, timeout, backoff,
keep_result, CAST(result AS BLOB), error_type, error_message, error_traceback, reason, cancel_reason, unique_key,
effect_key, metadata, tags, app_id, org_id, progress, progress_note, set_aside, behind, replay_of, concurrency_key,
concurrency_max, blocked, run_id, step

-- part: in_scope
(:app_id IS NULL OR (app_id = :app_id AND org_id = :org_id))

-- part: job_filter
(:queues IS NULL OR queue IN (SELECT value FROM json_each(:queues)))
AND (:names IS NULL OR name IN (SELECT value FROM json_each(:names)))
AND {in_scope}

-- part: job_filter_row
(:created_after IS NULL OR created_at > :created_after)
AND (:created_before IS NULL OR created_at < :created_before)
AND (:tags IS NULL OR (instr(tags, :tag_text) > 0 AND NOT EXISTS (
  SELECT 1 FROM json_each(:tags) AS wanted WHERE wanted.value NOT IN (SELECT value FROM json_each(jobs.tags)))))

-- name: jobs_before
-- Which of these ids were there before this transaction added so many jobs, whose seqs are the last ones.
SELECT id FROM jobs
WHERE id IN (SELECT value FROM json_each(:ids)) AND seq <= (SELECT max(seq) FROM jobs) - :added;

-- name: insert_plain_job
-- Adds a waiting job that leaves its options open; an id that is there already changes nothing.
INSERT INTO jobs (id, ready, state, queue, name, kind, lane, priority, run_at, created_at, updated_at,
  app_id, org_id, metadata, payload)
VALUES (:id, 1, 'pending', :queue, :name, :kind, :lane, :priority, :run_at, :now, :now, :app_id, :org_id,
  :metadata, :payload)
ON CONFLICT (id) DO NOTHING;

-- name: insert_alike_jobs
-- Adds waiting jobs that differ in id and payload only, given as a JSON object (id: payload as text); as above.
INSERT INTO jobs (id, ready, state, queue, name, kind, lane, priority, run_at, created_at, updated_at,
  app_id, org_id, metadata, payload)
SELECT key, 1, 'pending', :queue, :name, :kind, :lane, :priority, :run_at, :now, :now, :app_id, :org_id,
  :metadata, CAST(value AS BLOB) FROM json_each(:payloads) WHERE true
ON CONFLICT (id) DO NOTHING;

-- name: insert_job
-- Adds a waiting job; an id that is there already changes nothing.
INSERT INTO jobs (id, ready, state, queue, name, kind, lane, priority, run_at, unique_key, unique_until,
  unique_hold_until, created_at, updated_at, scheduled_at, expires_at, max_retries, timeout, backoff, keep_result,
  app_id, org_id, effect_key, metadata, tags, behind, replay_of, concurrency_key, concurrency_max, blocked, run_id,
  step, payload)
VALUES (:id, :ready, 'pending', :queue, :name, :kind, :lane, :priority, :run_at, :unique_key, :unique_until,
  :unique_hold_until, :now, :now, :scheduled_at, :expires_at, :max_retries, :timeout, :backoff, :keep_result,
  :app_id, :org_id, :effect_key, :metadata, :tags, :behind, :replay_of, :concurrency_key, :concurrency_max, :blocked,
  :run_id, :step, :payload)
ON CONFLICT (id) DO NOTHING;

-- name: replace_job
-- Puts another payload and its options into a waiting job; one with a concurrency key takes its place anew.
UPDATE jobs SET payload = :payload, concurrency_key = :concurrency_key, concurrency_max = :concurrency_max,
  blocked = CASE WHEN behind IS NULL AND set_aside = 0 THEN :blocked ELSE 0 END,
  ready = CASE WHEN behind IS NOT NULL OR set_aside = 1 OR :blocked = 1 THEN 0 WHEN crashes < :quarantine THEN 1 ELSE 2 END,
  run_at = :run_at, priority = :priority, metadata = :metadata, tags = :tags,
  max_retries = :max_retries, timeout = :timeout, backoff = :backoff, keep_result = :keep_result,
  expires_at = :expires_at, updated_at = :now
WHERE id = :id AND state IN ('pending', 'retrying');

-- name: jobs_known
-- Which of some ids are taken.
SELECT id FROM jobs WHERE id IN (SELECT value FROM json_each(:ids));

-- name: job_state
-- The state of one job.
SELECT state FROM jobs WHERE id = :id;

-- name: get_job
-- One job.
SELECT {job_columns} FROM jobs WHERE id = :id AND {in_scope};

-- name: unique_holder
-- Who holds a unique key, and whether it waits although it has expired before its first start.
SELECT job_id, live, hold_until, live = 1 AND EXISTS (
  SELECT 1 FROM jobs AS j WHERE j.id = held.job_id AND j.state IN ('pending', 'retrying') AND j.started_at IS NULL
    AND j.behind IS NULL AND j.expires_at < :now AND NOT EXISTS (
      SELECT 1 FROM runs AS r WHERE j.kind = 'workflow' AND r.id = j.run_id AND r.compensating = 1))
FROM unique_keys AS held WHERE key = :key;

-- name: keys_taken
-- Which of some unique keys are taken, if only by their time.
SELECT key FROM unique_keys WHERE key IN (SELECT value FROM json_each(:keys));

-- name: take_unique
-- Gives a unique key to a job; the longer holding time counts.
INSERT INTO unique_keys (key, job_id, live, hold_until) VALUES (:key, :job_id, 1, :hold_until)
ON CONFLICT (key) DO UPDATE SET job_id = excluded.job_id, live = 1,
  hold_until = coalesce(max(hold_until, excluded.hold_until), hold_until, excluded.hold_until);

-- name: hold_unique
-- Keeps a key taken until its time although its job does not need it any more.
UPDATE unique_keys SET live = 0 WHERE key = :key AND job_id = :job_id AND hold_until > :now;

-- name: free_unique
-- Frees a key that its job does not need any more and no time holds.
DELETE FROM unique_keys WHERE key = :key AND job_id = :job_id AND live = 1;

-- name: prune_unique
-- Removes a few keys whose holding time is over.
DELETE FROM unique_keys WHERE key IN (
  SELECT key FROM unique_keys WHERE live = 0 AND hold_until <= :now LIMIT 20);

-- name: successors
-- The jobs that wait for the end of one, first come first.
SELECT id, unique_hold_until FROM jobs WHERE behind = :behind AND state = 'pending' ORDER BY seq;

-- name: free_successor
-- Makes the job behind a finished one claimable.
UPDATE jobs SET behind = NULL, ready = 1, updated_at = :now WHERE id = :id AND state = 'pending';

-- name: queue_behind
-- Makes a successor wait for another job.
UPDATE jobs SET behind = :behind WHERE id = :id AND state = 'pending';

-- name: idempotent
-- The job that an idempotency key made.
SELECT job_id, fingerprint FROM idempotency WHERE tenant = :tenant AND key = :key AND expires_at > :now;

-- name: keep_idempotent
-- Remembers which job an idempotency key made.
INSERT INTO idempotency (tenant, key, job_id, fingerprint, expires_at)
VALUES (:tenant, :key, :job_id, :fingerprint, :expires_at)
ON CONFLICT (tenant, key) DO UPDATE SET job_id = excluded.job_id, fingerprint = excluded.fingerprint,
  expires_at = excluded.expires_at;

-- name: prune_idempotency
-- Removes a few idempotency keys whose time is over.
DELETE FROM idempotency WHERE (tenant, key) IN (
  SELECT tenant, key FROM idempotency WHERE expires_at <= :now LIMIT 20);

-- name: complete_jobs
-- The short way to completed, for jobs of one epoch without keys or run, given as a JSON object (id: result as text).
UPDATE jobs INDEXED BY jobs_id SET state = 'completed', result = CAST(said.value AS BLOB), finished_at = :now,
  updated_at = :now, lease_until = NULL
FROM json_each(:results) AS said
WHERE jobs.id = said.key AND state = 'running' AND worker_id = :worker_id AND epoch = :epoch AND unique_key IS NULL
  AND concurrency_key IS NULL AND run_id IS NULL;

-- name: job_held
-- What a transition needs to know of its job.
SELECT state, worker_id, epoch, failures, crashes, cancel_reason, unique_key, left_as, started_at, run_at,
  concurrency_key, kind, run_id, step
FROM jobs WHERE id = :id;

-- name: leave_running
-- Ends a claim, whatever its outcome.
UPDATE jobs SET state = :state, ready = :ready, failures = :failures, run_at = :run_at, lease_until = NULL,
  worker_id = :keeps_worker, finished_at = :finished_at, updated_at = :now, reason = :reason, left_as = :left_as,
  result = coalesce(:result, result), error_type = coalesce(:error_type, error_type),
  error_message = CASE WHEN :error_type IS NULL THEN error_message ELSE :error_message END,
  error_traceback = CASE WHEN :error_type IS NULL THEN error_traceback ELSE :error_traceback END
WHERE id = :id AND state = 'running' AND worker_id = :worker_id AND epoch = :epoch;

-- name: add_attempt
-- Keeps a failed or crashed attempt.
INSERT INTO attempts (job_id, number, kind, error_type, error_message, error_traceback, worker_id, epoch, started_at,
  ended_at)
VALUES (:job_id, :number, :kind, :error_type, :error_message, :error_traceback, :worker_id, :epoch, :started_at, :now);

-- name: attempts
-- The attempts of a job, oldest first.
SELECT number, kind, error_type, error_message, error_traceback, worker_id, epoch, started_at, ended_at
FROM attempts WHERE job_id = :job_id ORDER BY seq;

-- name: held_by_worker
-- What runs in a worker's name.
SELECT id, epoch, cancel_reason IS NOT NULL FROM jobs INDEXED BY jobs_running
WHERE state = 'running' AND worker_id = :worker_id ORDER BY id;

-- name: renew_job
-- Extends one lease.
UPDATE jobs SET lease_until = :lease_until
WHERE id = :id AND state = 'running' AND worker_id = :worker_id AND epoch = :epoch;

-- name: cancel_requests
-- Which running jobs of a worker shall stop.
SELECT id FROM jobs INDEXED BY jobs_cancel
WHERE state = 'running' AND cancel_reason IS NOT NULL AND worker_id = :worker_id ORDER BY id;

-- name: report_progress
-- Notes how far a claimed job is.
UPDATE jobs SET progress = :progress, progress_note = :note, updated_at = :now
WHERE id = :id AND state = 'running' AND worker_id = :worker_id AND epoch = :epoch;

-- name: some_lapsed
-- Whether any running job's lease is over.
SELECT EXISTS (SELECT 1 FROM jobs INDEXED BY jobs_running WHERE state = 'running' AND lease_until < :now);

-- name: lapsed_jobs
-- Running jobs whose lease is over, longest first.
SELECT {job_columns} FROM jobs INDEXED BY jobs_running
WHERE state = 'running' AND lease_until < :now ORDER BY lease_until, id LIMIT :limit;

-- name: steal_job
-- Takes a job from a worker that was lost.
UPDATE jobs SET state = :state, ready = :ready, crashes = :crashes, run_at = :run_at, reason = :reason,
  finished_at = :finished_at, worker_id = NULL, lease_until = NULL, updated_at = :now, error_type = :error_type,
  error_message = :error_message, error_traceback = NULL
WHERE id = :id AND state = 'running' AND epoch = :epoch AND lease_until < :now;

-- name: request_cancel
-- Asks for the end of a running job.
UPDATE jobs SET cancel_reason = coalesce(cancel_reason, :reason), updated_at = :now
WHERE id = :id AND state = 'running';

-- name: cancel_plain
-- The short way to cancelled, for a waiting job without keys that is no part of a run.
UPDATE jobs SET state = 'cancelled', ready = 0, set_aside = 0, reason = :reason, finished_at = :now, updated_at = :now
WHERE id = :id AND state IN ('pending', 'retrying') AND unique_key IS NULL AND concurrency_key IS NULL
  AND run_id IS NULL;

-- name: cancel_waiting
-- Cancels a job that has not been claimed.
UPDATE jobs SET state = 'cancelled', ready = 0, set_aside = 0, blocked = 0, behind = NULL, reason = :reason, finished_at = :now,
  updated_at = :now
WHERE id = :id AND state IN ('pending', 'retrying');

-- name: hurry_retry
-- Makes a waiting retry due now.
UPDATE jobs SET run_at = :now, updated_at = :now WHERE id = :id AND state = 'retrying';

-- name: revive_job
-- Makes a failed or cancelled job wait again; a driver waits for a place again.
UPDATE jobs SET state = 'pending', ready = 1, failures = 0, crashes = 0, run_at = :now, updated_at = :now,
  finished_at = NULL, expires_at = NULL, left_as = CASE WHEN worker_id IS NULL THEN left_as END, worker_id = NULL, cancel_reason = NULL, reason = NULL, set_aside = 0,
  started_at = CASE WHEN kind = 'workflow' AND concurrency_key IS NOT NULL THEN NULL ELSE started_at END
WHERE id = :id AND state IN ('failed', 'cancelled');

-- name: unique_of
-- The unique key of a job and until when it holds it in any case.
SELECT unique_key, unique_hold_until FROM jobs WHERE id = :id;

-- name: list_jobs
-- Jobs that match, newest first.
SELECT {job_columns} FROM jobs
WHERE (:cursor IS NULL OR id < :cursor) AND kind IN (SELECT value FROM json_each(:kinds))
  AND {job_filter} AND {job_filter_row}
ORDER BY id DESC LIMIT :limit;

-- name: list_jobs_in_state
-- Jobs of one state and kind that match, newest first.
SELECT {job_columns} FROM jobs INDEXED BY jobs_listed
WHERE state <> 'running' AND state = :state AND kind = :kind AND id < :cursor AND {job_filter} AND {job_filter_row}
ORDER BY id DESC LIMIT :limit;

-- name: list_running_jobs
-- Running jobs that match, newest first.
SELECT {job_columns} FROM jobs INDEXED BY jobs_running
WHERE state = 'running' AND kind = :kind AND id < :cursor AND {job_filter} AND {job_filter_row}
ORDER BY id DESC LIMIT :limit;

-- name: count_jobs
-- How many jobs match, by state.
SELECT state, count(*) FROM jobs INDEXED BY jobs_listed
WHERE state <> 'running' AND state IN ('pending', 'retrying', 'completed', 'failed', 'cancelled')
  AND kind IN (SELECT value FROM json_each(:kinds)) AND {job_filter}
GROUP BY state
UNION ALL
SELECT 'running', count(*) FROM jobs INDEXED BY jobs_running
WHERE state = 'running' AND kind IN (SELECT value FROM json_each(:kinds)) AND {job_filter};

-- name: job_place
-- Where a waiting job stands.
SELECT queue, lane, priority, run_at FROM jobs WHERE id = :id AND state IN ('pending', 'retrying');

-- name: count_before
-- How many due jobs of the same priority stand before a place.
SELECT count(*) FROM (
  SELECT 1 FROM jobs WHERE ready = 1 AND queue = :queue AND lane = :lane AND priority = :priority AND run_at <= :now
    AND (run_at, id) < (:run_at, :id) LIMIT :limit);

-- name: count_due
-- How many jobs of a priority are due.
SELECT count(*) FROM (
  SELECT 1 FROM jobs WHERE ready = 1 AND queue = :queue AND lane = :lane AND priority = :priority AND run_at <= :now
  LIMIT :limit);
