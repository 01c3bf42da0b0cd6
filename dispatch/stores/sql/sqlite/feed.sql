-- The triggers that write the feed, made by whoever begins to listen and removed when nobody does: while nobody listens,
-- a row that changes costs nothing more. Each entry is of the time that its row says.

-- part: job_told
CASE NEW.state WHEN 'running' THEN 'job.started' WHEN 'completed' THEN 'job.completed' WHEN 'failed' THEN 'job.failed'
  WHEN 'cancelled' THEN 'job.cancelled'
  WHEN 'retrying' THEN CASE WHEN NEW.failures > OLD.failures OR NEW.crashes > OLD.crashes THEN 'job.retrying' END
  WHEN 'pending' THEN CASE WHEN OLD.state IN ('failed', 'cancelled') THEN 'job.enqueued' END END

-- part: run_told
CASE NEW.state WHEN 'completed' THEN 'workflow.completed' WHEN 'failed' THEN 'workflow.failed'
  WHEN 'cancelled' THEN 'workflow.cancelled'
  WHEN 'running' THEN CASE WHEN OLD.started_at IS NULL THEN 'workflow.started' END END

-- part: step_told
CASE NEW.kind WHEN 'step' THEN 'workflow.step_completed' WHEN 'undo' THEN 'workflow.step_completed'
  WHEN 'failure' THEN 'workflow.step_failed' END

-- part: new_entry
INSERT INTO stream (position, channel, id, type, tenant, at, data)

-- part: tenant_told
CASE WHEN NEW.app_id = '' AND NEW.org_id = '' THEN '' ELSE NEW.app_id || '/' || NEW.org_id END

-- part: scope_told
'scope_app_id', nullif(NEW.app_id, ''), 'scope_org_id', nullif(NEW.org_id, '')

-- part: error_told
json_object('type', coalesce(NEW.error_type, NEW.reason, ''), 'message', coalesce(NEW.error_message, ''))

-- name: tell_jobs_added
-- Tells of jobs that are enqueued.
CREATE TRIGGER IF NOT EXISTS feed_jobs_added AFTER INSERT ON jobs
WHEN NEW.kind = 'job' AND NEW.state = 'pending'
  AND EXISTS (SELECT 1 FROM stream_listeners WHERE channel = 'job.enqueued' AND until > NEW.updated_at)
BEGIN
  {new_entry}
  SELECT last + 1, 'job.enqueued', NEW.id || ':' || (last + 1), 'job.enqueued', {tenant_told}, NEW.updated_at,
    json_patch('{}', json_object('job_id', NEW.id, 'job_name', NEW.name, 'queue', NEW.queue,
      'attempt', NEW.failures + 1, {scope_told}))
  FROM stream_state;
END;

-- name: tell_jobs_changed
-- Tells of jobs that start, leave running, are cancelled or wait anew; one that is put back uncounted tells nothing.
CREATE TRIGGER IF NOT EXISTS feed_jobs_changed AFTER UPDATE OF state ON jobs
WHEN NEW.kind = 'job' AND NEW.state <> OLD.state
  AND EXISTS (SELECT 1 FROM stream_listeners WHERE channel = {job_told} AND until > NEW.updated_at)
BEGIN
  {new_entry}
  SELECT last + 1, told, NEW.id || ':' || (last + 1), told, {tenant_told}, NEW.updated_at,
    json_patch('{}', json_object('job_id', NEW.id, 'job_name', CAST(NEW.name AS TEXT),
      'queue', CAST(NEW.queue AS TEXT),
      'attempt', CASE told WHEN 'job.failed' THEN max(NEW.failures, 1) WHEN 'job.retrying' THEN OLD.failures + 1
        ELSE NEW.failures + 1 END,
      'elapsed_ms', CASE told WHEN 'job.completed' THEN (NEW.finished_at - NEW.started_at) / 1000 END,
      'error', CASE WHEN told IN ('job.failed', 'job.retrying') THEN {error_told} END,
      'next_run_at', CASE told WHEN 'job.retrying' THEN
        strftime('%Y-%m-%dT%H:%M:%S', NEW.run_at / 1000000, 'unixepoch') || printf('.%06dZ', NEW.run_at % 1000000) END,
      {scope_told}))
  FROM stream_state, (SELECT {job_told} AS told);
END;

-- name: tell_jobs_buried
-- Tells of dead letters.
CREATE TRIGGER IF NOT EXISTS feed_jobs_buried AFTER INSERT ON dlq
WHEN NEW.kind = 'job'
  AND EXISTS (SELECT 1 FROM stream_listeners WHERE channel = 'job.dlq' AND until > NEW.updated_at)
