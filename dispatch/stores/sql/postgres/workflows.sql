-- part: run_columns
runs.id, runs.created_at, runs.updated_at, runs.name, runs.version, runs.state, runs.driver, runs.error_type,
runs.error_message, runs.error_traceback, CASE runs.state WHEN 'blocked' THEN runs.blocked ELSE runs.reason END,
runs.compensated, runs.compensation_failed, runs.parent, runs.step, runs.forked_from, runs.wake_seq, jobs.queue,
jobs.tags, jobs.metadata, runs.app_id, runs.org_id, runs.started_at, runs.finished_at, runs.wakes_at

-- part: whole_run
{run_columns}, jobs.payload, runs.result

-- part: listed_run
{run_columns}, NULL, NULL

-- part: run_in_scope
(:app_id::text IS NULL OR (runs.app_id = :app_id AND runs.org_id = :org_id::text))

-- part: run_filter
(:names::text IS NULL OR runs.name = ANY (ARRAY(SELECT json_array_elements_text(:names::json))))
AND (:version::int8 IS NULL OR runs.version = :version)
AND (:parent::text IS NULL OR runs.parent = :parent)
AND (:created_after::int8 IS NULL OR runs.created_at > :created_after)
AND (:created_before::int8 IS NULL OR runs.created_at < :created_before)
AND {run_in_scope}

-- part: checkpoint_columns
id, created_at, updated_at, run_id, name, kind, data, position, attempt, worker_id, started_at, event_id,
inherited

-- part: child_columns
run_id, step, child, state, result, error_type, error_message, error_traceback

-- name: insert_run
-- Adds the runs of drivers that were just added.
INSERT INTO {runs} (id, name, version, state, driver, parent, step, awaited, abandon, forked_from, app_id, org_id,
  created_at, updated_at)
SELECT n.id, n.name, n.version, 'pending', n.driver, n.parent, n.step, n.awaited, n.abandon, n.forked_from, n.app_id,
  n.org_id, n.now, n.now
FROM unnest(:id::text[], :name::text[], :version::int8[], :driver::text[], :parent::text[], :step::text[],
  :awaited::int2[], :abandon::int2[], :forked_from::text[], :app_id::text[], :org_id::text[], :now::int8[])
  AS n (id, name, version, driver, parent, step, awaited, abandon, forked_from, app_id, org_id, now);

-- name: get_run
-- One run.
SELECT {whole_run} FROM {runs} JOIN {jobs} ON jobs.id = runs.driver WHERE runs.id = :id AND {run_in_scope};

-- name: driven_runs
-- The runs of some drivers, and whether their end was asked for.
SELECT {whole_run}, jobs.cancel_reason IS NOT NULL FROM {jobs} JOIN {runs} ON runs.id = jobs.run_id
WHERE jobs.id = ANY (ARRAY(SELECT json_array_elements_text(:drivers::json))) AND jobs.kind = 'workflow';

-- name: list_runs
-- Runs that match, newest first.
SELECT {listed_run} FROM {runs} JOIN {jobs} ON jobs.id = runs.driver
WHERE runs.id < :cursor AND {run_filter} ORDER BY runs.id DESC LIMIT :limit;

-- name: list_runs_in_state
-- Runs of one state that match, newest first.
SELECT {listed_run} FROM {runs} JOIN {jobs} ON jobs.id = runs.driver
WHERE runs.state = :state AND runs.id < :cursor AND {run_filter} ORDER BY runs.id DESC
LIMIT :limit;

-- name: list_child_runs
-- Runs of one parent that match, newest first.
SELECT {listed_run} FROM {runs} JOIN {jobs} ON jobs.id = runs.driver
WHERE runs.parent = :parent AND runs.id < :cursor
  AND (:states::text IS NULL OR runs.state = ANY (ARRAY(SELECT json_array_elements_text(:states::json)))) AND {run_filter}
ORDER BY runs.id DESC LIMIT :limit;

-- name: count_runs
-- How many runs match, by state.
SELECT state, count(*) FROM {runs}
WHERE (:names::text IS NULL OR name = ANY (ARRAY(SELECT json_array_elements_text(:names::json)))) AND {run_in_scope} GROUP BY state;

