-- name: export_runs
-- Runs behind an id, no more bytes at once than there is room for, but one at least.
SELECT id, created_at, updated_at, name, version, state, driver, reason, CASE state WHEN 'blocked' THEN blocked END,
  compensating, compensated, compensation_failed, parked, wake_seq, parent, step, awaited, abandon, forked_from, app_id,
  org_id, started_at, finished_at, wakes_at, error_type, error_message, error_traceback, result
FROM {runs} AS runs WHERE id > :after AND id <= (
  SELECT max(id) FROM (
    SELECT id, sum(size) OVER (ORDER BY id) - size AS passed FROM (
      SELECT id, coalesce(length(result), 0) AS size FROM {runs} AS runs WHERE id > :after ORDER BY id LIMIT :limit) AS sizes) AS places
  WHERE passed < :room)
ORDER BY id;

-- name: export_groups
-- What some parked runs wait for, with the steps whose children have not ended.
SELECT g.run_id, g.number, g.mode, s.step FROM {park_groups} AS g
JOIN {runs} AS r ON r.id = g.run_id AND r.parked = 1
LEFT JOIN {park_steps} AS s ON s.run_id = g.run_id AND s.number = g.number AND NOT EXISTS (
  SELECT 1 FROM {child_results} AS c WHERE c.run_id = s.run_id AND c.step = s.step)
WHERE g.run_id IN :ids ORDER BY g.run_id, g.number, s.step;

-- name: export_checkpoints
-- Checkpoints behind a place, no more bytes at once than there is room for, but one at least.
SELECT run_id, position, id, name, kind, attempt, worker_id, event_id, inherited, started_at, created_at, updated_at,
  data
FROM {checkpoints} AS checkpoints WHERE run_id >= :run_id AND (run_id > :run_id OR position > :position) AND (run_id, position) <= (
  SELECT run_id, position FROM (
    SELECT run_id, position, sum(size) OVER (ORDER BY run_id, position) - size AS passed FROM (
      SELECT run_id, position, coalesce(length(data), 0) AS size FROM {checkpoints} AS checkpoints
      WHERE run_id >= :run_id AND (run_id > :run_id OR position > :position) ORDER BY run_id, position LIMIT :limit) AS sizes) AS places
  WHERE passed < :room ORDER BY run_id DESC, position DESC LIMIT 1)
ORDER BY run_id, position;

-- name: export_child_results
-- How children ended, behind a place, no more bytes at once than there is room for, but one at least.
SELECT run_id, step, child, state, error_type, error_message, error_traceback, result
FROM {child_results} AS child_results WHERE run_id >= :run_id AND (run_id > :run_id OR step > :step) AND (run_id, step) <= (
  SELECT run_id, step FROM (
    SELECT run_id, step, sum(size) OVER (ORDER BY run_id, step) - size AS passed FROM (
      SELECT run_id, step, coalesce(length(result), 0) AS size FROM {child_results} AS child_results
      WHERE run_id >= :run_id AND (run_id > :run_id OR step > :step) ORDER BY run_id, step LIMIT :limit) AS sizes) AS places
  WHERE passed < :room ORDER BY run_id DESC, step DESC LIMIT 1)
ORDER BY run_id, step;

-- name: export_waits
-- Open waits behind a place.
SELECT run_id, name, events, `key`, since, deadline FROM {waits} AS waits
WHERE run_id >= :run_id AND (run_id > :run_id OR name > :name) ORDER BY run_id, name LIMIT :limit;

-- name: load_run
-- Adds a run in whatever state it is; an id that is there already changes nothing.
INSERT INTO {runs} (id, created_at, updated_at, name, version, state, driver, reason, blocked, compensating, compensated,
  compensation_failed, parked, wake_seq, parent, step, awaited, abandon, forked_from, app_id, org_id, started_at,
  finished_at, wakes_at, error_type, error_message, error_traceback, result)
SELECT :id, :created_at, :updated_at, :name, :version, :state, :driver, :reason, :blocked, :compensating, :compensated,
  :compensation_failed, :parked, :wake_seq, :parent, :step, :awaited, :abandon, :forked_from, :app_id, :org_id,
  :started_at, :finished_at, :wakes_at, :error_type, :error_message, :error_traceback, :result
FROM DUAL WHERE NOT EXISTS (SELECT 1 FROM {runs} AS known WHERE id = :id);

-- name: load_group
-- Keeps a group that a run which was just added is parked on.
INSERT INTO {park_groups} (run_id, number, mode, remaining) VALUES (:run_id, :number, :mode, :remaining);

-- name: load_group_step
-- Keeps an open step of such a group.
INSERT INTO {park_steps} (run_id, step, number) VALUES (:run_id, :step, :number);

-- name: load_checkpoint
-- Adds a checkpoint whose place, name and event are free.
INSERT INTO {checkpoints} (run_id, position, id, name, kind, attempt, worker_id, event_id, inherited, started_at,
  created_at, updated_at, data)
SELECT :run_id, :position, :id, :name, :kind, :attempt, :worker_id, :event_id, :inherited, :started_at, :created_at,
  :updated_at, :data
FROM DUAL WHERE NOT EXISTS (SELECT 1 FROM {checkpoints} AS known WHERE run_id = :run_id AND (position = :position OR name = :name OR event_id = :event_id));

-- name: load_child_result
-- Adds how a child ended, unless that is known.
INSERT INTO {child_results} (run_id, step, child, state, error_type, error_message, error_traceback, result)
SELECT :run_id, :step, :child, :state, :error_type, :error_message, :error_traceback, :result
FROM DUAL WHERE NOT EXISTS (SELECT 1 FROM {child_results} AS known WHERE run_id = :run_id AND step = :step);

-- name: load_wait
-- Adds an open wait that is not there.
INSERT INTO {waits} (run_id, name, events, `key`, since, deadline)
SELECT :run_id, :name, :events, :key, :since, :deadline
FROM DUAL WHERE NOT EXISTS (SELECT 1 FROM {waits} AS known WHERE run_id = :run_id AND name = :name);

-- name: load_wait_event
-- Adds an event of a wait that was just added, in its run's scope.
INSERT INTO {waits_events} (run_id, name, event, `key`, app_id, org_id, since)
SELECT :run_id, :name, :event, :key, app_id, org_id, :since FROM {runs} AS runs WHERE id = :run_id;
