-- The triggers that write the feed of state changes, while somebody listens to a type. Each entry is of the time that its
-- row says; which position it has is decided by its first reader.

DROP TRIGGER IF EXISTS {database}.{namespace}_feed_jobs_added;

CREATE TRIGGER {database}.{namespace}_feed_jobs_added AFTER INSERT ON {jobs} FOR EACH ROW
IF NEW.kind = 'job' AND NEW.state = 'pending' THEN
  INSERT INTO {stream} (channel, id, type, tenant, at, data)
  SELECT 'job.enqueued', CONCAT(NEW.id, ':', UUID_SHORT()), 'job.enqueued', {tenant_told}, NEW.updated_at,
    JSON_MERGE_PATCH('{}', JSON_OBJECT('job_id', NEW.id, 'job_name', NEW.name, 'queue', NEW.queue,
      'attempt', NEW.failures + 1, {scope_told}))
  FROM DUAL WHERE EXISTS (
    SELECT 1 FROM {stream_listeners} WHERE channel = 'job.enqueued' AND `until` > NEW.updated_at); END IF;

DROP TRIGGER IF EXISTS {database}.{namespace}_feed_jobs_changed;

-- one that is put back uncounted tells nothing
CREATE TRIGGER {database}.{namespace}_feed_jobs_changed AFTER UPDATE ON {jobs} FOR EACH ROW
IF NEW.state <> OLD.state AND NEW.kind = 'job' THEN
  INSERT INTO {stream} (channel, id, type, tenant, at, data)
  SELECT told, CONCAT(NEW.id, ':', UUID_SHORT()), told, {tenant_told}, NEW.updated_at,
    JSON_MERGE_PATCH('{}', JSON_OBJECT('job_id', NEW.id, 'job_name', NEW.name, 'queue', NEW.queue,
      'attempt', CASE told WHEN 'job.failed' THEN greatest(NEW.failures, 1) WHEN 'job.retrying' THEN OLD.failures + 1
        ELSE NEW.failures + 1 END,
      'elapsed_ms', CASE told WHEN 'job.completed' THEN (NEW.finished_at - NEW.started_at) DIV 1000 END,
      'next_run_at', CASE told WHEN 'job.retrying' THEN
        DATE_FORMAT(TIMESTAMPADD(MICROSECOND, NEW.run_at, '1970-01-01'), '%Y-%m-%dT%H:%i:%s.%fZ') END,
      {scope_told}), CASE WHEN told IN ('job.failed', 'job.retrying') THEN {error_told} ELSE '{}' END)
  FROM (SELECT CASE NEW.state WHEN 'running' THEN 'job.started' WHEN 'completed' THEN 'job.completed'
    WHEN 'failed' THEN 'job.failed' WHEN 'cancelled' THEN 'job.cancelled'
    WHEN 'retrying' THEN
      CASE WHEN NEW.failures > OLD.failures OR NEW.crashes > OLD.crashes THEN 'job.retrying' END
    WHEN 'pending' THEN CASE WHEN OLD.state IN ('failed', 'cancelled') THEN 'job.enqueued' END END AS told) AS telling
  WHERE EXISTS (SELECT 1 FROM {stream_listeners} WHERE channel = told AND `until` > NEW.updated_at); END IF;

DROP TRIGGER IF EXISTS {database}.{namespace}_feed_jobs_buried;

CREATE TRIGGER {database}.{namespace}_feed_jobs_buried AFTER INSERT ON {dlq} FOR EACH ROW
IF NEW.kind = 'job' THEN
  INSERT INTO {stream} (channel, id, type, tenant, at, data)
  SELECT 'job.dlq', CONCAT(NEW.job_id, ':', UUID_SHORT()), 'job.dlq', {tenant_told}, NEW.updated_at,
    JSON_MERGE_PATCH('{}', JSON_OBJECT('job_id', NEW.job_id, 'job_name', NEW.job_name, 'queue', NEW.queue,
      'attempt', greatest(NEW.failures, 1), {scope_told}), {error_told})
  FROM DUAL WHERE EXISTS (
    SELECT 1 FROM {stream_listeners} WHERE channel = 'job.dlq' AND `until` > NEW.updated_at); END IF;

DROP TRIGGER IF EXISTS {database}.{namespace}_feed_runs_changed;

