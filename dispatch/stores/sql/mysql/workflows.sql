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
(:app_id IS NULL OR (runs.app_id = :app_id AND runs.org_id = :org_id))

-- part: run_filter
(:names IS NULL OR runs.name IN :names)
AND (:version IS NULL OR runs.version = :version)
AND (:parent IS NULL OR runs.parent = :parent)
AND (:created_after IS NULL OR runs.created_at > :created_after)
AND (:created_before IS NULL OR runs.created_at < :created_before)
AND {run_in_scope}

-- part: checkpoint_columns
id, created_at, updated_at, run_id, name, kind, data, position, attempt, worker_id, started_at, event_id,
inherited

-- part: child_columns
run_id, step, child, state, result, error_type, error_message, error_traceback

-- name: insert_run
-- Adds the run of a driver that was just added.
INSERT INTO {runs} (id, name, version, state, driver, parent, step, awaited, abandon, forked_from, app_id, org_id,
  created_at, updated_at)
VALUES (:id, :name, :version, 'pending', :driver, :parent, :step, :awaited, :abandon, :forked_from, :app_id, :org_id,
  :now, :now);

-- name: get_run
-- One run.
SELECT {whole_run} FROM {runs} AS runs JOIN {jobs} AS jobs ON jobs.id = runs.driver WHERE runs.id = :id AND {run_in_scope};

-- name: driven_runs
-- The runs of some drivers, and whether their end was asked for.
SELECT {whole_run}, jobs.cancel_reason IS NOT NULL FROM {jobs} AS jobs JOIN {runs} AS runs ON runs.id = jobs.run_id
WHERE jobs.id IN :drivers AND jobs.kind = 'workflow';

-- name: list_runs
-- Runs that match, newest first.
SELECT {listed_run} FROM {runs} AS runs JOIN {jobs} AS jobs ON jobs.id = runs.driver
WHERE runs.id < :cursor AND {run_filter} ORDER BY runs.id DESC LIMIT :limit;

-- name: list_runs_in_state
-- Runs of one state that match, newest first.
SELECT {listed_run} FROM {runs} AS runs FORCE INDEX (runs_listed) JOIN {jobs} AS jobs ON jobs.id = runs.driver
WHERE runs.state = :state AND runs.id < :cursor AND {run_filter} ORDER BY runs.id DESC
LIMIT :limit;

-- name: list_child_runs
-- Runs of one parent that match, newest first.
SELECT {listed_run} FROM {runs} AS runs FORCE INDEX (runs_children) JOIN {jobs} AS jobs ON jobs.id = runs.driver
WHERE runs.parent = :parent AND runs.id < :cursor
  AND (:states IS NULL OR runs.state IN :states) AND {run_filter}
ORDER BY runs.id DESC LIMIT :limit;

-- name: count_runs
-- How many runs match, by state.
SELECT state, count(*) FROM {runs} AS runs FORCE INDEX (runs_listed)
WHERE (:names IS NULL OR name IN :names) AND {run_in_scope} GROUP BY state;

-- name: state_of_driven
-- Where the run stands that a job drives, if it drives one.
SELECT r.state FROM {jobs} AS j JOIN {runs} AS r ON r.id = j.run_id WHERE j.id = :id AND j.kind = 'workflow';

-- name: lock_drivers
-- What fenced verbs need to know of the drivers they name, locked in the order of their ids.
SELECT id, state, worker_id, epoch, run_id, failures, crashes, cancel_reason, unique_key, left_as, started_at, run_at,
  concurrency_key
FROM {jobs} AS jobs FORCE INDEX (PRIMARY) WHERE id IN :ids AND kind = 'workflow' ORDER BY id FOR UPDATE;

-- name: lock_runs
-- Runs, locked in the order of their ids.
SELECT id, state, driver, wake_seq, parked, compensating, compensated, compensation_failed, parent, step, awaited,
  abandon, name, version, app_id, org_id, created_at, started_at, reason, error_type, error_message, error_traceback
