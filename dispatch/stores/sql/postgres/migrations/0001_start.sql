-- The first schema: jobs and what hangs on them, queues, dead letters, events, cron, the
-- fleet, records, the stream, runs.
-- Run with the store's schema first in the search path. Times are microseconds since 1970; ids and names sort by byte.

CREATE TABLE jobs (
  id TEXT COLLATE "C" PRIMARY KEY,
  -- 1: claimable once due; 2: quarantined, claimable alone; 0: not waiting, set aside, or behind another job
  ready SMALLINT NOT NULL,
  state TEXT COLLATE "C" NOT NULL,
  queue TEXT COLLATE "C" NOT NULL,
  name TEXT COLLATE "C" NOT NULL,
  kind TEXT COLLATE "C" NOT NULL,
  lane TEXT COLLATE "C" NOT NULL,
  priority BIGINT NOT NULL,
  run_at BIGINT NOT NULL,
  worker_id TEXT COLLATE "C",
  epoch BIGINT NOT NULL DEFAULT 0,
  lease_until BIGINT,
  failures BIGINT NOT NULL DEFAULT 0,
  crashes BIGINT NOT NULL DEFAULT 0,
  -- not NULL: cancellation was requested, for this reason
  cancel_reason TEXT,
  unique_key TEXT COLLATE "C",
  unique_until TEXT COLLATE "C",
  unique_hold_until BIGINT,
  created_at BIGINT NOT NULL,
  updated_at BIGINT NOT NULL,
  started_at BIGINT,
  finished_at BIGINT,
  scheduled_at BIGINT,
  expires_at BIGINT,
  max_retries BIGINT,
  timeout DOUBLE PRECISION,
  backoff TEXT,
  keep_result SMALLINT,
  app_id TEXT COLLATE "C" NOT NULL,
  org_id TEXT COLLATE "C" NOT NULL,
  -- NULL: the job's own id
  effect_key TEXT COLLATE "C",
  metadata TEXT,
  tags TEXT,
  set_aside SMALLINT NOT NULL DEFAULT 0,
  behind TEXT COLLATE "C",
  replay_of TEXT COLLATE "C",
  progress DOUBLE PRECISION,
  progress_note TEXT,
  reason TEXT,
  error_type TEXT COLLATE "C",
  error_message TEXT,
  error_traceback TEXT,
  -- "worker:epoch:verdict" of the last report that ended a claim, so that its repetition is recognised
  -- (a plain completion leaves it out: state, worker and epoch say the same)
  left_as TEXT COLLATE "C",
  concurrency_key TEXT COLLATE "C",
  concurrency_max BIGINT,
  -- 1: due, but its concurrency key is full
  blocked SMALLINT NOT NULL DEFAULT 0,
  -- of a driver: its run; with a step: the run that waits for this job as one of its children
  run_id TEXT COLLATE "C",
  step TEXT COLLATE "C",
  payload BYTEA,
  result BYTEA,
  -- a row that no job can be read from would stop every claim that meets it
  CONSTRAINT jobs_readable CHECK (
    state IN ('pending', 'running', 'retrying', 'completed', 'failed', 'cancelled')
    AND least(created_at, updated_at, run_at, lease_until, started_at, finished_at, scheduled_at, expires_at)
      >= -62135596800000000
    AND greatest(created_at, updated_at, run_at, lease_until, started_at, finished_at, scheduled_at, expires_at)
      <= 253402300799999999)
) WITH (
  fillfactor = 90,
  autovacuum_vacuum_scale_factor = 0.01,
  autovacuum_vacuum_threshold = 2000,
  autovacuum_vacuum_insert_scale_factor = 0.05,
  autovacuum_analyze_scale_factor = 0.02,
  autovacuum_vacuum_cost_delay = 1
);
-- No index holds lease_until: a renewal stays within its page.
CREATE INDEX jobs_ready ON jobs (queue, lane, priority DESC, run_at, id) WHERE ready = 1;
CREATE INDEX jobs_quarantined ON jobs (queue, run_at) WHERE ready = 2;
CREATE INDEX jobs_running ON jobs (queue, worker_id) WHERE state = 'running';
CREATE INDEX jobs_cancel ON jobs (worker_id) WHERE state = 'running' AND cancel_reason IS NOT NULL;
CREATE INDEX jobs_aside ON jobs (queue, name) WHERE set_aside = 1;
CREATE INDEX jobs_behind ON jobs (behind) WHERE behind IS NOT NULL;
CREATE INDEX jobs_listed ON jobs (state, kind, id) WHERE state <> 'running';
CREATE INDEX jobs_ended ON jobs (state, finished_at) WHERE finished_at IS NOT NULL AND kind <> 'workflow';
CREATE INDEX jobs_steps ON jobs (run_id, step) WHERE step IS NOT NULL;
CREATE INDEX jobs_keyed ON jobs (concurrency_key, state, ready, queue, lane, name, run_at)
  WHERE concurrency_key IS NOT NULL AND finished_at IS NULL;