-- name: state_of_driven
-- Where the run stands that a job drives, if it drives one.
SELECT r.state FROM {jobs} AS j JOIN {runs} AS r ON r.id = j.run_id WHERE j.id = :id AND j.kind = 'workflow';

-- name: lock_drivers
-- What fenced verbs need to know of the drivers they name, locked in the order of their ids.
SELECT id, state, worker_id, epoch, run_id, failures, crashes, cancel_reason, unique_key, left_as, started_at, run_at,
  concurrency_key
FROM {jobs} WHERE id = ANY (ARRAY(SELECT json_array_elements_text(:ids::json))) AND kind = 'workflow' ORDER BY id FOR UPDATE;

-- name: lock_runs
-- Runs, locked in the order of their ids.
SELECT id, state, driver, wake_seq, parked, compensating, compensated, compensation_failed, parent, step, awaited,
  abandon, name, version, app_id, org_id, created_at, started_at, reason, error_type, error_message, error_traceback
FROM {runs} WHERE id = ANY (ARRAY(SELECT json_array_elements_text(:ids::json))) ORDER BY id FOR UPDATE;

-- name: lock_drivers_of
-- The drivers of some runs, locked in the order of their ids.
SELECT jobs.id FROM {runs} JOIN {jobs} ON jobs.id = runs.driver
WHERE runs.id = ANY (ARRAY(SELECT json_array_elements_text(:ids::json))) ORDER BY jobs.id FOR UPDATE OF jobs;

-- name: lock_kin
-- The drivers of some runs, of their parents and of their open children, and open jobs that these runs wait for: all that
-- their ends may change, locked in the order of their ids.
WITH wanted AS MATERIALIZED (SELECT json_array_elements_text(:ids::json) AS id)
SELECT 1 FROM {jobs} WHERE id = ANY (ARRAY(
  SELECT driver FROM {runs} WHERE id = ANY (ARRAY(SELECT id FROM wanted))
  UNION
  SELECT driver FROM {runs} WHERE id = ANY (ARRAY(
    SELECT parent FROM {runs} WHERE id = ANY (ARRAY(SELECT id FROM wanted)) AND parent IS NOT NULL))
  UNION
  SELECT driver FROM {runs} WHERE parent = ANY (ARRAY(SELECT id FROM wanted)) AND finished_at IS NULL
  UNION
  SELECT id FROM {jobs} WHERE run_id = ANY (ARRAY(SELECT id FROM wanted)) AND step IS NOT NULL AND finished_at IS NULL))
ORDER BY id FOR UPDATE;

-- name: claim_run
-- Its driver has been claimed; one that expired before its first start compensates instead.
UPDATE {runs} AS r SET state = CASE WHEN compensating = 1 OR n.expired = 1 THEN 'compensating' ELSE 'running' END,
  reason = CASE WHEN n.expired = 1 AND compensating = 0 THEN 'expired' ELSE reason END,
  compensating = greatest(compensating, n.expired), blocked = NULL, parked = 0, wakes_at = NULL,
  started_at = coalesce(started_at, n.now), updated_at = n.now
FROM unnest(:id::text[], :expired::int2[], :now::int8[]) AS n (id, expired, now)
WHERE r.id = n.id;

-- name: last_positions
-- Where the journals of some runs end.
SELECT wanted.id, (SELECT max(position) FROM {checkpoints} WHERE run_id = wanted.id)
FROM json_array_elements_text(:ids::json) AS wanted (id);