FROM {runs} AS runs FORCE INDEX (PRIMARY) WHERE id IN :ids ORDER BY id FOR UPDATE;

-- name: lock_drivers_of
-- The drivers of some runs, locked in the order of their ids.
SELECT driver FROM {runs} AS runs WHERE id IN :ids;
SELECT id FROM {jobs} AS jobs FORCE INDEX (PRIMARY) WHERE id IN :found ORDER BY id FOR UPDATE;

-- name: lock_kin
-- The drivers of some runs, of their parents and of their open children, and open jobs that these runs wait for: all that
-- their ends may change, locked in the order of their ids.
SELECT driver FROM {runs} AS runs WHERE id IN :ids
UNION SELECT parents.driver FROM {runs} AS runs JOIN {runs} AS parents ON parents.id = runs.parent WHERE runs.id IN :ids
UNION SELECT driver FROM {runs} AS runs WHERE parent IN :ids AND finished_at IS NULL
UNION SELECT id FROM {jobs} AS jobs WHERE run_id IN :ids AND step IS NOT NULL AND finished_at IS NULL;
SELECT 1 FROM {jobs} AS jobs FORCE INDEX (PRIMARY) WHERE id IN :found ORDER BY id FOR UPDATE;

-- name: claim_run
-- Its driver has been claimed; one that expired before its first start compensates instead.
UPDATE {runs} AS runs SET state = CASE WHEN compensating = 1 OR :expired = 1 THEN 'compensating' ELSE 'running' END,
  reason = CASE WHEN :expired = 1 AND compensating = 0 THEN 'expired' ELSE reason END,
  compensating = greatest(compensating, :expired), blocked = NULL, parked = 0, wakes_at = NULL,
  started_at = coalesce(started_at, :now), updated_at = :now
WHERE id = :id;

-- name: last_positions
-- Where the journals of some runs end.
SELECT wanted.id, (SELECT max(position) FROM {checkpoints} AS checkpoints WHERE run_id = wanted.id)
FROM JSON_TABLE(:ids, '$[*]' COLUMNS (id VARCHAR(64) PATH '$')) AS wanted;

-- name: add_checkpoint
-- Writes a checkpoint; nothing when its name or its event is taken.
INSERT INTO {checkpoints} (run_id, position, id, name, kind, attempt, worker_id, event_id, inherited, started_at,
  created_at, updated_at, data)
SELECT :run_id, (SELECT coalesce(max(position), 0) + 1 FROM {checkpoints} AS journal WHERE run_id = :run_id), :id, :name,
  :kind, :attempt, :worker_id, :event_id, :inherited, :started_at, :created_at, :now, :data
FROM DUAL WHERE NOT EXISTS (
  SELECT 1 FROM {checkpoints} AS known WHERE run_id = :run_id AND (name = :name OR event_id = :event_id));

-- name: amend_checkpoint
-- What a checkpoint tells of, in the transaction that wrote it.
UPDATE {checkpoints} AS checkpoints SET data = :data WHERE id = :id;

-- name: checkpoint_named
-- What stands under a name.
SELECT {checkpoint_columns} FROM {checkpoints} AS checkpoints WHERE run_id = :run_id AND name = :name;

-- name: checkpoints_named
-- What stands under some names.
SELECT {checkpoint_columns} FROM {checkpoints} AS checkpoints
JOIN JSON_TABLE(:pairs, '$[*]' COLUMNS (of_run VARCHAR(64) PATH '$[0]', named VARCHAR(255) PATH '$[1]')) AS wanted
  ON run_id = wanted.of_run AND name = wanted.named;

-- name: journals
-- The checkpoints of some runs, by position.
SELECT {checkpoint_columns} FROM {checkpoints} AS checkpoints WHERE run_id IN :ids
ORDER BY run_id, position;

