-- name: export_runs
-- Runs behind an id, no more bytes at once than there is room for, but one at least.
SELECT id, created_at, updated_at, name, version, state, driver, reason, CASE state WHEN 'blocked' THEN blocked END,
  compensating, compensated, compensation_failed, parked, wake_seq, parent, step, awaited, abandon, forked_from, app_id,
  org_id, started_at, finished_at, wakes_at, error_type, error_message, error_traceback, result
FROM {runs} WHERE id > :after AND id <= (
  SELECT max(id) FROM (
    SELECT id, sum(size) OVER (ORDER BY id) - size AS before FROM (
      SELECT id, coalesce(length(result), 0)::int8 AS size FROM {runs} WHERE id > :after ORDER BY id LIMIT :limit
    ) AS sizes) AS places
  WHERE before < :room::int8)
ORDER BY id;

-- name: export_groups
-- What some parked runs wait for, with the steps whose children have not ended.
SELECT g.run_id, g.number, g.mode, s.step FROM {park_groups} AS g
JOIN {runs} AS r ON r.id = g.run_id AND r.parked = 1
LEFT JOIN {park_steps} AS s ON s.run_id = g.run_id AND s.number = g.number AND NOT EXISTS (
  SELECT 1 FROM {child_results} AS c WHERE c.run_id = s.run_id AND c.step = s.step)
WHERE g.run_id = ANY (ARRAY(SELECT json_array_elements_text(:ids::json))) ORDER BY g.run_id, g.number, s.step;

-- name: export_checkpoints
-- Checkpoints behind a place, no more bytes at once than there is room for, but one at least.
SELECT run_id, position, id, name, kind, attempt, worker_id, event_id, inherited, started_at, created_at, updated_at,
  data
FROM {checkpoints} WHERE (run_id, position) > (:run_id::text, :position::int8) AND (run_id, position) <= (
  SELECT run_id, position FROM (
    SELECT run_id, position, sum(size) OVER (ORDER BY run_id, position) - size AS before FROM (
      SELECT run_id, position, coalesce(length(data), 0)::int8 AS size FROM {checkpoints}
      WHERE (run_id, position) > (:run_id::text, :position::int8) ORDER BY run_id, position LIMIT :limit
    ) AS sizes) AS places
  WHERE before < :room::int8 ORDER BY run_id DESC, position DESC LIMIT 1)
ORDER BY run_id, position;

-- name: export_child_results
-- How children ended, behind a place, no more bytes at once than there is room for, but one at least.
SELECT run_id, step, child, state, error_type, error_message, error_traceback, result
FROM {child_results} WHERE (run_id, step) > (:run_id::text, :step::text) AND (run_id, step) <= (
  SELECT run_id, step FROM (
    SELECT run_id, step, sum(size) OVER (ORDER BY run_id, step) - size AS before FROM (
      SELECT run_id, step, coalesce(length(result), 0)::int8 AS size FROM {child_results}
      WHERE (run_id, step) > (:run_id::text, :step::text) ORDER BY run_id, step LIMIT :limit
    ) AS sizes) AS places
  WHERE before < :room::int8 ORDER BY run_id DESC, step DESC LIMIT 1)
ORDER BY run_id, step;

-- name: export_waits
-- Open waits behind a place.
SELECT run_id, name, events, key, since, deadline FROM {waits}
WHERE (run_id, name) > (:run_id::text, :name::text) ORDER BY run_id, name LIMIT :limit;

-- name: load_run
-- Adds a run in whatever state it is; an id that is there already changes nothing.
WITH n AS MATERIALIZED (
  SELECT * FROM unnest(:id::text[], :created_at::int8[], :updated_at::int8[], :name::text[], :version::int8[],
    :state::text[], :driver::text[], :reason::text[], :blocked::text[], :compensating::int2[], :compensated::int2[],
    :compensation_failed::int2[], :parked::int2[], :wake_seq::int8[], :parent::text[], :step::text[], :awaited::int2[],
    :abandon::int2[], :forked_from::text[], :app_id::text[], :org_id::text[], :started_at::int8[], :finished_at::int8[],
    :wakes_at::int8[], :error_type::text[], :error_message::text[], :error_traceback::text[], :result::bytea[]) WITH
    ORDINALITY AS n (id, created_at, updated_at, name, version, state, driver, reason, blocked, compensating,
    compensated, compensation_failed, parked, wake_seq, parent, step, awaited, abandon, forked_from, app_id, org_id,
    started_at, finished_at, wakes_at, error_type, error_message, error_traceback, result, number)
), added AS (
  INSERT INTO {runs} (id, created_at, updated_at, name, version, state, driver, reason, blocked, compensating,
    compensated, compensation_failed, parked, wake_seq, parent, step, awaited, abandon, forked_from, app_id, org_id,
    started_at, finished_at, wakes_at, error_type, error_message, error_traceback, result) SELECT n.id, n.created_at,
    n.updated_at, n.name, n.version, n.state, n.driver, n.reason, n.blocked, n.compensating, n.compensated,
    n.compensation_failed, n.parked, n.wake_seq, n.parent, n.step, n.awaited, n.abandon, n.forked_from, n.app_id,
    n.org_id, n.started_at, n.finished_at, n.wakes_at, n.error_type, n.error_message, n.error_traceback, n.result FROM n
    ON CONFLICT DO NOTHING RETURNING id
)
SELECT min(n.number) FROM added JOIN n ON n.id = added.id GROUP BY n.id;