CREATE TRIGGER {database}.{namespace}_feed_runs_changed AFTER UPDATE ON {runs} FOR EACH ROW
IF NEW.state <> OLD.state THEN
  INSERT INTO {stream} (channel, id, type, tenant, at, data)
  SELECT told, CONCAT(NEW.id, ':', UUID_SHORT()), told, {tenant_told}, NEW.updated_at,
    JSON_MERGE_PATCH('{}', JSON_OBJECT('run_id', NEW.id, 'name', NEW.name,
      'elapsed_ms', CASE WHEN told <> 'workflow.started' THEN (NEW.finished_at - NEW.started_at) DIV 1000 END,
      {scope_told}), CASE told WHEN 'workflow.failed' THEN {error_told} ELSE '{}' END)
  FROM (SELECT CASE NEW.state WHEN 'completed' THEN 'workflow.completed' WHEN 'failed' THEN 'workflow.failed'
    WHEN 'cancelled' THEN 'workflow.cancelled'
    WHEN 'running' THEN CASE WHEN OLD.started_at IS NULL THEN 'workflow.started' END END AS told) AS telling
  WHERE EXISTS (SELECT 1 FROM {stream_listeners} WHERE channel = told AND `until` > NEW.updated_at); END IF;

DROP TRIGGER IF EXISTS {database}.{namespace}_feed_steps_recorded;

-- a fork's copies are none; bytes that are no text are read as latin1, which takes any, and are no JSON then
CREATE TRIGGER {database}.{namespace}_feed_steps_recorded AFTER INSERT ON {checkpoints} FOR EACH ROW
IF NEW.inherited = 0 THEN
  INSERT INTO {stream} (channel, id, type, tenant, at, data)
  SELECT told, CONCAT(NEW.run_id, ':', UUID_SHORT()), told,
    CASE WHEN r.app_id = '' AND r.org_id = '' THEN '' ELSE CONCAT(r.app_id, '/', r.org_id) END, NEW.updated_at,
    JSON_MERGE_PATCH('{}', JSON_OBJECT('run_id', NEW.run_id, 'name', r.name, 'step_name', NEW.name,
      'elapsed_ms', CASE told WHEN 'workflow.step_completed' THEN (NEW.updated_at - NEW.started_at) DIV 1000 END,
      'scope_app_id', nullif(r.app_id, ''), 'scope_org_id', nullif(r.org_id, '')),
      CASE told WHEN 'workflow.step_failed' THEN JSON_OBJECT('error', JSON_OBJECT(
        'type', coalesce(JSON_UNQUOTE(JSON_EXTRACT(failure, '$.type')), ''),
        'message', coalesce(JSON_UNQUOTE(JSON_EXTRACT(failure, '$.message')), ''))) ELSE '{}' END)
  FROM (SELECT CASE NEW.kind WHEN 'step' THEN 'workflow.step_completed' WHEN 'undo' THEN 'workflow.step_completed'
      WHEN 'failure' THEN 'workflow.step_failed' END AS told,
    CASE WHEN NEW.kind = 'failure' AND JSON_VALID(CONVERT(NEW.data USING latin1)) THEN CONVERT(NEW.data USING utf8mb4)
      ELSE '{}' END AS failure) AS telling
  JOIN {runs} AS r ON r.id = NEW.run_id
  WHERE EXISTS (SELECT 1 FROM {stream_listeners} WHERE channel = told AND `until` > NEW.updated_at); END IF;

DROP TRIGGER IF EXISTS {database}.{namespace}_feed_crons_fired;

CREATE TRIGGER {database}.{namespace}_feed_crons_fired AFTER INSERT ON {cron_ticks} FOR EACH ROW
IF NEW.outcome = 'fired' THEN
  INSERT INTO {stream} (channel, id, type, tenant, at, data)
  SELECT 'cron.fired', CONCAT(NEW.entry_id, ':', UUID_SHORT()), 'cron.fired',
    CASE WHEN c.app_id = '' AND c.org_id = '' THEN '' ELSE CONCAT(c.app_id, '/', c.org_id) END, NEW.fired_at,
    JSON_MERGE_PATCH('{}', JSON_OBJECT('entry_name', c.name,
      'tick', DATE_FORMAT(TIMESTAMPADD(MICROSECOND, NEW.scheduled_at, '1970-01-01'), '%Y-%m-%dT%H:%i:%s.%fZ'),
      'job_id', CASE WHEN NEW.run_id IS NULL THEN NEW.job_id END, 'run_id', NEW.run_id,
      'scope_app_id', nullif(c.app_id, ''), 'scope_org_id', nullif(c.org_id, '')))
  FROM {crons} AS c WHERE c.id = NEW.entry_id AND EXISTS (
    SELECT 1 FROM {stream_listeners} WHERE channel = 'cron.fired' AND `until` > NEW.fired_at); END IF;