-- name: journal_before
-- The checkpoints of a run before one, but for children that are open.
SELECT {checkpoint_columns} FROM {checkpoints} AS c
WHERE run_id = :run_id AND position < :position AND (
  EXISTS (SELECT 1 FROM {child_results} AS child_results WHERE child_results.run_id = c.run_id AND child_results.step = c.name)
  OR NOT (
    EXISTS (SELECT 1 FROM {runs} AS runs FORCE INDEX (runs_children) WHERE parent = c.run_id AND runs.step = c.name AND awaited = 1)
    OR EXISTS (SELECT 1 FROM {jobs} AS jobs FORCE INDEX (jobs_steps) WHERE jobs.run_id = c.run_id AND jobs.step = c.name)))
ORDER BY position;

-- name: copy_child_results
-- The results of children whose checkpoints a fork has inherited.
INSERT INTO {child_results} (run_id, step, child, state, result, error_type, error_message, error_traceback)
SELECT :fork, step, child, state, result, error_type, error_message, error_traceback FROM {child_results} AS child_results
WHERE run_id = :run_id AND step IN (SELECT name FROM {checkpoints} AS checkpoints WHERE run_id = :fork);

-- name: consume_signal
-- A signal has been consumed.
UPDATE {events} AS events SET consumed = 1 WHERE id = :id AND run_id = :run_id;

-- name: reset_driver
-- A driver has made progress: what failed before counts no longer.
UPDATE {jobs} AS jobs SET failures = 0, crashes = 0 WHERE id = :id AND (failures > 0 OR crashes > 0);

-- name: open_waits
-- The open waits of some runs.
SELECT run_id, name, events, `key`, since, deadline FROM {waits} AS waits WHERE run_id IN :ids
ORDER BY run_id, name;

-- name: lock_channels
-- Nobody publishes on the channels that runs want to wait on until this transaction ends.
SELECT DISTINCT CONCAT('channel-', MOD(CRC32(CONCAT_WS(' ', runs.app_id, runs.org_id, c.`key`, c.name)), 256))
FROM JSON_TABLE(:channels, '$[*]' COLUMNS (
  run_id VARCHAR(64) PATH '$[0]', `key` VARCHAR(700) PATH '$[1]', name VARCHAR(128) PATH '$[2]')) AS c
JOIN {runs} AS runs ON runs.id = c.run_id;
SELECT 1 FROM {locks} AS locks WHERE name IN :found ORDER BY name FOR UPDATE;

-- name: lock_channel_shared
-- Nobody registers a wait on this channel until this transaction ends.
SELECT 1 FROM {locks} AS locks
WHERE name = CONCAT('channel-', MOD(CRC32(CONCAT_WS(' ', :app_id, :org_id, coalesce(:key, ''), :name)), 256))
LOCK IN SHARE MODE;

-- name: add_wait
-- Registers a wait.
INSERT INTO {waits} (run_id, name, events, `key`, since, deadline)
VALUES (:run_id, :name, :events, :key, :since, :deadline);

-- name: add_wait_event
-- Registers one event of a wait.
INSERT INTO {waits_events} (run_id, name, event, `key`, app_id, org_id, since)
VALUES (:run_id, :name, :event, :key, :app_id, :org_id, :since);

-- name: close_wait
-- Forgets one wait.
DELETE FROM {waits} WHERE run_id = :run_id AND name = :name;

-- name: close_wait_events
-- Forgets the events of one wait.
DELETE FROM {waits_events} WHERE run_id = :run_id AND name = :name;

-- name: close_waits
-- Forgets the waits of a run.
DELETE FROM {waits} WHERE run_id = :run_id;

-- name: close_waits_events
-- Forgets the events of the waits of a run.
DELETE FROM {waits_events} WHERE run_id = :run_id;