CREATE INDEX jobs_blocked ON jobs (queue, concurrency_key, lane, name, priority DESC, run_at, id) WHERE blocked = 1;

-- the maximum that the latest enqueue of a key brought (NULL: a row made to be locked)
CREATE TABLE concurrency_keys (
  key TEXT COLLATE "C" PRIMARY KEY,
  most BIGINT
) WITH (fillfactor = 70);

CREATE TABLE attempts (
  seq BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  job_id TEXT COLLATE "C" NOT NULL,
  number BIGINT NOT NULL,
  kind TEXT COLLATE "C" NOT NULL,
  error_type TEXT COLLATE "C" NOT NULL,
  error_message TEXT NOT NULL,
  error_traceback TEXT,
  worker_id TEXT COLLATE "C",
  epoch BIGINT NOT NULL,
  started_at BIGINT,
  ended_at BIGINT NOT NULL
);
CREATE INDEX attempts_job ON attempts (job_id, seq);

CREATE TABLE unique_keys (
  key TEXT COLLATE "C" PRIMARY KEY,
  job_id TEXT COLLATE "C" NOT NULL,
  -- 1: a live job holds it; 0: only hold_until does, or nobody (a row made to be locked)
  live SMALLINT NOT NULL,
  hold_until BIGINT
) WITH (autovacuum_vacuum_scale_factor = 0.01, autovacuum_vacuum_threshold = 1000);
CREATE INDEX unique_keys_held ON unique_keys (hold_until) WHERE live = 0;

CREATE TABLE idempotency (
  tenant TEXT COLLATE "C" NOT NULL,
  key TEXT COLLATE "C" NOT NULL,
  job_id TEXT COLLATE "C" NOT NULL,
  fingerprint TEXT COLLATE "C" NOT NULL,
  expires_at BIGINT NOT NULL,
  PRIMARY KEY (tenant, key)
);
CREATE INDEX idempotency_expiry ON idempotency (expires_at);

CREATE TABLE dlq (
  id TEXT COLLATE "C" PRIMARY KEY,
  job_id TEXT COLLATE "C" NOT NULL,
  job_name TEXT COLLATE "C" NOT NULL,
  queue TEXT COLLATE "C" NOT NULL,
  kind TEXT COLLATE "C" NOT NULL,
  lane TEXT COLLATE "C" NOT NULL,
  state TEXT COLLATE "C" NOT NULL,
  reason TEXT NOT NULL,
  error_type TEXT COLLATE "C",
  error_message TEXT,
  error_traceback TEXT,
  payload BYTEA,
  failures BIGINT NOT NULL,
  crashes BIGINT NOT NULL,
  priority BIGINT NOT NULL,
  max_retries BIGINT,
  timeout DOUBLE PRECISION,
  backoff TEXT,
  keep_result SMALLINT,
  unique_key TEXT COLLATE "C",
  unique_until TEXT COLLATE "C",
  effect_key TEXT COLLATE "C" NOT NULL,
  metadata TEXT,
  tags TEXT,
  app_id TEXT COLLATE "C" NOT NULL,
  org_id TEXT COLLATE "C" NOT NULL,
  replayed_as TEXT COLLATE "C",
  created_at BIGINT NOT NULL,
  updated_at BIGINT NOT NULL,
  concurrency_key TEXT COLLATE "C",
  concurrency_max BIGINT
);
CREATE INDEX dlq_job ON dlq (job_id);
CREATE INDEX dlq_listed ON dlq (state, id);
CREATE INDEX dlq_age ON dlq (created_at);

