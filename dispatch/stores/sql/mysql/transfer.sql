-- name: transfer_counts
-- How many rows of each kind there are, without keys that were only made to be locked.
SELECT 'definitions', count(*) FROM {definitions} UNION ALL SELECT 'queues', count(*) FROM {queues}
UNION ALL SELECT 'jobs', count(*) FROM {jobs} UNION ALL SELECT 'unique_keys', count(*) FROM {unique_keys}
  WHERE live = 1 OR hold_until IS NOT NULL
UNION ALL SELECT 'idempotency', count(*) FROM {idempotency}
WHERE job_id <> '' UNION ALL SELECT 'dlq', count(*) FROM {dlq}
UNION ALL SELECT 'events', count(*) FROM {events} UNION ALL SELECT 'records', count(*) FROM {records}
UNION ALL SELECT 'cron_codes', count(*) FROM {cron_codes} UNION ALL SELECT 'crons', count(*) FROM {crons}
UNION ALL SELECT 'cron_ticks', count(*) FROM {cron_ticks}
UNION ALL SELECT 'runs', count(*) FROM {runs}
UNION ALL SELECT 'checkpoints', count(*) FROM {checkpoints}
UNION ALL SELECT 'child_results', count(*) FROM {child_results}
UNION ALL SELECT 'waits', count(*) FROM {waits};

-- name: export_definitions
-- Definitions behind a place, by name, kind and version.
SELECT name, kind, version, queue, `schema`, options FROM {definitions} AS definitions
WHERE name >= :name AND (name > :name OR kind > :kind OR (kind = :kind AND version > :version))
ORDER BY name, kind, version LIMIT :limit;

-- name: export_queues
-- Settings and pauses of the queues behind a name.
SELECT name, max_concurrency, rate_limit, rate_burst, fair, tenant_concurrency, paused_at, paused_until, paused_by,
  pause_reason FROM {queues} AS queues WHERE name > :after ORDER BY name LIMIT :limit;

-- name: export_jobs
-- Jobs behind an id, no more bytes at once than there is room for, but one job at least.
SELECT id, created_at, updated_at, name, queue, state, payload, run_at, kind, lane, failures, crashes,
  epoch, worker_id, lease_until, started_at, finished_at, scheduled_at, expires_at, priority, max_retries, timeout,
  backoff, keep_result, result, error_type, error_message, error_traceback, reason, cancel_reason,
  unique_key, unique_until, unique_hold_until, coalesce(effect_key, id), metadata, tags, app_id, org_id, progress,
  progress_note, set_aside, behind, replay_of, concurrency_key, concurrency_max, left_as,
  run_id, step
FROM {jobs} AS jobs WHERE id > :after AND id <= (
  SELECT max(id) FROM (
    SELECT id, sum(size) OVER (ORDER BY id) - size AS passed FROM (
      SELECT id, coalesce(length(payload), 0) + coalesce(length(result), 0) AS size
      FROM {jobs} AS jobs WHERE id > :after ORDER BY id LIMIT :limit) AS sizes) AS places
  WHERE passed < :room)
ORDER BY id;

-- name: export_attempts
-- The attempts of some jobs, each job's oldest first.
SELECT job_id, number, kind, error_type, error_message, error_traceback, worker_id, epoch, started_at, ended_at
FROM {attempts} AS attempts WHERE job_id IN :ids ORDER BY job_id, seq;

-- name: export_unique_keys
-- Unique keys behind a key, with their holders.
SELECT `key`, job_id, live, hold_until FROM {unique_keys} AS unique_keys
WHERE `key` > :after AND (live = 1 OR hold_until IS NOT NULL) ORDER BY `key` LIMIT :limit;

-- name: export_idempotency
-- Idempotency keys behind a place.
SELECT tenant, `key`, job_id, fingerprint, expires_at FROM {idempotency} AS idempotency
WHERE tenant >= :tenant AND (tenant > :tenant OR `key` > :key) AND job_id <> '' ORDER BY tenant, `key` LIMIT :limit;