-- name: oldest_signal
-- The first signal to a run with one of the names that it has not consumed.
SELECT {event_columns} FROM {events} AS events FORCE INDEX (events_mail)
WHERE run_id = :run_id AND consumed = 0 AND name IN :names
ORDER BY created_at, id LIMIT 1;

-- name: oldest_broadcast
-- The first event of a channel after a time that a run has not consumed.
SELECT {event_columns} FROM {events} AS events FORCE INDEX (events_channel)
WHERE run_id IS NULL AND name = :name AND `key` <=> :key AND app_id = :app_id AND org_id = :org_id
  AND created_at >= :since AND NOT EXISTS (
    SELECT 1 FROM {checkpoints} AS checkpoints FORCE INDEX (checkpoints_event)
    WHERE checkpoints.run_id = :run_id AND checkpoints.event_id = events.id)
ORDER BY created_at, id LIMIT 1;

-- name: runs_waiting
-- The runs with an open wait for a broadcast.
SELECT DISTINCT run_id FROM {waits_events} AS waits_events FORCE INDEX (waits_events_match)
WHERE event = :name AND `key` <=> :key AND app_id = :app_id AND org_id = :org_id AND (since IS NULL OR since <= :now)
ORDER BY run_id;

-- name: waits_for_signal
-- Whether a run has an open wait for a signal.
SELECT 1 FROM {waits_events} AS waits_events FORCE INDEX (waits_events_wait) WHERE run_id = :run_id AND event = :name LIMIT 1;

-- name: wake_runs
-- Tells runs that something has happened.
UPDATE {runs} AS runs SET wake_seq = wake_seq + 1, updated_at = :now WHERE id IN :ids;

-- name: wake_drivers
-- The drivers of parked runs are due.
SELECT driver FROM {runs} AS runs WHERE id IN :ids AND parked = 1;
UPDATE {jobs} AS jobs FORCE INDEX (PRIMARY) SET run_at = :now, ready = CASE set_aside WHEN 1 THEN 0 ELSE 1 END,
  updated_at = :now
WHERE id IN :found AND state = 'pending' AND run_at > :now;

-- name: hear_child
-- Tells a run that a child has ended, which may not suffice to wake it.
UPDATE {runs} AS runs SET wake_seq = wake_seq + :times WHERE id = :id;

-- name: add_child_result
-- Writes how a child ended, once.
INSERT INTO {child_results} (run_id, step, child, state, result, error_type, error_message, error_traceback)
SELECT :run_id, :step, :child, :state, :result, :error_type, :error_message, :error_traceback
FROM DUAL WHERE NOT EXISTS (SELECT 1 FROM {child_results} AS known WHERE run_id = :run_id AND step = :step);

-- name: child_outcome
-- How a job ended, as the run that waits for it is told.
SELECT state, result, error_type, error_message, error_traceback FROM {jobs} AS jobs WHERE id = :id;

-- name: count_down
-- A child has ended that groups of a parked run wait for.
UPDATE {park_groups} AS park_groups SET remaining = CASE WHEN mode = 'all_or_failure' AND :failed = 1 THEN 0
  ELSE greatest(remaining - 1, 0) END
WHERE run_id = :run_id AND number IN (SELECT number FROM {park_steps} AS park_steps WHERE run_id = :run_id AND step = :step);

-- name: satisfied_groups
-- Which of some parked runs have a group that is satisfied.
SELECT DISTINCT run_id FROM {park_groups} AS park_groups WHERE run_id IN :ids AND remaining = 0;

-- name: children_ended
-- How many children of these steps have ended, and how many of them did not complete.
SELECT count(*), CAST(coalesce(sum(state <> 'completed'), 0) AS SIGNED) FROM {child_results} AS child_results
WHERE run_id = :run_id AND step IN :steps;

-- name: drop_groups
-- Forgets what a run waited for.
DELETE FROM {park_groups} WHERE run_id = :run_id;

