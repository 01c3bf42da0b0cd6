-- Runs of workflows: their journal, open waits, children and what a parked one waits for.

-- of a driver: its run; with a step: the run that waits for this job as one of its children
ALTER TABLE jobs ADD COLUMN run_id TEXT;
ALTER TABLE jobs ADD COLUMN step TEXT;
CREATE INDEX jobs_steps ON jobs (run_id, step) WHERE step IS NOT NULL;
DROP INDEX jobs_ended;
CREATE INDEX jobs_ended ON jobs (state, finished_at) WHERE finished_at IS NOT NULL AND kind <> 'workflow';

-- queue, tags, metadata and input are its driver's
CREATE TABLE runs (
  id TEXT PRIMARY KEY,
  name TEXT NOT NULL,
  version INTEGER NOT NULL,
  state TEXT NOT NULL,
  driver TEXT NOT NULL,
  reason TEXT,
  -- why it is blocked, while it is; `reason` keeps what it was before
  blocked TEXT,
  -- 1: it has begun to compensate, and goes on with that whenever its driver is claimed
  compensating INTEGER NOT NULL DEFAULT 0,
  compensated INTEGER NOT NULL DEFAULT 0,
  compensation_failed INTEGER NOT NULL DEFAULT 0,
  parked INTEGER NOT NULL DEFAULT 0,
  wake_seq INTEGER NOT NULL DEFAULT 0,
  parent TEXT,
  step TEXT,
  awaited INTEGER NOT NULL,
  abandon INTEGER NOT NULL,
  forked_from TEXT,
  app_id TEXT NOT NULL,
  org_id TEXT NOT NULL,
  created_at INTEGER NOT NULL,
  updated_at INTEGER NOT NULL,
  started_at INTEGER,
  finished_at INTEGER,
  wakes_at INTEGER,
  error_type TEXT,
  error_message TEXT,
  error_traceback TEXT,
  result BLOB
);
CREATE INDEX runs_listed ON runs (state, id, name, version, app_id, org_id);
CREATE INDEX runs_children ON runs (parent, id) WHERE parent IS NOT NULL;
CREATE INDEX runs_ended ON runs (state, finished_at, id) WHERE finished_at IS NOT NULL;

CREATE TABLE checkpoints (
  run_id TEXT NOT NULL,
  position INTEGER NOT NULL,
  id TEXT NOT NULL,
  name TEXT NOT NULL,
  kind TEXT NOT NULL,
  attempt INTEGER NOT NULL,
  worker_id TEXT,
  event_id TEXT,
  inherited INTEGER NOT NULL DEFAULT 0,
  started_at INTEGER,
  created_at INTEGER NOT NULL,
  updated_at INTEGER NOT NULL,
  data BLOB,
  PRIMARY KEY (run_id, position)
);
CREATE UNIQUE INDEX checkpoints_name ON checkpoints (run_id, name);
CREATE UNIQUE INDEX checkpoints_event ON checkpoints (run_id, event_id) WHERE event_id IS NOT NULL;

CREATE TABLE child_results (
  run_id TEXT NOT NULL,
  step TEXT NOT NULL,
  child TEXT NOT NULL,
  state TEXT NOT NULL,
  error_type TEXT,
  error_message TEXT,
  error_traceback TEXT,
  result BLOB,
  PRIMARY KEY (run_id, step)
);

-- what a parked run waits for: it wakes when `remaining` of a group is 0
CREATE TABLE park_groups (
  run_id TEXT NOT NULL,
  number INTEGER NOT NULL,
  mode TEXT NOT NULL,
  remaining INTEGER NOT NULL,
  PRIMARY KEY (run_id, number)
) WITHOUT ROWID;
CREATE TABLE park_steps (
  run_id TEXT NOT NULL,
  step TEXT NOT NULL,
  number INTEGER NOT NULL,
  PRIMARY KEY (run_id, step, number)
) WITHOUT ROWID;

-- one open wait; its events, one row each, in `waits_events`
CREATE TABLE waits (
  run_id TEXT NOT NULL,
  name TEXT NOT NULL,
  events TEXT NOT NULL,
  key TEXT,
  since INTEGER,
  deadline INTEGER,
  PRIMARY KEY (run_id, name)
) WITHOUT ROWID;
CREATE TABLE waits_events (
  run_id TEXT NOT NULL,
  name TEXT NOT NULL,
  event TEXT NOT NULL,
  key TEXT,
  app_id TEXT NOT NULL,
  org_id TEXT NOT NULL,
  since INTEGER
);
CREATE INDEX waits_events_wait ON waits_events (run_id, name);
CREATE INDEX waits_events_match ON waits_events (event, key, app_id, org_id);

-- 1: a signal that its run has consumed
ALTER TABLE events ADD COLUMN consumed INTEGER NOT NULL DEFAULT 0;
CREATE INDEX events_mail ON events (run_id, consumed, created_at, id) WHERE run_id IS NOT NULL;
CREATE INDEX events_channel ON events (name, key, app_id, org_id, created_at, id) WHERE run_id IS NULL;