-- name: add_checkpoint
-- Writes checkpoints, but none whose name or event is taken; answers the numbers of those that were written.
WITH given AS MATERIALIZED (
  SELECT * FROM unnest(:run_id::text[], :id::text[], :name::text[], :kind::text[], :attempt::int8[], :worker_id::text[],
    :event_id::text[], :inherited::int2[], :started_at::int8[], :created_at::int8[], :now::int8[], :data::bytea[])
    WITH ORDINALITY AS n (run_id, id, name, kind, attempt, worker_id, event_id, inherited, started_at, created_at, now,
    data, number)
), fresh AS MATERIALIZED (
  SELECT *, row_number() OVER (PARTITION BY run_id ORDER BY number) AS place FROM (
    SELECT *, row_number() OVER (PARTITION BY run_id, name ORDER BY number) AS of_name,
      row_number() OVER (PARTITION BY run_id, coalesce(event_id, id) ORDER BY number) AS of_event
    FROM given
  ) AS n
  WHERE of_name = 1 AND of_event = 1
    AND (SELECT 1 FROM {checkpoints} AS c WHERE c.run_id = n.run_id AND c.name = n.name LIMIT 1) IS NULL
    AND (n.event_id IS NULL
      OR (SELECT 1 FROM {checkpoints} AS c WHERE c.run_id = n.run_id AND c.event_id = n.event_id LIMIT 1) IS NULL)
), added AS (
  INSERT INTO {checkpoints} (run_id, position, id, name, kind, attempt, worker_id, event_id, inherited, started_at,
    created_at, updated_at, data)
  SELECT run_id, place + coalesce((SELECT max(position) FROM {checkpoints} AS c WHERE c.run_id = fresh.run_id), 0), id,
    name, kind, attempt, worker_id, event_id, inherited, started_at, created_at, now, data
  FROM fresh ORDER BY number
  ON CONFLICT DO NOTHING RETURNING id
)
SELECT given.number FROM given JOIN added ON added.id = given.id;

-- name: amend_checkpoint
-- What a checkpoint tells of, in the transaction that wrote it.
UPDATE {checkpoints} SET data = :data WHERE id = :id;

-- name: checkpoint_named
-- What stands under a name.
SELECT {checkpoint_columns} FROM {checkpoints} WHERE run_id = :run_id AND name = :name;

-- name: checkpoints_named
-- What stands under some names.
SELECT found.* FROM json_array_elements(:pairs::json) AS p (pair) CROSS JOIN LATERAL (
  SELECT {checkpoint_columns} FROM {checkpoints}
  WHERE run_id = p.pair ->> 0 AND name = p.pair ->> 1 LIMIT 1) AS found;

-- name: journals
-- The checkpoints of some runs, by position.
SELECT {checkpoint_columns} FROM {checkpoints} WHERE run_id = ANY (ARRAY(SELECT json_array_elements_text(:ids::json)))
ORDER BY run_id, position;

-- name: journal_before
-- The checkpoints of a run before one, but for children that are open.
SELECT {checkpoint_columns} FROM {checkpoints} AS c
WHERE run_id = :run_id AND position < :position AND (
  EXISTS (SELECT 1 FROM {child_results} WHERE child_results.run_id = c.run_id AND child_results.step = c.name)
  OR NOT (
    EXISTS (SELECT 1 FROM {runs} WHERE parent = c.run_id AND runs.step = c.name AND awaited = 1)
    OR EXISTS (SELECT 1 FROM {jobs} WHERE jobs.run_id = c.run_id AND jobs.step = c.name)))
ORDER BY position;

-- name: copy_child_results
-- The results of children whose checkpoints a fork has inherited.
INSERT INTO {child_results} (run_id, step, child, state, result, error_type, error_message, error_traceback)
SELECT :fork::text, step, child, state, result, error_type, error_message, error_traceback FROM {child_results}
WHERE run_id = :run_id AND step IN (SELECT name FROM {checkpoints} WHERE run_id = :fork);

-- name: consume_signal
-- A signal has been consumed.
UPDATE {events} AS e SET consumed = 1 FROM unnest(:id::text[], :run_id::text[]) AS n (id, run_id)
WHERE e.id = n.id AND e.run_id = n.run_id;

-- name: reset_driver
-- A driver has made progress: what failed before counts no longer.
UPDATE {jobs} SET failures = 0, crashes = 0 WHERE id = ANY (:id::text[]) AND (failures > 0 OR crashes > 0);

-- name: open_waits
-- The open waits of some runs.
SELECT run_id, name, events, key, since, deadline FROM {waits} WHERE run_id = ANY (ARRAY(SELECT json_array_elements_text(:ids::json)))
ORDER BY run_id, name;

