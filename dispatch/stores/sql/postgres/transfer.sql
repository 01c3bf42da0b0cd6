-- name: transfer_counts
-- How many rows of each kind there are, without keys that were only made to be locked.
SELECT 'definitions', count(*) FROM {definitions} UNION ALL SELECT 'queues', count(*) FROM {queues}
UNION ALL SELECT 'jobs', count(*) FROM {jobs} UNION ALL SELECT 'unique_keys', count(*) FROM {unique_keys}
  WHERE live = 1 OR hold_until IS NOT NULL
UNION ALL SELECT 'idempotency', count(*) FROM {idempotency} WHERE job_id <> '' UNION ALL SELECT 'dlq', count(*) FROM {dlq}
UNION ALL SELECT 'events', count(*) FROM {events} UNION ALL SELECT 'records', count(*) FROM {records}
UNION ALL SELECT 'cron_codes', count(*) FROM {cron_codes} UNION ALL SELECT 'crons', count(*) FROM {crons}
UNION ALL SELECT 'cron_ticks', count(*) FROM {cron_ticks}
UNION ALL SELECT 'runs', count(*) FROM {runs}
UNION ALL SELECT 'checkpoints', count(*) FROM {checkpoints}
UNION ALL SELECT 'child_results', count(*) FROM {child_results}
UNION ALL SELECT 'waits', count(*) FROM {waits};

-- name: export_definitions
-- Definitions behind a place, by name, kind and version.
SELECT name, kind, version, queue, schema, options FROM {definitions}
WHERE (name, kind, version) > (:name::text, :kind::text, :version::int8) ORDER BY name, kind, version LIMIT :limit;

-- name: export_queues
-- Settings and pauses of the queues behind a name.
SELECT name, max_concurrency, rate_limit, rate_burst, fair, tenant_concurrency, paused_at, paused_until, paused_by,
  pause_reason FROM {queues} WHERE name > :after ORDER BY name LIMIT :limit;

-- name: export_jobs
-- Jobs behind an id, no more bytes at once than there is room for, but one job at least.
SELECT id, created_at, updated_at, name, queue, state, payload, run_at, kind, lane, failures, crashes,
  epoch, worker_id, lease_until, started_at, finished_at, scheduled_at, expires_at, priority, max_retries, timeout,
  backoff, keep_result, result, error_type, error_message, error_traceback, reason, cancel_reason,
  unique_key, unique_until, unique_hold_until, coalesce(effect_key, id), metadata, tags, app_id, org_id, progress,
  progress_note, set_aside, behind, replay_of, concurrency_key, concurrency_max, left_as,
  run_id, step
FROM {jobs} WHERE id > :after AND id <= (
  SELECT max(id) FROM (
    SELECT id, sum(size) OVER (ORDER BY id) - size AS before FROM (
      SELECT id, (coalesce(length(payload), 0) + coalesce(length(result), 0))::int8 AS size
      FROM {jobs} WHERE id > :after ORDER BY id LIMIT :limit) AS sizes) AS places
  WHERE before < :room::int8)
ORDER BY id;

-- name: export_attempts
-- The attempts of some jobs, each job's oldest first.
SELECT job_id, number, kind, error_type, error_message, error_traceback, worker_id, epoch, started_at, ended_at
FROM {attempts} WHERE job_id = ANY (ARRAY(SELECT json_array_elements_text(:ids::json))) ORDER BY job_id, seq;

-- name: export_unique_keys
-- Unique keys behind a key, with their holders.
SELECT key, job_id, live, hold_until FROM {unique_keys}
WHERE key > :after AND (live = 1 OR hold_until IS NOT NULL) ORDER BY key LIMIT :limit;

-- name: export_idempotency
-- Idempotency keys behind a place.
SELECT tenant, key, job_id, fingerprint, expires_at FROM {idempotency}
WHERE (tenant, key) > (:tenant::text, :key::text) AND job_id <> '' ORDER BY tenant, key LIMIT :limit;