-- name: export_dlq
-- Dead letters behind an id, no more bytes at once than there is room for, but one at least.
SELECT id, created_at, updated_at, job_id, job_name, queue, kind, lane, state, reason, error_type, error_message,
  error_traceback, payload, failures, crashes, priority, max_retries, timeout, backoff, keep_result,
  unique_key, unique_until, effect_key, metadata, tags, app_id, org_id, replayed_as,
  concurrency_key, concurrency_max
FROM {dlq} AS dlq WHERE id > :after AND id <= (
  SELECT max(id) FROM (
    SELECT id, sum(size) OVER (ORDER BY id) - size AS passed FROM (
      SELECT id, coalesce(length(payload), 0) AS size FROM {dlq} AS dlq
      WHERE id > :after ORDER BY id LIMIT :limit) AS sizes) AS places
  WHERE passed < :room)
ORDER BY id;

-- name: export_events
-- Events behind an id, no more bytes at once than there is room for, but one at least.
SELECT id, created_at, name, `key`, run_id, app_id, org_id, payload, consumed
FROM {events} AS events WHERE id > :after AND id <= (
  SELECT max(id) FROM (
    SELECT id, sum(size) OVER (ORDER BY id) - size AS passed FROM (
      SELECT id, coalesce(length(payload), 0) AS size FROM {events} AS events
      WHERE id > :after ORDER BY id LIMIT :limit) AS sizes) AS places
  WHERE passed < :room)
ORDER BY id;

-- name: export_records
-- Records behind a place, expired ones too.
SELECT namespace, `key`, value, version, created_at, updated_at, expires_at FROM {records} AS records
WHERE namespace >= :namespace AND (namespace > :namespace OR `key` > :key) ORDER BY namespace, `key` LIMIT :limit;

-- name: export_cron_codes
-- Entries as code has them, behind a hash.
SELECT digest, spec, first_seen FROM {cron_codes} AS cron_codes WHERE digest > :after ORDER BY digest LIMIT :limit;

-- name: export_crons
-- Cron entries behind an id.
SELECT {cron_columns} FROM {crons} AS crons WHERE id > :after ORDER BY id LIMIT :limit;

-- name: export_cron_ticks
-- Ticks behind a place.
SELECT {tick_columns} FROM {cron_ticks} AS cron_ticks
WHERE entry_id >= :entry_id AND (entry_id > :entry_id OR scheduled_at > :scheduled_at)
ORDER BY entry_id, scheduled_at LIMIT :limit;

-- name: load_cron_tick
-- Adds a tick that is not there.
INSERT INTO {cron_ticks} (entry_id, scheduled_at, outcome, fired_at, job_id, run_id, note)
SELECT :entry_id, :scheduled_at, :outcome, :fired_at, :job_id, :run_id, :note
FROM DUAL WHERE NOT EXISTS (SELECT 1 FROM {cron_ticks} AS known
WHERE entry_id = :entry_id AND scheduled_at = :scheduled_at);

-- name: load_definition
-- Adds a definition that is not there.
INSERT INTO {definitions} (name, kind, version, queue, `schema`, options)
SELECT :name, :kind, :version, :queue, :schema, :options
FROM DUAL WHERE NOT EXISTS (SELECT 1 FROM {definitions} AS known
WHERE name = :name AND kind = :kind AND version = :version);

-- name: load_queue
-- Adds the settings of a queue that has none.
INSERT INTO {queues} (name, max_concurrency, rate_limit, rate_burst, fair, tenant_concurrency, tokens, refilled_at,
  paused_at, paused_until, paused_by, pause_reason)
SELECT :name, :max_concurrency, :rate_limit, :rate_burst, :fair, :tenant_concurrency, :tokens, :now, :paused_at,
  :paused_until, :paused_by, :pause_reason
FROM DUAL WHERE NOT EXISTS (SELECT 1 FROM {queues} AS known WHERE name = :name);