-- part: channel_lock
hashtextextended('{waits} ' || json_build_array(c.app_id, c.org_id, c.key, c.name)::text, 0)

-- name: lock_channels
-- Nobody publishes on the channels that runs want to wait on until this transaction ends.
SELECT pg_advisory_xact_lock(locks.number) FROM (
  SELECT DISTINCT {channel_lock} AS number
  FROM (SELECT runs.app_id, runs.org_id, e ->> 1 AS key, e ->> 2 AS name
    FROM json_array_elements(:channels::json) AS e JOIN {runs} ON runs.id = e ->> 0) AS c
  ORDER BY 1) AS locks;

-- name: lock_channel_shared
-- Nobody registers a wait on this channel until this transaction ends.
SELECT pg_advisory_xact_lock_shared({channel_lock})
FROM (SELECT :app_id::text AS app_id, :org_id::text AS org_id, coalesce(:key::text, '') AS key, :name::text AS name)
  AS c;

-- name: add_wait
-- Registers waits.
INSERT INTO {waits} (run_id, name, events, key, since, deadline)
SELECT * FROM unnest(:run_id::text[], :name::text[], :events::text[], :key::text[], :since::int8[], :deadline::int8[]);

-- name: add_wait_event
-- Registers the events of a wait.
INSERT INTO {waits_events} (run_id, name, event, key, app_id, org_id, since)
SELECT n.run_id, n.name, n.event, n.key, n.app_id, n.org_id, n.since
FROM unnest(:run_id::text[], :name::text[], :event::text[], :key::text[], :app_id::text[], :org_id::text[],
  :since::int8[]) AS n (run_id, name, event, key, app_id, org_id, since);

-- name: close_wait
-- Forgets one wait.
DELETE FROM {waits} AS w USING unnest(:run_id::text[], :name::text[]) AS n (run_id, name)
WHERE w.run_id = n.run_id AND w.name = n.name;

-- name: close_wait_events
-- Forgets the events of one wait.
DELETE FROM {waits_events} AS w USING unnest(:run_id::text[], :name::text[]) AS n (run_id, name)
WHERE w.run_id = n.run_id AND w.name = n.name;

-- name: close_waits
-- Forgets the waits of a run.
DELETE FROM {waits} WHERE run_id = ANY (:run_id::text[]);

-- name: close_waits_events
-- Forgets the events of the waits of a run.
DELETE FROM {waits_events} WHERE run_id = ANY (:run_id::text[]);

-- name: oldest_signal
-- The first signal to a run with one of the names that it has not consumed.
SELECT {event_columns} FROM {events}
WHERE run_id = :run_id AND consumed = 0 AND name = ANY (ARRAY(SELECT json_array_elements_text(:names::json)))
ORDER BY created_at, id LIMIT 1;

-- name: oldest_broadcast
-- The first event of a channel after a time that a run has not consumed.
SELECT {event_columns} FROM {events}
WHERE run_id IS NULL AND name = :name AND coalesce(key, '') = coalesce(:key::text, '') AND key IS NOT DISTINCT FROM :key AND app_id = :app_id AND org_id = :org_id
  AND created_at >= :since AND NOT EXISTS (
    SELECT 1 FROM {checkpoints}
    WHERE checkpoints.run_id = :run_id AND checkpoints.event_id = events.id)
ORDER BY created_at, id LIMIT 1;

-- name: runs_waiting
-- The runs with an open wait for a broadcast.
SELECT DISTINCT run_id FROM {waits_events}
WHERE event = :name AND coalesce(key, '') = coalesce(:key::text, '') AND key IS NOT DISTINCT FROM :key AND app_id = :app_id AND org_id = :org_id AND (since IS NULL OR since <= :now::int8)
ORDER BY run_id;

-- name: waits_for_signal
-- Whether a run has an open wait for a signal.
SELECT 1 FROM {waits_events} WHERE run_id = :run_id AND event = :name LIMIT 1;

-- name: wake_runs
-- Tells runs that something has happened.
UPDATE {runs} SET wake_seq = wake_seq + 1, updated_at = :now WHERE id = ANY (ARRAY(SELECT json_array_elements_text(:ids::json)));