-- name: export_dlq
-- Dead letters behind an id, no more bytes at once than there is room for, but one at least.
SELECT id, created_at, updated_at, job_id, job_name, queue, kind, lane, state, reason, error_type, error_message,
  error_traceback, payload, failures, crashes, priority, max_retries, timeout, backoff, keep_result,
  unique_key, unique_until, effect_key, metadata, tags, app_id, org_id, replayed_as,
  concurrency_key, concurrency_max
FROM {dlq} WHERE id > :after AND id <= (
  SELECT max(id) FROM (
    SELECT id, sum(size) OVER (ORDER BY id) - size AS before FROM (
      SELECT id, coalesce(length(payload), 0)::int8 AS size FROM {dlq} WHERE id > :after ORDER BY id LIMIT :limit
    ) AS sizes) AS places
  WHERE before < :room::int8)
ORDER BY id;

-- name: export_events
-- Events behind an id, no more bytes at once than there is room for, but one at least.
SELECT id, created_at, name, key, run_id, app_id, org_id, payload, consumed
FROM {events} WHERE id > :after AND id <= (
  SELECT max(id) FROM (
    SELECT id, sum(size) OVER (ORDER BY id) - size AS before FROM (
      SELECT id, coalesce(length(payload), 0)::int8 AS size FROM {events} WHERE id > :after ORDER BY id LIMIT :limit
    ) AS sizes) AS places
  WHERE before < :room::int8)
ORDER BY id;

-- name: export_records
-- Records behind a place, expired ones too.
SELECT namespace, key, value, version, created_at, updated_at, expires_at FROM {records}
WHERE (namespace, key) > (:namespace::text, :key::text) ORDER BY namespace, key LIMIT :limit;

-- name: export_cron_codes
-- Entries as code has them, behind a hash.
SELECT digest, spec, first_seen FROM {cron_codes} WHERE digest > :after ORDER BY digest LIMIT :limit;

-- name: export_crons
-- Cron entries behind an id.
SELECT {cron_columns} FROM {crons} WHERE id > :after ORDER BY id LIMIT :limit;

-- name: export_cron_ticks
-- Ticks behind a place.
SELECT {tick_columns} FROM {cron_ticks}
WHERE (entry_id, scheduled_at) > (:entry_id::text, :scheduled_at::int8) ORDER BY entry_id, scheduled_at LIMIT :limit;

-- name: load_cron_tick
-- Adds a tick that is not there.
WITH n AS MATERIALIZED (
  SELECT * FROM unnest(:entry_id::text[], :scheduled_at::int8[], :outcome::text[], :fired_at::int8[], :job_id::text[],
    :run_id::text[], :note::text[]) WITH ORDINALITY AS n (entry_id, scheduled_at, outcome, fired_at, job_id, run_id,
    note, number)
), added AS (
  INSERT INTO {cron_ticks} (entry_id, scheduled_at, outcome, fired_at, job_id, run_id, note) SELECT n.entry_id,
    n.scheduled_at, n.outcome, n.fired_at, n.job_id, n.run_id, n.note FROM n ON CONFLICT DO NOTHING RETURNING
    entry_id, scheduled_at
)
SELECT min(n.number) FROM added JOIN n ON n.entry_id = added.entry_id AND n.scheduled_at = added.scheduled_at
GROUP BY n.entry_id, n.scheduled_at;

-- name: load_definition
-- Adds a definition that is not there.
WITH n AS MATERIALIZED (
  SELECT * FROM unnest(:name::text[], :kind::text[], :version::int8[], :queue::text[], :schema::text[],
    :options::text[]) WITH ORDINALITY AS n (name, kind, version, queue, schema, options, number)
), added AS (
  INSERT INTO {definitions} (name, kind, version, queue, schema, options) SELECT n.name, n.kind, n.version, n.queue,
    n.schema, n.options FROM n ON CONFLICT DO NOTHING RETURNING name, kind, version
)
SELECT min(n.number) FROM added JOIN n ON n.name = added.name AND n.kind = added.kind AND n.version = added.version
GROUP BY n.name, n.kind, n.version;

