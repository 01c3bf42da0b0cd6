-- part: cron_columns
id, spec, enabled, disabled_until, disabled_reason, disabled_by, revision, code_hash, orphaned, anchor, last_fired_at,
next_fire_at, created_at, updated_at

-- part: tick_columns
entry_id, scheduled_at, outcome, fired_at, job_id, run_id, note

-- part: cron_may_fire
orphaned = 0 AND (enabled = 1 OR disabled_until <= :now)

-- name: keep_cron_code
-- Keeps the specs of hashes, and when they were first seen.
WITH n AS MATERIALIZED (
  SELECT * FROM unnest(:digest::text[], :spec::text[], :first_seen::int8[]) WITH ORDINALITY
    AS n (digest, spec, first_seen, number)
), added AS (
  INSERT INTO {cron_codes} (digest, spec, first_seen) SELECT n.digest, n.spec, n.first_seen FROM n
  ON CONFLICT DO NOTHING RETURNING digest
)
SELECT min(n.number) FROM added JOIN n ON n.digest = added.digest GROUP BY n.digest;

-- name: forget_cron_announcer
-- Takes back what a worker announced.
DELETE FROM {cron_announced} WHERE worker_id = :worker_id;

-- name: announce_cron
-- Notes that a worker's code has entries.
INSERT INTO {cron_announced} (worker_id, digest)
SELECT n.worker_id, n.digest FROM unnest(:worker_id::text[], :digest::text[]) AS n (worker_id, digest)
ON CONFLICT DO NOTHING;

-- name: live_cron_codes
-- The entries that the code of live workers has.
SELECT digest, spec, first_seen FROM {cron_codes} WHERE digest IN (
  SELECT a.digest FROM {cron_announced} AS a JOIN {workers} AS w ON w.id = a.worker_id
  WHERE w.state <> 'dead' AND w.last_seen + w.lease >= :now);

-- name: forget_dead_announcers
-- Forgets what workers announced that have retired or been pruned.
DELETE FROM {cron_announced} WHERE worker_id NOT IN (SELECT id FROM {workers} WHERE state <> 'dead');

-- name: forget_cron_codes
-- Forgets code that no worker has and no entry comes from.
DELETE FROM {cron_codes} WHERE digest NOT IN (SELECT code_hash FROM {crons} WHERE code_hash IS NOT NULL)
  AND digest NOT IN (SELECT digest FROM {cron_announced});

-- name: insert_cron
-- Adds an entry; nothing when its id or its name is taken.
INSERT INTO {crons} (id, name, tenant, app_id, org_id, spec, enabled, disabled_until, disabled_reason, disabled_by,
  revision, code_hash, orphaned, anchor, last_fired_at, next_fire_at, created_at, updated_at)
VALUES (:id, :name, :tenant, :app_id, :org_id, :spec, :enabled, :disabled_until, :disabled_reason, :disabled_by,
  :revision, :code_hash, :orphaned, :anchor, :last_fired_at, :next_fire_at, :created_at, :updated_at)
ON CONFLICT DO NOTHING;

-- name: settle_cron
-- Gives an entry its next version, if nobody else has.
UPDATE {crons} SET spec = :spec, enabled = :enabled, disabled_until = :disabled_until,
  disabled_reason = :disabled_reason, disabled_by = :disabled_by, revision = :revision, code_hash = :code_hash,
  orphaned = :orphaned, anchor = :anchor, next_fire_at = :next_fire_at, updated_at = :updated_at
WHERE id = :id AND revision = :revision - 1;

-- name: advance_cron
-- Moves entries on to their next ticks, while they are what was read; answers the numbers of those that were.
UPDATE {crons} AS c SET next_fire_at = n.next_fire_at, enabled = 1, disabled_until = NULL, disabled_reason = '',
  disabled_by = '', updated_at = n.now
FROM unnest(:id::text[], :revision::int8[], :expected::int8[], :next_fire_at::int8[], :now::int8[]) WITH ORDINALITY
  AS n (id, revision, expected, next_fire_at, now, number)
WHERE c.id = n.id AND c.revision = n.revision AND c.next_fire_at = n.expected
  AND c.orphaned = 0 AND (c.enabled = 1 OR c.disabled_until <= n.now)
RETURNING n.number;