-- name: wake_drivers
-- The drivers of parked runs are due.
UPDATE {jobs} SET run_at = :now, ready = CASE set_aside WHEN 1 THEN 0 ELSE 1 END, updated_at = :now
WHERE id IN (SELECT driver FROM {runs} WHERE id = ANY (ARRAY(SELECT json_array_elements_text(:ids::json))) AND parked = 1)
  AND state = 'pending' AND run_at > :now;

-- name: hear_child
-- Tells a run that a child has ended, which may not suffice to wake it.
UPDATE {runs} AS r SET wake_seq = wake_seq + n.times FROM unnest(:id::text[], :times::int8[]) AS n (id, times)
WHERE r.id = n.id;

-- name: add_child_result
-- Writes how children ended, each once; answers the numbers of those that were written.
WITH given AS MATERIALIZED (
  SELECT * FROM unnest(:run_id::text[], :step::text[], :child::text[], :state::text[], :result::bytea[],
    :error_type::text[], :error_message::text[], :error_traceback::text[]) WITH ORDINALITY
    AS n (run_id, step, child, state, result, error_type, error_message, error_traceback, number)
), added AS (
  INSERT INTO {child_results} (run_id, step, child, state, result, error_type, error_message, error_traceback)
  SELECT run_id, step, child, state, result, error_type, error_message, error_traceback FROM given ORDER BY number
  ON CONFLICT (run_id, step) DO NOTHING RETURNING run_id, step, child
)
SELECT min(given.number) FROM given JOIN added USING (run_id, step, child) GROUP BY run_id, step;

-- name: child_outcome
-- How a job ended, as the run that waits for it is told.
SELECT state, result, error_type, error_message, error_traceback FROM {jobs} WHERE id = :id;

-- name: count_down
-- Children have ended that groups of parked runs wait for.
UPDATE {park_groups} AS g SET remaining = CASE WHEN mode = 'all_or_failure' AND ended.failed = 1 THEN 0
    ELSE greatest(remaining - ended.number_of, 0) END
FROM (
  SELECT s.run_id, s.number, count(*) AS number_of, max(n.failed) AS failed
  FROM unnest(:run_id::text[], :step::text[], :failed::int2[]) AS n (run_id, step, failed)
  JOIN {park_steps} AS s ON s.run_id = n.run_id AND s.step = n.step GROUP BY s.run_id, s.number
) AS ended
WHERE g.run_id = ended.run_id AND g.number = ended.number;

-- name: satisfied_groups
-- Which of some parked runs have a group that is satisfied.
SELECT DISTINCT run_id FROM {park_groups}
WHERE run_id = ANY (ARRAY(SELECT json_array_elements_text(:ids::json))) AND remaining = 0;

-- name: children_ended
-- How many children of these steps have ended, and how many of them did not complete.
SELECT count(*), count(*) FILTER (WHERE state <> 'completed') FROM {child_results}
WHERE run_id = :run_id AND step = ANY (ARRAY(SELECT json_array_elements_text(:steps::json)));

-- name: drop_groups
-- Forgets what a run waited for.
DELETE FROM {park_groups} WHERE run_id = ANY (:run_id::text[]);

-- name: drop_group_steps
-- Forgets the steps of what a run waited for.
DELETE FROM {park_steps} WHERE run_id = ANY (:run_id::text[]);

-- name: add_group
-- Keeps a group that a run parks on.
INSERT INTO {park_groups} (run_id, number, mode, remaining)
SELECT * FROM unnest(:run_id::text[], :number::int8[], :mode::text[], :remaining::int8[]);

-- name: add_group_steps
-- Keeps the open steps of a group.
INSERT INTO {park_steps} (run_id, step, number)
SELECT DISTINCT n.run_id, wanted.step, n.number
FROM unnest(:run_id::text[], :number::int8[], :steps::text[]) AS n (run_id, number, steps)
CROSS JOIN json_array_elements_text(n.steps::json) AS wanted (step)
WHERE (SELECT 1 FROM {child_results} AS c WHERE c.run_id = n.run_id AND c.step = wanted.step LIMIT 1) IS NULL;