-- name: load_queue
-- Adds the settings of a queue that has none.
WITH n AS MATERIALIZED (
  SELECT * FROM unnest(:name::text[], :max_concurrency::int8[], :rate_limit::float8[], :rate_burst::int8[],
    :fair::int2[], :tenant_concurrency::int8[], :tokens::float8[], :now::int8[], :paused_at::int8[],
    :paused_until::int8[], :paused_by::text[], :pause_reason::text[]) WITH ORDINALITY AS n (name, max_concurrency,
    rate_limit, rate_burst, fair, tenant_concurrency, tokens, refilled_at, paused_at, paused_until, paused_by,
    pause_reason, number)
), added AS (
  INSERT INTO {queues} (name, max_concurrency, rate_limit, rate_burst, fair, tenant_concurrency, tokens, refilled_at,
    paused_at, paused_until, paused_by, pause_reason) SELECT n.name, n.max_concurrency, n.rate_limit, n.rate_burst,
    n.fair, n.tenant_concurrency, n.tokens, n.refilled_at, n.paused_at, n.paused_until, n.paused_by, n.pause_reason
    FROM n ON CONFLICT DO NOTHING RETURNING name
)
SELECT min(n.number) FROM added JOIN n ON n.name = added.name GROUP BY n.name;

-- name: load_job
-- Adds a job in whatever state it is; an id that is there already changes nothing.
WITH n AS MATERIALIZED (
  SELECT * FROM unnest(:id::text[], :ready::int2[], :created_at::int8[], :updated_at::int8[], :name::text[],
    :queue::text[], :state::text[], :payload::bytea[], :run_at::int8[], :kind::text[], :lane::text[], :failures::int8[],
    :crashes::int8[], :epoch::int8[], :worker_id::text[], :lease_until::int8[], :started_at::int8[],
    :finished_at::int8[], :scheduled_at::int8[], :expires_at::int8[], :priority::int8[], :max_retries::int8[],
    :timeout::float8[], :backoff::text[], :keep_result::int2[], :result::bytea[], :error_type::text[],
    :error_message::text[], :error_traceback::text[], :reason::text[], :cancel_reason::text[], :unique_key::text[],
    :unique_until::text[], :hold_until::int8[], :effect_key::text[], :metadata::text[], :tags::text[], :app_id::text[],
    :org_id::text[], :progress::float8[], :progress_note::text[], :set_aside::int2[], :behind::text[],
    :replay_of::text[], :concurrency_key::text[], :concurrency_max::int8[], :left_as::text[], :run_id::text[],
    :step::text[]) WITH ORDINALITY AS n (id, ready, created_at, updated_at, name, queue, state, payload, run_at, kind,
    lane, failures, crashes, epoch, worker_id, lease_until, started_at, finished_at, scheduled_at, expires_at, priority,
    max_retries, timeout, backoff, keep_result, result, error_type, error_message, error_traceback, reason,
    cancel_reason, unique_key, unique_until, unique_hold_until, effect_key, metadata, tags, app_id, org_id, progress,
    progress_note, set_aside, behind, replay_of, concurrency_key, concurrency_max, left_as, run_id, step, number)
), added AS (
  INSERT INTO {jobs} (id, ready, created_at, updated_at, name, queue, state, payload, run_at, kind, lane, failures,
    crashes, epoch, worker_id, lease_until, started_at, finished_at, scheduled_at, expires_at, priority, max_retries,
    timeout, backoff, keep_result, result, error_type, error_message, error_traceback, reason, cancel_reason,
    unique_key, unique_until, unique_hold_until, effect_key, metadata, tags, app_id, org_id, progress, progress_note,
    set_aside, behind, replay_of, concurrency_key, concurrency_max, left_as, run_id, step) SELECT n.id, n.ready,
    n.created_at, n.updated_at, n.name, n.queue, n.state, n.payload, n.run_at, n.kind, n.lane, n.failures, n.crashes,
    n.epoch, n.worker_id, n.lease_until, n.started_at, n.finished_at, n.scheduled_at, n.expires_at, n.priority,
    n.max_retries, n.timeout, n.backoff, n.keep_result, n.result, n.error_type, n.error_message, n.error_traceback,
    n.reason, n.cancel_reason, n.unique_key, n.unique_until, n.unique_hold_until, n.effect_key, n.metadata, n.tags,
    n.app_id, n.org_id, n.progress, n.progress_note, n.set_aside, n.behind, n.replay_of, n.concurrency_key,
    n.concurrency_max, n.left_as, n.run_id, n.step FROM n ON CONFLICT DO NOTHING RETURNING id
)
SELECT min(n.number) FROM added JOIN n ON n.id = added.id GROUP BY n.id;