CREATE TABLE queues (
  name TEXT COLLATE "C" PRIMARY KEY,
  max_concurrency BIGINT,
  rate_limit DOUBLE PRECISION,
  rate_burst BIGINT,
  fair SMALLINT NOT NULL DEFAULT 0,
  tenant_concurrency BIGINT,
  tokens DOUBLE PRECISION NOT NULL DEFAULT 0,
  refilled_at BIGINT NOT NULL DEFAULT 0,
  paused_at BIGINT,
  paused_until BIGINT,
  paused_by TEXT NOT NULL DEFAULT '',
  pause_reason TEXT NOT NULL DEFAULT ''
) WITH (fillfactor = 50);

CREATE TABLE slots (
  queue TEXT COLLATE "C" NOT NULL,
  -- '' with a lapsed lease: a row made to be locked
  holder TEXT COLLATE "C" NOT NULL,
  lease_until BIGINT NOT NULL,
  capacity BIGINT,
  PRIMARY KEY (queue, holder)
);

CREATE TABLE events (
  id TEXT COLLATE "C" PRIMARY KEY,
  name TEXT COLLATE "C" NOT NULL,
  key TEXT COLLATE "C",
  run_id TEXT COLLATE "C",
  app_id TEXT COLLATE "C" NOT NULL,
  org_id TEXT COLLATE "C" NOT NULL,
  created_at BIGINT NOT NULL,
  -- 1: a signal that its run has consumed
  consumed SMALLINT NOT NULL DEFAULT 0,
  payload BYTEA
);
CREATE INDEX events_mail ON events (run_id, consumed, created_at, id) WHERE run_id IS NOT NULL;
CREATE INDEX events_channel ON events (name, coalesce(key, ''), app_id, org_id, created_at, id) WHERE run_id IS NULL;
CREATE INDEX events_name ON events (name, id);
CREATE INDEX events_age ON events (created_at);

CREATE TABLE workers (
  id TEXT COLLATE "C" PRIMARY KEY,
  hostname TEXT NOT NULL,
  pid BIGINT NOT NULL,
  state TEXT COLLATE "C" NOT NULL,
  queues TEXT NOT NULL,
  names TEXT NOT NULL,
  concurrency BIGINT NOT NULL,
  lease BIGINT NOT NULL,
  version TEXT NOT NULL,
  labels TEXT NOT NULL,
  running BIGINT NOT NULL DEFAULT 0,
  drain_requested SMALLINT NOT NULL DEFAULT 0,
  last_seen BIGINT NOT NULL,
  created_at BIGINT NOT NULL,
  updated_at BIGINT NOT NULL
) WITH (fillfactor = 50);

CREATE TABLE definitions (
  name TEXT COLLATE "C" NOT NULL,
  kind TEXT COLLATE "C" NOT NULL,
  version BIGINT NOT NULL,
  queue TEXT COLLATE "C" NOT NULL,
  schema TEXT NOT NULL,
  options TEXT NOT NULL,
  PRIMARY KEY (name, kind, version)
);

CREATE TABLE leadership (
  only_row SMALLINT PRIMARY KEY CHECK (only_row = 1),
  leader TEXT COLLATE "C" NOT NULL,
  term BIGINT NOT NULL,
  until BIGINT NOT NULL
);

-- Rows that stand for what has no row of its own to be locked.
CREATE TABLE locks (
  name TEXT COLLATE "C" PRIMARY KEY
);
INSERT INTO locks (name) VALUES ('fleet'), ('leadership');