-- name: park_driver
-- Puts a driver to sleep; one that only a wake ends is in no index of what is ready.
UPDATE {jobs} AS j SET state = 'pending', ready = n.ready, failures = 0, crashes = 0, run_at = n.run_at,
  worker_id = NULL, lease_until = NULL, left_as = n.left_as, updated_at = n.now
FROM unnest(:id::text[], :worker_id::text[], :epoch::int8[], :ready::int2[], :run_at::int8[], :left_as::text[],
  :now::int8[]) AS n (id, worker_id, epoch, ready, run_at, left_as, now)
WHERE j.id = n.id AND j.state = 'running' AND j.worker_id = n.worker_id AND j.epoch = n.epoch;

-- name: park_run
-- Its driver sleeps.
UPDATE {runs} AS r SET state = CASE WHEN compensating = 1 THEN 'compensating' ELSE 'waiting' END, parked = 1,
  wakes_at = n.wakes_at, updated_at = n.now, error_type = CASE WHEN compensating = 1 THEN error_type END,
  error_message = CASE WHEN compensating = 1 THEN error_message END,
  error_traceback = CASE WHEN compensating = 1 THEN error_traceback END
FROM unnest(:id::text[], :wakes_at::int8[], :now::int8[]) AS n (id, wakes_at, now)
WHERE r.id = n.id;

-- name: compensate_run
-- The run turns to compensation.
UPDATE {runs} SET state = 'compensating', compensating = 1, reason = :reason, blocked = NULL, parked = 0, wakes_at = NULL,
  wake_seq = wake_seq + :wake, updated_at = :now
WHERE id = :id;

-- name: note_run_error
-- Keeps the latest failure; one that compensates keeps why it does.
UPDATE {runs} SET error_type = :error_type, error_message = :error_message, error_traceback = :error_traceback
WHERE id = :id AND compensating = 0;

-- name: note_job_error
-- Keeps the latest failure.
UPDATE {jobs} SET error_type = :error_type, error_message = :error_message, error_traceback = :error_traceback
WHERE id = :id;

-- name: free_driver
-- A driver that nobody holds is due at once, with a clean count; its run's cancellation is under way. One that waited
-- behind another gives up its place.
-- With a concurrency key it takes a place, whether or not there is room: what only compensates waits for none.
UPDATE {jobs} SET state = 'pending', ready = 1, failures = 0, crashes = 0, run_at = :now, worker_id = NULL,
  behind = NULL, lease_until = NULL, cancel_reason = NULL, set_aside = 0,
  blocked = 0, started_at = CASE WHEN concurrency_key IS NULL THEN started_at ELSE coalesce(started_at, :now) END,
  left_as = coalesce(:left_as::text, left_as), updated_at = :now
WHERE id = :id;

-- name: calm_driver
-- A driver goes on running with a clean count, its cancellation under way.
UPDATE {jobs} SET failures = 0, crashes = 0, cancel_reason = NULL WHERE id = :id;

-- name: begin_undoing
-- Undos are about to act.
UPDATE {runs} SET compensated = 1, updated_at = :now WHERE id = :id;

-- name: end_run
-- The run is over.
UPDATE {runs} AS r SET state = n.state, result = n.result, reason = n.reason,
  compensation_failed = n.compensation_failed, finished_at = n.now, updated_at = n.now, parked = 0, wakes_at = NULL,
  error_type = coalesce(n.error_type, r.error_type),
  error_message = CASE WHEN n.error_type IS NULL THEN r.error_message ELSE n.error_message END,
  error_traceback = CASE WHEN n.error_type IS NULL THEN r.error_traceback ELSE n.error_traceback END
FROM unnest(:id::text[], :state::text[], :result::bytea[], :reason::text[], :compensation_failed::int2[], :now::int8[],
  :error_type::text[], :error_message::text[], :error_traceback::text[])
  AS n (id, state, result, reason, compensation_failed, now, error_type, error_message, error_traceback)
WHERE r.id = n.id;