-- name: load_job
-- Adds a job in whatever state it is; an id that is there already changes nothing.
INSERT INTO {jobs} (id, ready, created_at, updated_at, name, queue, state, payload, run_at, kind, lane, failures,
  crashes,
  epoch, worker_id, lease_until, started_at, finished_at, scheduled_at, expires_at, priority, max_retries, timeout,
  backoff, keep_result, result, error_type, error_message, error_traceback, reason, cancel_reason, unique_key,
  unique_until, unique_hold_until, effect_key, metadata, tags, app_id, org_id, progress, progress_note, set_aside,
  behind, replay_of, concurrency_key, concurrency_max, left_as, run_id, step)
SELECT :id, :ready, :created_at, :updated_at, :name, :queue, :state, :payload, :run_at, :kind, :lane, :failures,
  :crashes, :epoch, :worker_id, :lease_until, :started_at, :finished_at, :scheduled_at, :expires_at, :priority,
  :max_retries, :timeout, :backoff, :keep_result, :result, :error_type, :error_message, :error_traceback, :reason,
  :cancel_reason, :unique_key, :unique_until, :hold_until, :effect_key, :metadata, :tags, :app_id, :org_id, :progress,
  :progress_note, :set_aside, :behind, :replay_of, :concurrency_key, :concurrency_max,
  :left_as, :run_id, :step
FROM DUAL WHERE NOT EXISTS (SELECT 1 FROM {jobs} AS known WHERE id = :id);

-- name: load_attempt
-- Adds an attempt of a job that was just added.
INSERT INTO {attempts} (job_id, number, kind, error_type, error_message, error_traceback, worker_id, epoch, started_at,
  ended_at)
VALUES (:job_id, :number, :kind, :error_type, :error_message, :error_traceback, :worker_id, :epoch, :started_at,
  :ended_at);

-- name: load_unique_key
-- Adds a unique key that nobody holds.
INSERT INTO {unique_keys} (`key`, job_id, live, hold_until)
SELECT :key, :job_id, :live, :hold_until
FROM DUAL WHERE NOT EXISTS (SELECT 1 FROM {unique_keys} AS known WHERE `key` = :key);

-- name: load_idempotency
-- Adds an idempotency key that is not there.
INSERT INTO {idempotency} (tenant, `key`, job_id, fingerprint, expires_at)
SELECT :tenant, :key, :job_id, :fingerprint, :expires_at
FROM DUAL WHERE NOT EXISTS (SELECT 1 FROM {idempotency} AS known WHERE tenant = :tenant AND `key` = :key);

-- name: load_entry
-- Adds a dead letter; an id that is there already changes nothing.
INSERT INTO {dlq} (id, created_at, updated_at, job_id, job_name, queue, kind, lane, state, reason, error_type,
  error_message, error_traceback, payload, failures, crashes, priority, max_retries, timeout, backoff, keep_result,
  unique_key, unique_until, effect_key, metadata, tags, app_id, org_id, replayed_as,
  concurrency_key, concurrency_max)
SELECT :id, :created_at, :updated_at, :job_id, :job_name, :queue, :kind, :lane, :state, :reason, :error_type,
  :error_message, :error_traceback, :payload, :failures, :crashes, :priority, :max_retries, :timeout, :backoff,
  :keep_result, :unique_key, :unique_until, :effect_key, :metadata, :tags, :app_id, :org_id, :replayed_as,
  :concurrency_key, :concurrency_max
FROM DUAL WHERE NOT EXISTS (SELECT 1 FROM {dlq} AS known WHERE id = :id);

-- name: load_event
-- Adds an event; an id that is there already changes nothing.
INSERT INTO {events} (id, created_at, name, `key`, run_id, app_id, org_id, payload, consumed)
SELECT :id, :created_at, :name, :key, :run_id, :app_id, :org_id, :payload, :consumed
FROM DUAL WHERE NOT EXISTS (SELECT 1 FROM {events} AS known WHERE id = :id);

-- name: load_record
-- Adds a record that is not there.
INSERT INTO {records} (namespace, `key`, value, version, created_at, updated_at, expires_at)
SELECT :namespace, :key, :value, :version, :created_at, :updated_at, :expires_at
FROM DUAL WHERE NOT EXISTS (SELECT 1 FROM {records} AS known WHERE namespace = :namespace AND `key` = :key);