-- name: load_attempt
-- Adds an attempt of a job that was just added.
INSERT INTO {attempts} (job_id, number, kind, error_type, error_message, error_traceback, worker_id, epoch,
  started_at, ended_at) SELECT n.job_id, n.number, n.kind, n.error_type, n.error_message, n.error_traceback,
  n.worker_id, n.epoch, n.started_at, n.ended_at FROM unnest(:job_id::text[], :number::int8[], :kind::text[],
  :error_type::text[], :error_message::text[], :error_traceback::text[], :worker_id::text[], :epoch::int8[],
  :started_at::int8[], :ended_at::int8[]) AS n (job_id, number, kind, error_type, error_message, error_traceback,
  worker_id, epoch, started_at, ended_at);

-- name: load_unique_key
-- Adds a unique key that nobody holds.
WITH n AS MATERIALIZED (
  SELECT * FROM unnest(:key::text[], :job_id::text[], :live::int2[], :hold_until::int8[]) WITH ORDINALITY AS n (key,
    job_id, live, hold_until, number)
), added AS (
  INSERT INTO {unique_keys} (key, job_id, live, hold_until) SELECT n.key, n.job_id, n.live, n.hold_until FROM n ON
    CONFLICT DO NOTHING RETURNING key
)
SELECT min(n.number) FROM added JOIN n ON n.key = added.key GROUP BY n.key;

-- name: load_idempotency
-- Adds an idempotency key that is not there.
WITH n AS MATERIALIZED (
  SELECT * FROM unnest(:tenant::text[], :key::text[], :job_id::text[], :fingerprint::text[], :expires_at::int8[]) WITH
    ORDINALITY AS n (tenant, key, job_id, fingerprint, expires_at, number)
), added AS (
  INSERT INTO {idempotency} (tenant, key, job_id, fingerprint, expires_at) SELECT n.tenant, n.key, n.job_id,
    n.fingerprint, n.expires_at FROM n ON CONFLICT DO NOTHING RETURNING tenant, key
)
SELECT min(n.number) FROM added JOIN n ON n.tenant = added.tenant AND n.key = added.key GROUP BY n.tenant, n.key;

-- name: load_entry
-- Adds a dead letter; an id that is there already changes nothing.
WITH n AS MATERIALIZED (
  SELECT * FROM unnest(:id::text[], :created_at::int8[], :updated_at::int8[], :job_id::text[], :job_name::text[],
    :queue::text[], :kind::text[], :lane::text[], :state::text[], :reason::text[], :error_type::text[],
    :error_message::text[], :error_traceback::text[], :payload::bytea[], :failures::int8[], :crashes::int8[],
    :priority::int8[], :max_retries::int8[], :timeout::float8[], :backoff::text[], :keep_result::int2[],
    :unique_key::text[], :unique_until::text[], :effect_key::text[], :metadata::text[], :tags::text[],
    :app_id::text[], :org_id::text[], :replayed_as::text[], :concurrency_key::text[], :concurrency_max::int8[]) WITH
    ORDINALITY AS n (id, created_at, updated_at, job_id, job_name, queue, kind, lane, state, reason, error_type,
    error_message, error_traceback, payload, failures, crashes, priority, max_retries, timeout, backoff, keep_result,
    unique_key, unique_until, effect_key, metadata, tags, app_id, org_id, replayed_as, concurrency_key,
    concurrency_max, number)
), added AS (
  INSERT INTO {dlq} (id, created_at, updated_at, job_id, job_name, queue, kind, lane, state, reason, error_type,
    error_message, error_traceback, payload, failures, crashes, priority, max_retries, timeout, backoff, keep_result,
    unique_key, unique_until, effect_key, metadata, tags, app_id, org_id, replayed_as, concurrency_key,
    concurrency_max) SELECT n.id, n.created_at, n.updated_at, n.job_id, n.job_name, n.queue, n.kind, n.lane, n.state,
    n.reason, n.error_type, n.error_message, n.error_traceback, n.payload, n.failures, n.crashes, n.priority,
    n.max_retries, n.timeout, n.backoff, n.keep_result, n.unique_key, n.unique_until, n.effect_key, n.metadata,
    n.tags, n.app_id, n.org_id, n.replayed_as, n.concurrency_key, n.concurrency_max FROM n ON CONFLICT DO NOTHING
    RETURNING id
)
SELECT min(n.number) FROM added JOIN n ON n.id = added.id GROUP BY n.id;