-- name: end_driver
-- A driver ends with its run.
UPDATE {jobs} AS j SET state = n.state, ready = 0, failures = j.failures + n.failed, lease_until = NULL,
  finished_at = n.now, updated_at = n.now, reason = n.reason, left_as = n.left_as, set_aside = 0,
  error_type = coalesce(n.error_type, j.error_type),
  error_message = CASE WHEN n.error_type IS NULL THEN j.error_message ELSE n.error_message END,
  error_traceback = CASE WHEN n.error_type IS NULL THEN j.error_traceback ELSE n.error_traceback END
FROM unnest(:id::text[], :state::text[], :failed::int8[], :reason::text[], :left_as::text[], :now::int8[],
  :error_type::text[], :error_message::text[], :error_traceback::text[])
  AS n (id, state, failed, reason, left_as, now, error_type, error_message, error_traceback)
WHERE j.id = n.id;

-- name: open_child_jobs
-- The jobs that a run waits for and that have not ended.
SELECT {job_columns} FROM {jobs}
WHERE run_id = :run_id AND step IS NOT NULL AND state IN ('pending', 'running', 'retrying') ORDER BY id;

-- name: with_open_children
-- Which of some runs have children that have not ended.
SELECT w.id FROM json_array_elements_text(:ids::json) AS w (id) WHERE
  (SELECT 1 FROM {jobs} WHERE run_id = w.id AND step IS NOT NULL AND state IN ('pending', 'running', 'retrying') LIMIT 1)
    IS NOT NULL
  OR (SELECT 1 FROM {runs} WHERE parent = w.id AND finished_at IS NULL LIMIT 1) IS NOT NULL;

-- name: open_child_runs
-- The children of a run that end with it, and where their drivers stand.
SELECT runs.id, runs.driver, jobs.state FROM {runs} JOIN {jobs} ON jobs.id = runs.driver
WHERE runs.parent = :run_id AND runs.finished_at IS NULL AND compensating = 0 AND abandon = 0 AND (awaited = 1 OR :all::bool)
ORDER BY jobs.id;

-- name: block_run
-- The run is blocked.
UPDATE {runs} SET state = 'blocked', blocked = :reason, updated_at = :now WHERE id = :id;

-- name: block_driver
-- Sets a driver aside until somebody has the right code.
UPDATE {jobs} SET state = CASE WHEN failures > 0 OR crashes > 0 THEN 'retrying' ELSE 'pending' END, ready = 0,
  set_aside = 1, run_at = :now, worker_id = NULL, lease_until = NULL, left_as = :left_as, updated_at = :now
WHERE id = :id;

-- name: block_aside
-- The runs of drivers that were just set aside.
UPDATE {runs} SET state = 'blocked', blocked = 'no live worker serves ' || runs.name || '@' || runs.version,
  updated_at = n.now
FROM unnest(:seq::text[], :now::int8[]) AS n (id, now)
JOIN {jobs} ON jobs.id = n.id AND jobs.kind = 'workflow' AND jobs.set_aside = 1
WHERE runs.id = jobs.run_id;

-- name: unblock_runs
-- Blocked runs whose drivers are about to be brought back.
WITH drivers AS MATERIALIZED (
  SELECT run_id FROM {jobs}
  WHERE set_aside = 1 AND kind = 'workflow'
    AND (:queues::text IS NULL OR queue = ANY (ARRAY(SELECT json_array_elements_text(:queues::json))))
    AND name = ANY (ARRAY(SELECT json_array_elements_text(:names::json)))
  ORDER BY id FOR UPDATE)
UPDATE {runs} SET state = {standing}, blocked = NULL, updated_at = :now
WHERE state = 'blocked' AND id = ANY (ARRAY(SELECT run_id FROM drivers));

-- part: standing
CASE WHEN compensating = 1 THEN 'compensating' WHEN parked = 1 THEN 'waiting' WHEN started_at IS NULL THEN 'pending'
ELSE 'running' END

