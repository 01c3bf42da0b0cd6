-- part: worker_columns
id, created_at, updated_at, hostname, pid, state, queues, names, concurrency, last_seen, lease, version, labels,
running, drain_requested

-- name: register_worker
-- Adds a worker, or starts its row anew.
INSERT INTO {workers} (id, hostname, pid, state, queues, names, concurrency, lease, version, labels, last_seen,
  created_at, updated_at)
VALUES (:id, :hostname, :pid, 'active', :queues, :names, :concurrency, :lease, :version, :labels, :now, :now, :now)
ON DUPLICATE KEY UPDATE hostname = VALUES(hostname), pid = VALUES(pid), state = 'active',
  queues = VALUES(queues), names = VALUES(names), concurrency = VALUES(concurrency), lease = VALUES(lease),
  version = VALUES(version), labels = VALUES(labels), last_seen = VALUES(last_seen),
  updated_at = VALUES(updated_at);

-- name: beat_worker
-- Notes that a worker lives.
UPDATE {workers} AS workers SET last_seen = :now, running = :running, updated_at = :now
WHERE id = :id AND state <> 'dead';

-- name: set_worker_state
-- Sets the state of a worker that was not retired.
UPDATE {workers} AS workers SET state = :state, updated_at = :now WHERE id = :id AND state <> 'dead';

-- name: drain_worker
-- Asks a worker to stop.
UPDATE {workers} AS workers SET drain_requested = 1, updated_at = :now WHERE id = :id AND state <> 'dead';

-- name: worker_state
-- A worker's state.
SELECT state FROM {workers} AS workers WHERE id = :id;

-- name: drain_requested
-- Whether a worker was asked to stop.
SELECT drain_requested FROM {workers} AS workers WHERE id = :id;

-- name: get_worker
-- One worker.
SELECT {worker_columns} FROM {workers} AS workers WHERE id = :id;

-- name: list_workers
-- Workers, newest first.
SELECT {worker_columns} FROM {workers} AS workers
WHERE :live = 0 OR (state <> 'dead' AND last_seen + lease >= :now) ORDER BY id DESC;

-- name: announce
-- Stores a definition in place of the same name, kind and version.
INSERT INTO {definitions} (name, kind, version, queue, `schema`, options)
VALUES (:name, :kind, :version, :queue, :schema, :options)
ON DUPLICATE KEY UPDATE queue = VALUES(queue), `schema` = VALUES(`schema`),
  options = VALUES(options);

-- name: definition
-- The newest job or workflow of a name.
SELECT name, kind, queue, `schema`, options, version FROM {definitions} AS definitions
WHERE name = :name AND kind IN ('job', 'workflow') ORDER BY version DESC, kind LIMIT 1;

-- name: definitions
-- Everything announced.
SELECT name, kind, queue, `schema`, options, version FROM {definitions} AS definitions ORDER BY name, kind, version;

-- name: lock_leadership
-- Lets candidates in one by one.
SELECT 1 FROM {locks} AS locks WHERE name = 'leadership' FOR UPDATE;

-- name: lock_term
-- Keeps the present term from being extended while a candidate looks at it.
SELECT 1 FROM {leadership} AS leadership FOR UPDATE;

-- name: leadership
-- The last term.
SELECT leader, term, `until` FROM {leadership} AS leadership;

-- name: begin_term
-- Makes somebody leader in a term.
INSERT INTO {leadership} (only_row, leader, term, `until`) VALUES (1, :leader, :term, :until)
ON DUPLICATE KEY UPDATE leader = VALUES(leader), term = VALUES(term), `until` = VALUES(`until`);

-- name: extend_term
-- Extends (or, with the present time, ends) a term.
UPDATE {leadership} AS leadership SET `until` = :until WHERE leader = :leader AND term = :term;
