-- part: cron_columns
id, spec, enabled, disabled_until, disabled_reason, disabled_by, revision, code_hash, orphaned, anchor, last_fired_at,
next_fire_at, created_at, updated_at

-- part: tick_columns
entry_id, scheduled_at, outcome, fired_at, job_id, run_id, note

-- part: cron_may_fire
orphaned = 0 AND (enabled = 1 OR disabled_until <= :now)

-- name: keep_cron_code
-- Keeps the spec of a hash, and when it was first seen.
INSERT INTO {cron_codes} (digest, spec, first_seen)
SELECT :digest, :spec, :first_seen
FROM DUAL WHERE NOT EXISTS (SELECT 1 FROM {cron_codes} AS known WHERE digest = :digest);

-- name: forget_cron_announcer
-- Takes back what a worker announced.
DELETE FROM {cron_announced} WHERE worker_id = :worker_id;

-- name: announce_cron
-- Notes that a worker's code has an entry.
INSERT INTO {cron_announced} (worker_id, digest)
SELECT :worker_id, :digest
FROM DUAL WHERE NOT EXISTS (SELECT 1 FROM {cron_announced} AS known WHERE worker_id = :worker_id AND digest = :digest);

-- name: live_cron_codes
-- The entries that the code of live workers has.
SELECT digest, spec, first_seen FROM {cron_codes} AS cron_codes WHERE digest IN (
  SELECT a.digest FROM {cron_announced} AS a JOIN {workers} AS w ON w.id = a.worker_id
  WHERE w.state <> 'dead' AND w.last_seen + w.lease >= :now);

-- name: forget_dead_announcers
-- Forgets what workers announced that have retired or been pruned.
DELETE FROM {cron_announced} WHERE worker_id NOT IN (SELECT id FROM {workers} AS workers WHERE state <> 'dead');

-- name: forget_cron_codes
-- Forgets code that no worker has and no entry comes from.
DELETE FROM {cron_codes} WHERE digest NOT IN (SELECT code_hash FROM {crons} AS crons WHERE code_hash IS NOT NULL)
  AND digest NOT IN (SELECT digest FROM {cron_announced} AS cron_announced);

-- part: new_cron
INSERT INTO {crons} (id, name, tenant, app_id, org_id, spec, enabled, disabled_until, disabled_reason, disabled_by,
  revision, code_hash, orphaned, anchor, last_fired_at, next_fire_at, created_at, updated_at)
SELECT :id, :name, :tenant, :app_id, :org_id, :spec, :enabled, :disabled_until, :disabled_reason, :disabled_by,
  :revision, :code_hash, :orphaned, :anchor, :last_fired_at, :next_fire_at, :created_at, :updated_at
FROM DUAL WHERE NOT EXISTS (SELECT 1 FROM {crons} AS known WHERE id = :id OR (name = :name AND tenant = :tenant))

-- name: insert_cron
-- Adds an entry; nothing when its id or its name is taken.
{new_cron};

-- name: load_cron
-- Adds an entry of another store; nothing when its id or its name is taken.
{new_cron};

-- name: settle_cron
-- Gives an entry its next version, if nobody else has.
UPDATE {crons} AS crons SET spec = :spec, enabled = :enabled, disabled_until = :disabled_until,
  disabled_reason = :disabled_reason, disabled_by = :disabled_by, revision = :revision, code_hash = :code_hash,
  orphaned = :orphaned, anchor = :anchor, next_fire_at = :next_fire_at, updated_at = :updated_at
WHERE id = :id AND revision = :revision - 1;

-- name: advance_cron
-- Moves an entry on to its next tick, while it is what was read.
UPDATE {crons} AS crons SET next_fire_at = :next_fire_at, enabled = 1, disabled_until = NULL, disabled_reason = '',
  disabled_by = '', updated_at = :now
WHERE id = :id AND revision = :revision AND next_fire_at = :expected AND {cron_may_fire};