-- name: take_up_run
-- A blocked run, or one that moves to another version, goes on.
UPDATE {runs} SET parked = 0, wakes_at = NULL, blocked = NULL, version = :version, updated_at = :now,
  state = CASE WHEN compensating = 1 THEN 'compensating' WHEN started_at IS NULL THEN 'pending' ELSE 'running' END
WHERE id = :id;

-- name: take_up_driver
-- Its driver is claimable and due, with a clean count.
UPDATE {jobs} SET state = 'pending', ready = 1, failures = 0, crashes = 0, set_aside = 0, run_at = :now,
  updated_at = :now
WHERE id = :id;

-- name: revive_run
-- A run that has ended goes on from its checkpoints, or with its compensation.
UPDATE {runs} SET compensating = compensation_failed, compensation_failed = 0, finished_at = NULL,
  reason = CASE WHEN compensation_failed = 1 THEN reason END, updated_at = :now,
  state = CASE WHEN compensation_failed = 1 THEN 'compensating' WHEN started_at IS NULL THEN 'pending' ELSE 'running' END
WHERE id = :id;

-- name: migrate_driver
-- A driver goes to workers that have another version; who runs it is stale.
UPDATE {jobs} SET name = :name, lane = CASE WHEN lane = name THEN :name::text ELSE lane END, epoch = epoch + 1,
  state = CASE WHEN failures > 0 OR crashes > 0 THEN 'retrying' ELSE 'pending' END,
  ready = CASE WHEN behind IS NOT NULL THEN 0 WHEN crashes < :quarantine THEN 1 ELSE 2 END, set_aside = 0, blocked = 0, worker_id = NULL, lease_until = NULL,
  run_at = :now, updated_at = :now
WHERE id = :id;

-- name: child_results_of
-- How the children of some runs ended.
SELECT {child_columns} FROM {child_results} WHERE run_id = ANY (ARRAY(SELECT json_array_elements_text(:ids::json))) ORDER BY run_id, step;

-- name: entry_kind
-- Of what kind of job a dead letter is.
SELECT kind FROM {dlq} WHERE id = :id;

-- part: prunable_run
runs.state = :state AND runs.finished_at < :before AND NOT EXISTS (
  SELECT 1 FROM {runs} AS parents WHERE parents.id = runs.parent AND parents.finished_at IS NULL)

-- name: count_ended_runs
-- How many runs of one outcome ended before a time.
SELECT count(*) FROM (SELECT 1 FROM {runs} WHERE {prunable_run} LIMIT :limit) AS ended;

-- name: ended_runs
-- Some runs of one outcome that ended before a time, longest ended first, but none that somebody is changing.
SELECT runs.finished_at, runs.id, runs.driver FROM {runs} JOIN {jobs} ON jobs.id = runs.driver WHERE {prunable_run}
ORDER BY runs.finished_at, runs.id LIMIT :limit FOR UPDATE OF runs, jobs SKIP LOCKED;

-- name: journal_size
-- How many rows and bytes a run's journal holds.
SELECT count(*), coalesce(sum(length(data)), 0)::int8 FROM {checkpoints} WHERE run_id = :id;

-- name: forget_journals
-- Removes the journals of some runs.
DELETE FROM {checkpoints} WHERE run_id = ANY (ARRAY(SELECT json_array_elements_text(:ids::json)));

-- name: forget_child_results
-- Removes how the children of some runs ended.
DELETE FROM {child_results} WHERE run_id = ANY (ARRAY(SELECT json_array_elements_text(:ids::json)));

-- name: forget_mail
-- Removes the signals to some runs.
DELETE FROM {events} WHERE run_id = ANY (ARRAY(SELECT json_array_elements_text(:ids::json)));

-- name: forget_runs
-- Removes some runs.
DELETE FROM {runs} WHERE id = ANY (ARRAY(SELECT json_array_elements_text(:ids::json)));

-- name: forget_driver_attempts
-- Removes the failed attempts of some drivers.
DELETE FROM {attempts} WHERE job_id = ANY (ARRAY(SELECT json_array_elements_text(:ids::json)));

-- name: forget_drivers
-- Removes some drivers.
DELETE FROM {jobs} WHERE id = ANY (ARRAY(SELECT json_array_elements_text(:ids::json)));