-- name: drop_group_steps
-- Forgets the steps of what a run waited for.
DELETE FROM {park_steps} WHERE run_id = :run_id;

-- name: add_group
-- Keeps a group that a run parks on.
INSERT INTO {park_groups} (run_id, number, mode, remaining) VALUES (:run_id, :number, :mode, :remaining);

-- name: add_group_steps
-- Keeps the open steps of a group.
INSERT INTO {park_steps} (run_id, step, number)
SELECT DISTINCT :run_id, wanted.step, :number
FROM JSON_TABLE(:steps, '$[*]' COLUMNS (step VARCHAR(255) PATH '$')) AS wanted
WHERE wanted.step NOT IN (SELECT step FROM {child_results} AS child_results WHERE run_id = :run_id);

-- name: park_driver
-- Puts a driver to sleep; one that only a wake ends is in no index of what is ready.
UPDATE {jobs} AS jobs SET state = 'pending', ready = :ready, failures = 0, crashes = 0, run_at = :run_at, worker_id = NULL,
  lease_until = NULL, left_as = :left_as, updated_at = :now
WHERE id = :id AND state = 'running' AND worker_id = :worker_id AND epoch = :epoch;

-- name: park_run
-- Its driver sleeps.
UPDATE {runs} AS runs SET state = CASE WHEN compensating = 1 THEN 'compensating' ELSE 'waiting' END, parked = 1, wakes_at = :wakes_at,
  updated_at = :now, error_type = CASE WHEN compensating = 1 THEN error_type END,
  error_message = CASE WHEN compensating = 1 THEN error_message END,
  error_traceback = CASE WHEN compensating = 1 THEN error_traceback END
WHERE id = :id;

-- name: compensate_run
-- The run turns to compensation.
UPDATE {runs} AS runs SET state = 'compensating', compensating = 1, reason = :reason, blocked = NULL, parked = 0, wakes_at = NULL,
  wake_seq = wake_seq + :wake, updated_at = :now
WHERE id = :id;

-- name: note_run_error
-- Keeps the latest failure; one that compensates keeps why it does.
UPDATE {runs} AS runs SET error_type = :error_type, error_message = :error_message, error_traceback = :error_traceback
WHERE id = :id AND compensating = 0;

-- name: note_job_error
-- Keeps the latest failure.
UPDATE {jobs} AS jobs SET error_type = :error_type, error_message = :error_message, error_traceback = :error_traceback
WHERE id = :id;

-- name: free_driver
-- A driver that nobody holds is due at once, with a clean count; its run's cancellation is under way. One that waited
-- behind another gives up its place.
-- With a concurrency key it takes a place, whether or not there is room: what only compensates waits for none.
UPDATE {jobs} AS jobs SET state = 'pending', ready = 1, failures = 0, crashes = 0, run_at = :now, worker_id = NULL,
  behind = NULL, lease_until = NULL, cancel_reason = NULL, set_aside = 0,
  blocked = 0, started_at = CASE WHEN concurrency_key IS NULL THEN started_at ELSE coalesce(started_at, :now) END,
  left_as = coalesce(:left_as, left_as), updated_at = :now
WHERE id = :id;

-- name: calm_driver
-- A driver goes on running with a clean count, its cancellation under way.
UPDATE {jobs} AS jobs SET failures = 0, crashes = 0, cancel_reason = NULL WHERE id = :id;

-- name: begin_undoing
-- Undos are about to act.
UPDATE {runs} AS runs SET compensated = 1, updated_at = :now WHERE id = :id;

-- name: end_run
-- The run is over.
UPDATE {runs} AS runs SET state = :state, result = :result, reason = :reason, compensation_failed = :compensation_failed,
  finished_at = :now, updated_at = :now, parked = 0, wakes_at = NULL,
  error_type = coalesce(:error_type, error_type),
  error_message = CASE WHEN :error_type IS NULL THEN error_message ELSE :error_message END,
  error_traceback = CASE WHEN :error_type IS NULL THEN error_traceback ELSE :error_traceback END