-- name: note_cron_fired
-- Keeps the latest tick that made a job.
UPDATE {crons} AS crons SET last_fired_at = :fired_at WHERE id = :id AND coalesce(last_fired_at, 0) < :fired_at;

-- name: lock_cron
-- Locks one entry.
SELECT 1 FROM {crons} AS crons WHERE id = :id FOR UPDATE;

-- name: lock_crons
-- Locks the entries of a name.
SELECT 1 FROM {crons} AS crons WHERE name = :name ORDER BY id FOR UPDATE;

-- name: lock_crons_of
-- Locks some entries in order.
SELECT 1 FROM {crons} AS crons FORCE INDEX (PRIMARY) WHERE id IN :ids ORDER BY id FOR UPDATE;

-- name: cron_by_id
-- One entry.
SELECT {cron_columns} FROM {crons} AS crons WHERE id = :id;

-- name: crons_named
-- Entries of these names, or all.
SELECT {cron_columns} FROM {crons} AS crons WHERE :names IS NULL OR name IN :names;

-- name: list_crons
-- Entries that match, by name and tenant.
SELECT {cron_columns} FROM {crons} AS crons
WHERE (:names IS NULL OR name IN :names)
  AND (:enabled IS NULL OR enabled = :enabled) AND (:orphaned IS NULL OR orphaned = :orphaned) AND {in_scope}
  AND (:after_tenant IS NULL OR name > :after_name OR (name = :after_name AND tenant > :after_tenant))
ORDER BY name, tenant LIMIT :limit;

-- name: due_crons
-- Entries that tick now, the longest due first.
SELECT {cron_columns} FROM {crons} AS crons
WHERE next_fire_at <= :now AND {cron_may_fire} ORDER BY next_fire_at, id LIMIT :limit;

-- name: next_cron
-- When the next entry will tick.
SELECT min(CASE WHEN enabled = 1 THEN next_fire_at ELSE greatest(next_fire_at,
  disabled_until) END) FROM {crons} AS crons
WHERE orphaned = 0 AND next_fire_at IS NOT NULL AND (enabled = 1 OR disabled_until IS NOT NULL)
  AND (next_fire_at > :now OR NOT (enabled = 1 OR disabled_until <= :now));

-- name: crons_there
-- Which of some ids there are.
SELECT id FROM {crons} AS crons WHERE id IN :ids;

-- name: cron_ticks_at
-- The ticks of some entries and moments.
SELECT {tick_columns} FROM {cron_ticks} AS cron_ticks
JOIN JSON_TABLE(:places, '$[*]' COLUMNS (entry VARCHAR(191) PATH '$[0]', moment BIGINT PATH '$[1]')) AS wanted
  ON entry_id = wanted.entry AND scheduled_at = wanted.moment;

-- name: insert_cron_tick
-- Keeps a tick.
INSERT INTO {cron_ticks} (entry_id, scheduled_at, outcome, fired_at, job_id, run_id, note)
VALUES (:entry_id, :scheduled_at, :outcome, :fired_at, :job_id, :run_id, :note);

-- name: cron_history
-- The latest ticks of an entry.
SELECT {tick_columns} FROM {cron_ticks} AS cron_ticks WHERE entry_id = :id ORDER BY scheduled_at DESC LIMIT :limit;

-- name: delete_cron_ticks
-- Removes an entry's ticks.
DELETE FROM {cron_ticks} WHERE entry_id = :id;

-- name: delete_cron
-- Removes an entry.
DELETE FROM {crons} WHERE id = :id;

-- name: count_old_ticks
-- How many ticks are old, up to a limit.
SELECT count(*) FROM (SELECT 1 FROM {cron_ticks} AS cron_ticks WHERE fired_at < :before LIMIT :limit) AS old;

-- name: prune_ticks
-- Deletes some old ticks.
DELETE FROM {cron_ticks} WHERE fired_at < :before ORDER BY fired_at LIMIT :limit;