BEGIN
  {new_entry}
  SELECT last + 1, 'job.dlq', NEW.job_id || ':' || (last + 1), 'job.dlq', {tenant_told}, NEW.updated_at,
    json_patch('{}', json_object('job_id', NEW.job_id, 'job_name', CAST(NEW.job_name AS TEXT),
      'queue', CAST(NEW.queue AS TEXT), 'attempt', max(NEW.failures, 1), 'error', {error_told}, {scope_told}))
  FROM stream_state;
END;

-- name: tell_runs_changed
-- Tells of runs that begin for the first time, and of their ends.
CREATE TRIGGER IF NOT EXISTS feed_runs_changed AFTER UPDATE OF state ON runs
WHEN NEW.state <> OLD.state
  AND EXISTS (SELECT 1 FROM stream_listeners WHERE channel = {run_told} AND until > NEW.updated_at)
BEGIN
  {new_entry}
  SELECT last + 1, told, NEW.id || ':' || (last + 1), told, {tenant_told}, NEW.updated_at,
    json_patch('{}', json_object('run_id', NEW.id, 'name', NEW.name,
      'elapsed_ms', CASE WHEN told <> 'workflow.started' THEN (NEW.finished_at - NEW.started_at) / 1000 END,
      'error', CASE told WHEN 'workflow.failed' THEN {error_told} END, {scope_told}))
  FROM stream_state, (SELECT {run_told} AS told);
END;

-- name: tell_steps_recorded
-- Tells of steps and undos that are recorded; a fork's copies are none.
CREATE TRIGGER IF NOT EXISTS feed_steps_recorded AFTER INSERT ON checkpoints
WHEN NEW.inherited = 0
  AND EXISTS (SELECT 1 FROM stream_listeners WHERE channel = {step_told} AND until > NEW.updated_at)
BEGIN
  {new_entry}
  SELECT last + 1, told, NEW.run_id || ':' || (last + 1), told,
    CASE WHEN app_id = '' AND org_id = '' THEN '' ELSE app_id || '/' || org_id END, NEW.updated_at,
    json_patch('{}', json_object('run_id', NEW.run_id, 'name', runs.name, 'step_name', NEW.name,
      'elapsed_ms', CASE told WHEN 'workflow.step_completed' THEN (NEW.updated_at - NEW.started_at) / 1000 END,
      'error', CASE told WHEN 'workflow.step_failed' THEN json_object(
        'type', coalesce(json_extract(failure, '$.type'), ''),
        'message', coalesce(json_extract(failure, '$.message'), '')) END,
      'scope_app_id', nullif(app_id, ''), 'scope_org_id', nullif(org_id, '')))
  FROM stream_state, (SELECT {step_told} AS told), runs,
    (SELECT CASE WHEN json_valid(CAST(NEW.data AS TEXT)) THEN CAST(NEW.data AS TEXT) ELSE '{}' END AS failure)
  WHERE runs.id = NEW.run_id;
END;

-- name: tell_crons_fired
-- Tells of ticks that made a job or a run.
CREATE TRIGGER IF NOT EXISTS feed_crons_fired AFTER INSERT ON cron_ticks
WHEN NEW.outcome = 'fired'
  AND EXISTS (SELECT 1 FROM stream_listeners WHERE channel = 'cron.fired' AND until > NEW.fired_at)
BEGIN
  {new_entry}
  SELECT last + 1, 'cron.fired', NEW.entry_id || ':' || (last + 1), 'cron.fired',
    CASE WHEN app_id = '' AND org_id = '' THEN '' ELSE app_id || '/' || org_id END, NEW.fired_at,
    json_patch('{}', json_object('entry_name', crons.name,
      'tick', strftime('%Y-%m-%dT%H:%M:%S', NEW.scheduled_at / 1000000, 'unixepoch')
        || printf('.%06dZ', NEW.scheduled_at % 1000000),
      'job_id', CASE WHEN NEW.run_id IS NULL THEN NEW.job_id END, 'run_id', NEW.run_id,
      'scope_app_id', nullif(app_id, ''), 'scope_org_id', nullif(org_id, '')))
  FROM stream_state, crons WHERE crons.id = NEW.entry_id;
END;

-- name: keep_jobs_added_quiet
-- Tells no more.
DROP TRIGGER IF EXISTS feed_jobs_added;

-- name: keep_jobs_changed_quiet
-- Tells no more.
DROP TRIGGER IF EXISTS feed_jobs_changed;

-- name: keep_jobs_buried_quiet
-- Tells no more.
DROP TRIGGER IF EXISTS feed_jobs_buried;

-- name: keep_runs_changed_quiet
-- Tells no more.
DROP TRIGGER IF EXISTS feed_runs_changed;

-- name: keep_steps_recorded_quiet
-- Tells no more.
DROP TRIGGER IF EXISTS feed_steps_recorded;

-- name: keep_crons_fired_quiet
-- Tells no more.
DROP TRIGGER IF EXISTS feed_crons_fired;