CREATE TABLE records (
  namespace TEXT COLLATE "C" NOT NULL,
  key TEXT COLLATE "C" NOT NULL,
  value BYTEA,
  version BIGINT NOT NULL,
  created_at BIGINT NOT NULL,
  updated_at BIGINT NOT NULL,
  expires_at BIGINT,
  PRIMARY KEY (namespace, key)
);
CREATE INDEX records_expiry ON records (expires_at) WHERE expires_at IS NOT NULL;

-- last: the position given out last; below `from_position` entries were pruned or never kept
CREATE TABLE stream_channels (
  channel TEXT COLLATE "C" PRIMARY KEY,
  last BIGINT NOT NULL DEFAULT 0,
  from_position BIGINT NOT NULL DEFAULT 0
) WITH (fillfactor = 50);

CREATE TABLE stream_listeners (
  channel TEXT COLLATE "C" NOT NULL,
  listener TEXT COLLATE "C" NOT NULL,
  until BIGINT NOT NULL,
  PRIMARY KEY (channel, listener)
);

CREATE TABLE stream (
  channel TEXT COLLATE "C" NOT NULL,
  position BIGINT NOT NULL,
  id TEXT COLLATE "C" NOT NULL,
  type TEXT COLLATE "C" NOT NULL,
  tenant TEXT COLLATE "C" NOT NULL,
  at BIGINT NOT NULL,
  data BYTEA,
  PRIMARY KEY (channel, position)
);
CREATE INDEX stream_age ON stream (at);

CREATE TABLE crons (
  id TEXT COLLATE "C" PRIMARY KEY,
  name TEXT COLLATE "C" NOT NULL,
  tenant TEXT COLLATE "C" NOT NULL,
  app_id TEXT COLLATE "C" NOT NULL,
  org_id TEXT COLLATE "C" NOT NULL,
  spec TEXT NOT NULL,
  enabled SMALLINT NOT NULL,
  disabled_until BIGINT,
  disabled_reason TEXT NOT NULL,
  disabled_by TEXT NOT NULL,
  revision BIGINT NOT NULL,
  code_hash TEXT COLLATE "C",
  orphaned SMALLINT NOT NULL,
  anchor BIGINT,
  last_fired_at BIGINT,
  next_fire_at BIGINT,
  created_at BIGINT NOT NULL,
  updated_at BIGINT NOT NULL
);
CREATE UNIQUE INDEX crons_name ON crons (name, tenant);
CREATE INDEX crons_due ON crons (next_fire_at) WHERE next_fire_at IS NOT NULL;

CREATE TABLE cron_codes (
  digest TEXT COLLATE "C" PRIMARY KEY,
  spec TEXT NOT NULL,
  first_seen BIGINT NOT NULL
);

CREATE TABLE cron_announced (
  worker_id TEXT COLLATE "C" NOT NULL,
  digest TEXT COLLATE "C" NOT NULL,
  PRIMARY KEY (worker_id, digest)
);

CREATE TABLE cron_ticks (
  entry_id TEXT COLLATE "C" NOT NULL,
  scheduled_at BIGINT NOT NULL,
  outcome TEXT COLLATE "C" NOT NULL,
  fired_at BIGINT NOT NULL,
  job_id TEXT COLLATE "C",
  run_id TEXT COLLATE "C",
  note TEXT NOT NULL,
  PRIMARY KEY (entry_id, scheduled_at)
);
CREATE INDEX cron_ticks_age ON cron_ticks (fired_at);