-- name: load_group
-- Keeps a group that a run which was just added is parked on.
INSERT INTO {park_groups} (run_id, number, mode, remaining) SELECT n.run_id, n.number, n.mode, n.remaining FROM
  unnest(:run_id::text[], :number::int8[], :mode::text[], :remaining::int8[]) AS n (run_id, number, mode, remaining);

-- name: load_group_step
-- Keeps an open step of such a group.
INSERT INTO {park_steps} (run_id, step, number) SELECT n.run_id, n.step, n.number FROM unnest(:run_id::text[],
  :step::text[], :number::int8[]) AS n (run_id, step, number);

-- name: load_checkpoint
-- Adds a checkpoint whose place, name and event are free.
WITH n AS MATERIALIZED (
  SELECT * FROM unnest(:run_id::text[], :position::int8[], :id::text[], :name::text[], :kind::text[], :attempt::int8[],
    :worker_id::text[], :event_id::text[], :inherited::int2[], :started_at::int8[], :created_at::int8[],
    :updated_at::int8[], :data::bytea[]) WITH ORDINALITY AS n (run_id, position, id, name, kind, attempt, worker_id,
    event_id, inherited, started_at, created_at, updated_at, data, number)
), added AS (
  INSERT INTO {checkpoints} (run_id, position, id, name, kind, attempt, worker_id, event_id, inherited, started_at,
    created_at, updated_at, data) SELECT n.run_id, n.position, n.id, n.name, n.kind, n.attempt, n.worker_id, n.event_id,
    n.inherited, n.started_at, n.created_at, n.updated_at, n.data FROM n ON CONFLICT DO NOTHING RETURNING run_id,
    position
)
SELECT min(n.number) FROM added JOIN n ON n.run_id = added.run_id AND n.position = added.position
GROUP BY n.run_id, n.position;

-- name: load_child_result
-- Adds how a child ended, unless that is known.
WITH n AS MATERIALIZED (
  SELECT * FROM unnest(:run_id::text[], :step::text[], :child::text[], :state::text[], :error_type::text[],
    :error_message::text[], :error_traceback::text[], :result::bytea[]) WITH ORDINALITY AS n (run_id, step, child,
    state, error_type, error_message, error_traceback, result, number)
), added AS (
  INSERT INTO {child_results} (run_id, step, child, state, error_type, error_message, error_traceback, result) SELECT
    n.run_id, n.step, n.child, n.state, n.error_type, n.error_message, n.error_traceback, n.result FROM n ON CONFLICT DO
    NOTHING RETURNING run_id, step
)
SELECT min(n.number) FROM added JOIN n ON n.run_id = added.run_id AND n.step = added.step GROUP BY n.run_id, n.step;

-- name: load_wait
-- Adds an open wait that is not there.
WITH n AS MATERIALIZED (
  SELECT * FROM unnest(:run_id::text[], :name::text[], :events::text[], :key::text[], :since::int8[], :deadline::int8[])
    WITH ORDINALITY AS n (run_id, name, events, key, since, deadline, number)
), added AS (
  INSERT INTO {waits} (run_id, name, events, key, since, deadline) SELECT n.run_id, n.name, n.events, n.key, n.since,
    n.deadline FROM n ON CONFLICT DO NOTHING RETURNING run_id, name
)
SELECT min(n.number) FROM added JOIN n ON n.run_id = added.run_id AND n.name = added.name GROUP BY n.run_id, n.name;

-- name: load_wait_event
-- Adds an event of a wait that was just added, in its run's scope.
INSERT INTO {waits_events} (run_id, name, event, key, app_id, org_id, since)
SELECT n.run_id, n.name, n.event, n.key, r.app_id, r.org_id, n.since
FROM unnest(:run_id::text[], :name::text[], :event::text[], :key::text[], :since::int8[])
  AS n (run_id, name, event, key, since) JOIN {runs} AS r ON r.id = n.run_id;
