-- The first schema: jobs and what hangs on them, queues, dead letters, events, the fleet, records, the stream.

CREATE TABLE jobs (
  seq INTEGER PRIMARY KEY,
  id TEXT NOT NULL,
  -- 1: claimable once due; 2: quarantined, claimable alone; 0: not waiting, set aside, or behind another job
  ready INTEGER NOT NULL,
  state TEXT NOT NULL,
  queue TEXT NOT NULL,
  name TEXT NOT NULL,
  kind TEXT NOT NULL,
  lane TEXT NOT NULL,
  priority INTEGER NOT NULL,
  run_at INTEGER NOT NULL,
  worker_id TEXT,
  epoch INTEGER NOT NULL DEFAULT 0,
  lease_until INTEGER,
  failures INTEGER NOT NULL DEFAULT 0,
  crashes INTEGER NOT NULL DEFAULT 0,
  -- not NULL: cancellation was requested, for this reason
  cancel_reason TEXT,
  unique_key TEXT,
  unique_until TEXT,
  unique_hold_until INTEGER,
  created_at INTEGER NOT NULL,
  updated_at INTEGER NOT NULL,
  started_at INTEGER,
  finished_at INTEGER,
  scheduled_at INTEGER,
  expires_at INTEGER,
  max_retries INTEGER,
  timeout REAL,
  backoff TEXT,
  keep_result INTEGER,
  app_id TEXT NOT NULL,
  org_id TEXT NOT NULL,
  -- NULL: the job's own id
  effect_key TEXT,
  metadata TEXT,
  tags TEXT,
  set_aside INTEGER NOT NULL DEFAULT 0,
  behind TEXT,
  replay_of TEXT,
  progress REAL,
  progress_note TEXT,
  reason TEXT,
  error_type TEXT,
  error_message TEXT,
  error_traceback TEXT,
  -- "worker:epoch:verdict" of the last report that ended a claim, so that its repetition is recognised
  -- (a plain completion leaves it out: state, worker and epoch say the same)
  left_as TEXT,
  payload BLOB,
  result BLOB
);
CREATE UNIQUE INDEX jobs_id ON jobs (id);
CREATE INDEX jobs_ready ON jobs (queue, lane, priority DESC, run_at, id, name) WHERE ready = 1;
CREATE INDEX jobs_quarantined ON jobs (queue, run_at) WHERE ready = 2;
CREATE INDEX jobs_running ON jobs (queue, worker_id) WHERE state = 'running';
CREATE INDEX jobs_cancel ON jobs (worker_id) WHERE state = 'running' AND cancel_reason IS NOT NULL;
CREATE INDEX jobs_aside ON jobs (queue, name) WHERE set_aside = 1;
CREATE INDEX jobs_behind ON jobs (behind) WHERE behind IS NOT NULL;
CREATE INDEX jobs_listed ON jobs (state, kind, id, queue, name, app_id, org_id) WHERE state <> 'running';

CREATE TABLE attempts (
  seq INTEGER PRIMARY KEY,
  job_id TEXT NOT NULL,
  number INTEGER NOT NULL,
  kind TEXT NOT NULL,
  error_type TEXT NOT NULL,
  error_message TEXT NOT NULL,
  error_traceback TEXT,
  worker_id TEXT,
  epoch INTEGER NOT NULL,
  started_at INTEGER,
  ended_at INTEGER NOT NULL
);
CREATE INDEX attempts_job ON attempts (job_id, seq);

CREATE TABLE unique_keys (
  key TEXT PRIMARY KEY,
  job_id TEXT NOT NULL,
  -- 1: a live job holds it; 0: only hold_until does
  live INTEGER NOT NULL,
  hold_until INTEGER
) WITHOUT ROWID;
CREATE INDEX unique_keys_held ON unique_keys (hold_until) WHERE live = 0;

CREATE TABLE idempotency (
  tenant TEXT NOT NULL,
  key TEXT NOT NULL,
  job_id TEXT NOT NULL,
  fingerprint TEXT NOT NULL,
  expires_at INTEGER NOT NULL,
  PRIMARY KEY (tenant, key)
) WITHOUT ROWID;
CREATE INDEX idempotency_expiry ON idempotency (expires_at);

