-- name: export_runs
-- Runs behind an id, no more bytes at once than there is room for, but one at least.
SELECT id, created_at, updated_at, name, version, state, driver, reason, CASE state WHEN 'blocked' THEN blocked END,
  compensating, compensated, compensation_failed, parked, wake_seq, parent, step, awaited, abandon, forked_from, app_id,
  org_id, started_at, finished_at, wakes_at, error_type, error_message, error_traceback, CAST(result AS BLOB)
FROM runs WHERE id > :after AND id <= (
  SELECT max(id) FROM (
    SELECT id, sum(size) OVER (ORDER BY id) - size AS before FROM (
      SELECT id, coalesce(length(result), 0) AS size FROM runs WHERE id > :after ORDER BY id LIMIT :limit))
  WHERE before < :room)
ORDER BY id;

-- name: export_groups
-- What some parked runs wait for, with the steps whose children have not ended.
SELECT g.run_id, g.number, g.mode, s.step FROM park_groups AS g
JOIN runs AS r ON r.id = g.run_id AND r.parked = 1
LEFT JOIN park_steps AS s ON s.run_id = g.run_id AND s.number = g.number AND NOT EXISTS (
  SELECT 1 FROM child_results AS c WHERE c.run_id = s.run_id AND c.step = s.step)
WHERE g.run_id IN (SELECT value FROM json_each(:ids)) ORDER BY g.run_id, g.number, s.step;

-- name: export_checkpoints
-- Checkpoints behind a place, no more bytes at once than there is room for, but one at least.
SELECT run_id, position, id, name, kind, attempt, worker_id, event_id, inherited, started_at, created_at, updated_at,
  CAST(data AS BLOB)
FROM checkpoints WHERE (run_id, position) > (:run_id, :position) AND (run_id, position) <= (
  SELECT run_id, position FROM (
    SELECT run_id, position, sum(size) OVER (ORDER BY run_id, position) - size AS before FROM (
      SELECT run_id, position, coalesce(length(data), 0) AS size FROM checkpoints
      WHERE (run_id, position) > (:run_id, :position) ORDER BY run_id, position LIMIT :limit))
  WHERE before < :room ORDER BY run_id DESC, position DESC LIMIT 1)
ORDER BY run_id, position;

-- name: export_child_results
-- How children ended, behind a place, no more bytes at once than there is room for, but one at least.
SELECT run_id, step, child, state, error_type, error_message, error_traceback, CAST(result AS BLOB)
FROM child_results WHERE (run_id, step) > (:run_id, :step) AND (run_id, step) <= (
  SELECT run_id, step FROM (
    SELECT run_id, step, sum(size) OVER (ORDER BY run_id, step) - size AS before FROM (
      SELECT run_id, step, coalesce(length(result), 0) AS size FROM child_results
      WHERE (run_id, step) > (:run_id, :step) ORDER BY run_id, step LIMIT :limit))
  WHERE before < :room ORDER BY run_id DESC, step DESC LIMIT 1)
ORDER BY run_id, step;

-- name: export_waits
-- Open waits behind a place.
SELECT run_id, name, events, key, since, deadline FROM waits
WHERE (run_id, name) > (:run_id, :name) ORDER BY run_id, name LIMIT :limit;

-- name: load_run
-- Adds a run in whatever state it is; an id that is there already changes nothing.
INSERT INTO runs (id, created_at, updated_at, name, version, state, driver, reason, blocked, compensating, compensated,
  compensation_failed, parked, wake_seq, parent, step, awaited, abandon, forked_from, app_id, org_id, started_at,
  finished_at, wakes_at, error_type, error_message, error_traceback, result)
VALUES (:id, :created_at, :updated_at, :name, :version, :state, :driver, :reason, :blocked, :compensating, :compensated,
  :compensation_failed, :parked, :wake_seq, :parent, :step, :awaited, :abandon, :forked_from, :app_id, :org_id,
  :started_at, :finished_at, :wakes_at, :error_type, :error_message, :error_traceback, :result) ON CONFLICT DO NOTHING;

-- name: load_group
-- Keeps a group that a run which was just added is parked on.
INSERT INTO park_groups (run_id, number, mode, remaining) VALUES (:run_id, :number, :mode, :remaining);

-- name: load_group_step
-- Keeps an open step of such a group.
INSERT INTO park_steps (run_id, step, number) VALUES (:run_id, :step, :number);

-- name: load_checkpoint
-- Adds a checkpoint whose place, name and event are free.
INSERT INTO checkpoints (run_id, position, id, name, kind, attempt, worker_id, event_id, inherited, started_at,
  created_at, updated_at, data)
VALUES (:run_id, :position, :id, :name, :kind, :attempt, :worker_id, :event_id, :inherited, :started_at, :created_at,
  :updated_at, :data) ON CONFLICT DO NOTHING;

-- name: load_child_result
-- Adds how a child ended, unless that is known.
INSERT INTO child_results (run_id, step, child, state, error_type, error_message, error_traceback, result)
VALUES (:run_id, :step, :child, :state, :error_type, :error_message, :error_traceback, :result) ON CONFLICT DO NOTHING;

-- name: load_wait
-- Adds an open wait that is not there.
INSERT INTO waits (run_id, name, events, key, since, deadline)
VALUES (:run_id, :name, :events, :key, :since, :deadline) ON CONFLICT DO NOTHING;

-- name: load_wait_event
-- Adds an event of a wait that was just added, in its run's scope.
INSERT INTO waits_events (run_id, name, event, key, app_id, org_id, since)
SELECT :run_id, :name, :event, :key, app_id, org_id, :since FROM runs WHERE id = :run_id;