WHERE id = :id;

-- name: end_driver
-- A driver ends with its run.
UPDATE {jobs} AS jobs SET state = :state, ready = 0, failures = failures + :failed, lease_until = NULL, finished_at = :now,
  updated_at = :now, reason = :reason, left_as = :left_as, set_aside = 0,
  error_type = coalesce(:error_type, error_type),
  error_message = CASE WHEN :error_type IS NULL THEN error_message ELSE :error_message END,
  error_traceback = CASE WHEN :error_type IS NULL THEN error_traceback ELSE :error_traceback END
WHERE id = :id;

-- name: open_child_jobs
-- The jobs that a run waits for and that have not ended.
SELECT {job_columns} FROM {jobs} AS jobs FORCE INDEX (jobs_steps)
WHERE run_id = :run_id AND step IS NOT NULL AND state IN ('pending', 'running', 'retrying') ORDER BY id;

-- name: with_open_children
-- Which of some runs have children that have not ended.
SELECT run_id FROM {jobs} AS jobs FORCE INDEX (jobs_steps)
WHERE run_id IN :ids AND step IS NOT NULL AND state IN ('pending', 'running', 'retrying')
UNION SELECT parent FROM {runs} AS runs FORCE INDEX (runs_children) WHERE parent IN :ids AND finished_at IS NULL;

-- name: open_child_runs
-- The children of a run that end with it, and where their drivers stand.
SELECT runs.id, runs.driver, jobs.state FROM {runs} AS runs FORCE INDEX (runs_children) JOIN {jobs} AS jobs ON jobs.id = runs.driver
WHERE runs.parent = :run_id AND runs.finished_at IS NULL AND compensating = 0 AND abandon = 0
  AND (awaited = 1 OR :all)
ORDER BY jobs.id;

-- name: block_run
-- The run is blocked.
UPDATE {runs} AS runs SET state = 'blocked', blocked = :reason, updated_at = :now WHERE id = :id;

-- name: block_driver
-- Sets a driver aside until somebody has the right code.
UPDATE {jobs} AS jobs SET state = CASE WHEN failures > 0 OR crashes > 0 THEN 'retrying' ELSE 'pending' END, ready = 0,
  set_aside = 1, run_at = :now, worker_id = NULL, lease_until = NULL, left_as = :left_as, updated_at = :now
WHERE id = :id;

-- name: block_aside
-- The runs of drivers that were just set aside.
UPDATE {runs} AS runs SET state = 'blocked', blocked = CONCAT('no live worker serves ', name, '@', version),
  updated_at = :now
WHERE id = (SELECT run_id FROM {jobs} AS jobs WHERE id = :seq AND kind = 'workflow' AND set_aside = 1);

-- name: unblock_runs
-- Blocked runs whose drivers are about to be brought back.
SELECT id FROM {jobs} AS jobs FORCE INDEX (jobs_aside)
WHERE set_aside = 1 AND kind = 'workflow' AND (:queues IS NULL OR queue IN :queues) AND name IN :names;
SELECT run_id FROM {jobs} AS jobs FORCE INDEX (PRIMARY) WHERE id IN :found AND set_aside = 1 ORDER BY id FOR UPDATE;
UPDATE {runs} AS runs SET state = {standing}, blocked = NULL, updated_at = :now WHERE state = 'blocked' AND id IN :found;

-- part: standing
CASE WHEN compensating = 1 THEN 'compensating' WHEN parked = 1 THEN 'waiting' WHEN started_at IS NULL THEN 'pending'
ELSE 'running' END

-- name: take_up_run
-- A blocked run, or one that moves to another version, goes on.
UPDATE {runs} AS runs SET parked = 0, wakes_at = NULL, blocked = NULL, version = :version, updated_at = :now,
  state = CASE WHEN compensating = 1 THEN 'compensating' WHEN started_at IS NULL THEN 'pending' ELSE 'running' END