CREATE TABLE dlq (
  id TEXT PRIMARY KEY,
  job_id TEXT NOT NULL,
  job_name TEXT NOT NULL,
  queue TEXT NOT NULL,
  kind TEXT NOT NULL,
  lane TEXT NOT NULL,
  state TEXT NOT NULL,
  reason TEXT NOT NULL,
  error_type TEXT,
  error_message TEXT,
  error_traceback TEXT,
  payload BLOB,
  failures INTEGER NOT NULL,
  crashes INTEGER NOT NULL,
  priority INTEGER NOT NULL,
  max_retries INTEGER,
  timeout REAL,
  backoff TEXT,
  keep_result INTEGER,
  unique_key TEXT,
  unique_until TEXT,
  effect_key TEXT NOT NULL,
  metadata TEXT,
  tags TEXT,
  app_id TEXT NOT NULL,
  org_id TEXT NOT NULL,
  replayed_as TEXT,
  created_at INTEGER NOT NULL,
  updated_at INTEGER NOT NULL
);
CREATE INDEX dlq_job ON dlq (job_id);
CREATE INDEX dlq_listed ON dlq (state, id);
CREATE INDEX dlq_age ON dlq (created_at);

CREATE TABLE queues (
  name TEXT PRIMARY KEY,
  max_concurrency INTEGER,
  rate_limit REAL,
  rate_burst INTEGER,
  fair INTEGER NOT NULL DEFAULT 0,
  tenant_concurrency INTEGER,
  tokens REAL NOT NULL DEFAULT 0,
  refilled_at INTEGER NOT NULL DEFAULT 0,
  paused_at INTEGER,
  paused_until INTEGER,
  paused_by TEXT NOT NULL DEFAULT '',
  pause_reason TEXT NOT NULL DEFAULT ''
) WITHOUT ROWID;

CREATE TABLE slots (
  queue TEXT NOT NULL,
  holder TEXT NOT NULL,
  lease_until INTEGER NOT NULL,
  capacity INTEGER,
  PRIMARY KEY (queue, holder)
) WITHOUT ROWID;

CREATE TABLE events (
  id TEXT PRIMARY KEY,
  name TEXT NOT NULL,
  key TEXT,
  run_id TEXT,
  app_id TEXT NOT NULL,
  org_id TEXT NOT NULL,
  created_at INTEGER NOT NULL,
  payload BLOB
);
CREATE INDEX events_name ON events (name, id);
CREATE INDEX events_age ON events (created_at);

CREATE TABLE workers (
  id TEXT PRIMARY KEY,
  hostname TEXT NOT NULL,
  pid INTEGER NOT NULL,
  state TEXT NOT NULL,
  queues TEXT NOT NULL,
  names TEXT NOT NULL,
  concurrency INTEGER NOT NULL,
  lease INTEGER NOT NULL,
  version TEXT NOT NULL,
  labels TEXT NOT NULL,
  running INTEGER NOT NULL DEFAULT 0,
  drain_requested INTEGER NOT NULL DEFAULT 0,
  last_seen INTEGER NOT NULL,
  created_at INTEGER NOT NULL,
  updated_at INTEGER NOT NULL
);

CREATE TABLE definitions (
  name TEXT NOT NULL,
  kind TEXT NOT NULL,
  version INTEGER NOT NULL,
  queue TEXT NOT NULL,
  schema TEXT NOT NULL,
  options TEXT NOT NULL,
  PRIMARY KEY (name, kind, version)
) WITHOUT ROWID;

CREATE TABLE leadership (
  only INTEGER PRIMARY KEY CHECK (only = 1),
  leader TEXT NOT NULL,
  term INTEGER NOT NULL,
  until INTEGER NOT NULL
);

CREATE TABLE records (
  namespace TEXT NOT NULL,
  key TEXT NOT NULL,
  value BLOB,
  version INTEGER NOT NULL,
  created_at INTEGER NOT NULL,
  updated_at INTEGER NOT NULL,
  expires_at INTEGER,
  PRIMARY KEY (namespace, key)
);
CREATE INDEX records_expiry ON records (expires_at) WHERE expires_at IS NOT NULL;

-- last: the position given out last; below `from_position` entries were pruned or never kept
CREATE TABLE stream_channels (
  channel TEXT PRIMARY KEY,
  last INTEGER NOT NULL DEFAULT 0,
  from_position INTEGER NOT NULL DEFAULT 0
) WITHOUT ROWID;

CREATE TABLE stream_listeners (
  channel TEXT NOT NULL,
  listener TEXT NOT NULL,
  until INTEGER NOT NULL,
  PRIMARY KEY (channel, listener)
) WITHOUT ROWID;

CREATE TABLE stream (
  channel TEXT NOT NULL,
  position INTEGER NOT NULL,
  id TEXT NOT NULL,
  type TEXT NOT NULL,
  tenant TEXT NOT NULL,
  at INTEGER NOT NULL,
  data BLOB,
  PRIMARY KEY (channel, position)
);
CREATE INDEX stream_age ON stream (at);