-- queue, tags, metadata and input are its driver's
CREATE TABLE runs (
  id TEXT COLLATE "C" PRIMARY KEY,
  name TEXT COLLATE "C" NOT NULL,
  version BIGINT NOT NULL,
  state TEXT COLLATE "C" NOT NULL,
  driver TEXT COLLATE "C" NOT NULL,
  reason TEXT,
  -- why it is blocked, while it is; `reason` keeps what it was before
  blocked TEXT,
  -- 1: it has begun to compensate, and goes on with that whenever its driver is claimed
  compensating SMALLINT NOT NULL DEFAULT 0,
  compensated SMALLINT NOT NULL DEFAULT 0,
  compensation_failed SMALLINT NOT NULL DEFAULT 0,
  parked SMALLINT NOT NULL DEFAULT 0,
  wake_seq BIGINT NOT NULL DEFAULT 0,
  parent TEXT COLLATE "C",
  step TEXT COLLATE "C",
  awaited SMALLINT NOT NULL,
  abandon SMALLINT NOT NULL,
  forked_from TEXT COLLATE "C",
  app_id TEXT COLLATE "C" NOT NULL,
  org_id TEXT COLLATE "C" NOT NULL,
  created_at BIGINT NOT NULL,
  updated_at BIGINT NOT NULL,
  started_at BIGINT,
  finished_at BIGINT,
  wakes_at BIGINT,
  error_type TEXT COLLATE "C",
  error_message TEXT,
  error_traceback TEXT,
  result BYTEA
);
CREATE INDEX runs_listed ON runs (state, id);
CREATE INDEX runs_children ON runs (parent, id) WHERE parent IS NOT NULL;
CREATE INDEX runs_ended ON runs (state, finished_at, id) WHERE finished_at IS NOT NULL;

CREATE TABLE checkpoints (
  run_id TEXT COLLATE "C" NOT NULL,
  position BIGINT NOT NULL,
  id TEXT COLLATE "C" NOT NULL,
  name TEXT COLLATE "C" NOT NULL,
  kind TEXT COLLATE "C" NOT NULL,
  attempt BIGINT NOT NULL,
  worker_id TEXT COLLATE "C",
  event_id TEXT COLLATE "C",
  inherited SMALLINT NOT NULL DEFAULT 0,
  started_at BIGINT,
  created_at BIGINT NOT NULL,
  updated_at BIGINT NOT NULL,
  data BYTEA,
  PRIMARY KEY (run_id, position)
);
CREATE UNIQUE INDEX checkpoints_name ON checkpoints (run_id, name);
CREATE UNIQUE INDEX checkpoints_event ON checkpoints (run_id, event_id) WHERE event_id IS NOT NULL;

CREATE TABLE child_results (
  run_id TEXT COLLATE "C" NOT NULL,
  step TEXT COLLATE "C" NOT NULL,
  child TEXT COLLATE "C" NOT NULL,
  state TEXT COLLATE "C" NOT NULL,
  error_type TEXT COLLATE "C",
  error_message TEXT,
  error_traceback TEXT,
  result BYTEA,
  PRIMARY KEY (run_id, step)
);

-- what a parked run waits for: it wakes when `remaining` of a group is 0
CREATE TABLE park_groups (
  run_id TEXT COLLATE "C" NOT NULL,
  number BIGINT NOT NULL,
  mode TEXT COLLATE "C" NOT NULL,
  remaining BIGINT NOT NULL,
  PRIMARY KEY (run_id, number)
);
CREATE TABLE park_steps (
  run_id TEXT COLLATE "C" NOT NULL,
  step TEXT COLLATE "C" NOT NULL,
  number BIGINT NOT NULL,
  PRIMARY KEY (run_id, step, number)
);

-- one open wait; its events, one row each, in `waits_events`
CREATE TABLE waits (
  run_id TEXT COLLATE "C" NOT NULL,
  name TEXT COLLATE "C" NOT NULL,
  events TEXT NOT NULL,
  key TEXT COLLATE "C",
  since BIGINT,
  deadline BIGINT,
  PRIMARY KEY (run_id, name)
);
CREATE TABLE waits_events (
  run_id TEXT COLLATE "C" NOT NULL,
  name TEXT COLLATE "C" NOT NULL,
  event TEXT COLLATE "C" NOT NULL,
  key TEXT COLLATE "C",
  app_id TEXT COLLATE "C" NOT NULL,
  org_id TEXT COLLATE "C" NOT NULL,
  since BIGINT
);
CREATE INDEX waits_events_wait ON waits_events (run_id, name);
CREATE INDEX waits_events_match ON waits_events (event, coalesce(key, ''), app_id, org_id);