WHERE id = :id;

-- name: take_up_driver
-- Its driver is claimable and due, with a clean count.
UPDATE {jobs} AS jobs SET state = 'pending', ready = 1, failures = 0, crashes = 0, set_aside = 0, run_at = :now,
  updated_at = :now
WHERE id = :id;

-- name: revive_run
-- A run that has ended goes on from its checkpoints, or with its compensation. Each column is set before what it was
-- read from.
UPDATE {runs} AS runs SET compensating = compensation_failed,
  reason = CASE WHEN compensation_failed = 1 THEN reason END,
  state = CASE WHEN compensation_failed = 1 THEN 'compensating' WHEN started_at IS NULL THEN 'pending' ELSE 'running' END,
  compensation_failed = 0, finished_at = NULL, updated_at = :now
WHERE id = :id;

-- name: migrate_driver
-- A driver goes to workers that have another version; who runs it is stale. The lane is set before the name that it may
-- equal.
UPDATE {jobs} AS jobs SET lane = CASE WHEN lane = name THEN :name ELSE lane END, name = :name, epoch = epoch + 1,
  state = CASE WHEN failures > 0 OR crashes > 0 THEN 'retrying' ELSE 'pending' END,
  ready = CASE WHEN behind IS NOT NULL THEN 0 WHEN crashes < :quarantine THEN 1 ELSE 2 END, set_aside = 0, blocked = 0,
  worker_id = NULL, lease_until = NULL, run_at = :now, updated_at = :now
WHERE id = :id;

-- name: child_results_of
-- How the children of some runs ended.
SELECT {child_columns} FROM {child_results} AS child_results WHERE run_id IN :ids ORDER BY run_id, step;

-- name: entry_kind
-- Of what kind of job a dead letter is.
SELECT kind FROM {dlq} AS dlq WHERE id = :id;

-- part: prunable_run
runs.state = :state AND runs.finished_at < :before AND NOT EXISTS (
  SELECT 1 FROM {runs} AS parents WHERE parents.id = runs.parent AND parents.finished_at IS NULL)

-- name: count_ended_runs
-- How many runs of one outcome ended before a time.
SELECT count(*) FROM (SELECT 1 FROM {runs} AS runs FORCE INDEX (runs_ended) WHERE {prunable_run} LIMIT :limit) AS ended;

-- name: ended_runs
-- Some runs of one outcome that ended before a time, longest ended first, but none that somebody is changing.
SELECT runs.finished_at, runs.id, runs.driver FROM {runs} AS runs FORCE INDEX (runs_ended)
JOIN {jobs} AS jobs ON jobs.id = runs.driver WHERE {prunable_run}
ORDER BY runs.finished_at, runs.id LIMIT :limit FOR UPDATE SKIP LOCKED;

-- name: journal_size
-- How many rows and bytes a run's journal holds.
SELECT count(*), CAST(coalesce(sum(length(data)), 0) AS SIGNED) FROM {checkpoints} AS checkpoints WHERE run_id = :id;

-- name: forget_journals
-- Removes the journals of some runs.
DELETE FROM {checkpoints} WHERE run_id IN :ids;

-- name: forget_child_results
-- Removes how the children of some runs ended.
DELETE FROM {child_results} WHERE run_id IN :ids;

-- name: forget_mail
-- Removes the signals to some runs.
DELETE FROM {events} WHERE run_id IN :ids;

-- name: forget_runs
-- Removes some runs.
DELETE FROM {runs} WHERE id IN :ids;

-- name: forget_driver_attempts
-- Removes the failed attempts of some drivers.
DELETE FROM {attempts} WHERE job_id IN :ids;

-- name: forget_drivers
-- Removes some drivers.
DELETE FROM {jobs} WHERE id IN :ids;