-- name: load_event
-- Adds an event; an id that is there already changes nothing.
WITH n AS MATERIALIZED (
  SELECT * FROM unnest(:id::text[], :created_at::int8[], :name::text[], :key::text[], :run_id::text[],
    :app_id::text[], :org_id::text[], :payload::bytea[], :consumed::int2[]) WITH ORDINALITY AS n (id, created_at,
    name, key, run_id, app_id, org_id, payload, consumed, number)
), added AS (
  INSERT INTO {events} (id, created_at, name, key, run_id, app_id, org_id, payload, consumed) SELECT n.id,
    n.created_at, n.name, n.key, n.run_id, n.app_id, n.org_id, n.payload, n.consumed FROM n
    ON CONFLICT DO NOTHING RETURNING id
)
SELECT min(n.number) FROM added JOIN n ON n.id = added.id GROUP BY n.id;

-- name: load_record
-- Adds a record that is not there.
WITH n AS MATERIALIZED (
  SELECT * FROM unnest(:namespace::text[], :key::text[], :value::bytea[], :version::int8[], :created_at::int8[],
    :updated_at::int8[], :expires_at::int8[]) WITH ORDINALITY AS n (namespace, key, value, version, created_at,
    updated_at, expires_at, number)
), added AS (
  INSERT INTO {records} (namespace, key, value, version, created_at, updated_at, expires_at) SELECT n.namespace,
    n.key, n.value, n.version, n.created_at, n.updated_at, n.expires_at FROM n ON CONFLICT DO NOTHING RETURNING
    namespace, key
)
SELECT min(n.number) FROM added JOIN n ON n.namespace = added.namespace AND n.key = added.key GROUP BY n.namespace, n.key;

-- name: load_cron
-- Adds an entry of another store; nothing when its id or its name is taken.
WITH n AS MATERIALIZED (
  SELECT * FROM unnest(:id::text[], :name::text[], :tenant::text[], :app_id::text[], :org_id::text[], :spec::text[],
    :enabled::int2[], :disabled_until::int8[], :disabled_reason::text[], :disabled_by::text[], :revision::int8[],
    :code_hash::text[], :orphaned::int2[], :anchor::int8[], :last_fired_at::int8[], :next_fire_at::int8[],
    :created_at::int8[], :updated_at::int8[]) WITH ORDINALITY AS n (id, name, tenant, app_id, org_id, spec, enabled,
    disabled_until, disabled_reason, disabled_by, revision, code_hash, orphaned, anchor, last_fired_at, next_fire_at,
    created_at, updated_at, number)
), added AS (
  INSERT INTO {crons} (id, name, tenant, app_id, org_id, spec, enabled, disabled_until, disabled_reason, disabled_by,
    revision, code_hash, orphaned, anchor, last_fired_at, next_fire_at, created_at, updated_at) SELECT n.id, n.name,
    n.tenant, n.app_id, n.org_id, n.spec, n.enabled, n.disabled_until, n.disabled_reason, n.disabled_by, n.revision,
    n.code_hash, n.orphaned, n.anchor, n.last_fired_at, n.next_fire_at, n.created_at, n.updated_at FROM n ON CONFLICT
    DO NOTHING RETURNING id
)
SELECT min(n.number) FROM added JOIN n ON n.id = added.id GROUP BY n.id;