-- name: note_cron_fired
-- Keeps the latest ticks that made jobs.
UPDATE {crons} AS c SET last_fired_at = n.fired_at
FROM unnest(:id::text[], :fired_at::int8[]) AS n (id, fired_at)
WHERE c.id = n.id AND coalesce(c.last_fired_at, 0) < n.fired_at;

-- name: lock_cron
-- Locks one entry.
SELECT 1 FROM {crons} WHERE id = :id FOR UPDATE;

-- name: lock_crons_of
-- Locks some entries in order.
SELECT 1 FROM {crons} WHERE id = ANY (ARRAY(SELECT json_array_elements_text(:ids::json))) ORDER BY id FOR UPDATE;

-- name: lock_crons
-- Locks the entries of a name.
SELECT 1 FROM {crons} WHERE name = :name ORDER BY id FOR UPDATE;

-- name: cron_by_id
-- One entry.
SELECT {cron_columns} FROM {crons} WHERE id = :id;

-- name: crons_named
-- Entries of these names, or all.
SELECT {cron_columns} FROM {crons} WHERE :names::text IS NULL OR name = ANY (ARRAY(SELECT json_array_elements_text(:names::json)));

-- name: list_crons
-- Entries that match, by name and tenant.
SELECT {cron_columns} FROM {crons}
WHERE (:names::text IS NULL OR name = ANY (ARRAY(SELECT json_array_elements_text(:names::json))))
  AND (:enabled::int8 IS NULL OR enabled = :enabled) AND (:orphaned::int8 IS NULL OR orphaned = :orphaned) AND {in_scope}
  AND (:after_tenant::text IS NULL OR (name, tenant) > (:after_name::text, :after_tenant))
ORDER BY name, tenant LIMIT :limit;

-- name: due_crons
-- Entries that tick now, the longest due first.
SELECT {cron_columns} FROM {crons} WHERE next_fire_at <= :now AND {cron_may_fire} ORDER BY next_fire_at, id LIMIT :limit;

-- name: next_cron
-- When the next entry will tick.
SELECT min(CASE WHEN enabled = 1 THEN next_fire_at ELSE greatest(next_fire_at, disabled_until) END) FROM {crons}
WHERE orphaned = 0 AND next_fire_at IS NOT NULL AND (enabled = 1 OR disabled_until IS NOT NULL)
  AND (next_fire_at > :now OR NOT (enabled = 1 OR disabled_until <= :now));

-- name: crons_there
-- Which of some ids there are.
SELECT id FROM {crons} WHERE id = ANY (ARRAY(SELECT json_array_elements_text(:ids::json)));

-- name: cron_ticks_at
-- The ticks of some entries and moments.
SELECT {tick_columns} FROM {cron_ticks} WHERE (entry_id, scheduled_at) IN (
  SELECT place ->> 0, (place ->> 1)::int8 FROM json_array_elements(:places::json) AS place);

-- name: insert_cron_tick
-- Keeps ticks.
INSERT INTO {cron_ticks} (entry_id, scheduled_at, outcome, fired_at, job_id, run_id, note)
SELECT n.entry_id, n.scheduled_at, n.outcome, n.fired_at, n.job_id, n.run_id, n.note
FROM unnest(:entry_id::text[], :scheduled_at::int8[], :outcome::text[], :fired_at::int8[], :job_id::text[],
  :run_id::text[], :note::text[]) AS n (entry_id, scheduled_at, outcome, fired_at, job_id, run_id, note);

-- name: cron_history
-- The latest ticks of an entry.
SELECT {tick_columns} FROM {cron_ticks} WHERE entry_id = :id ORDER BY scheduled_at DESC LIMIT :limit;

-- name: delete_cron_ticks
-- Removes an entry's ticks.
DELETE FROM {cron_ticks} WHERE entry_id = :id;

-- name: delete_cron
-- Removes an entry.
DELETE FROM {crons} WHERE id = :id;

-- name: count_old_ticks
-- How many ticks are old, up to a limit.
SELECT count(*) FROM (SELECT 1 FROM {cron_ticks} WHERE fired_at < :before LIMIT :limit) AS old;

-- name: prune_ticks
-- Deletes some old ticks.
DELETE FROM {cron_ticks} WHERE ctid = ANY (ARRAY(
  SELECT ctid FROM {cron_ticks} WHERE fired_at < :before ORDER BY fired_at LIMIT :limit FOR UPDATE SKIP LOCKED));
