-- The first schema: jobs and what hangs on them, queues, dead letters, events, cron, the
-- fleet, records, the stream, runs.
-- Each statement may be repeated, as none of them can be taken back. Times are microseconds since 1970; ids and names
-- sort by byte. No index can leave rows out, so that each begins with what the statements that use it ask for.

CREATE TABLE IF NOT EXISTS {jobs} (
  id VARCHAR(64) PRIMARY KEY,
  -- 1: claimable once due; 2: quarantined, claimable alone; 0: not waiting, set aside, or behind another job
  ready SMALLINT NOT NULL,
  state VARCHAR(32) NOT NULL,
  queue VARCHAR(128) NOT NULL,
  name VARCHAR(160) NOT NULL,
  kind VARCHAR(32) NOT NULL,
  lane VARCHAR(260) NOT NULL,
  priority BIGINT NOT NULL,
  run_at BIGINT NOT NULL,
  worker_id VARCHAR(64),
  epoch BIGINT NOT NULL DEFAULT 0,
  lease_until BIGINT,
  failures BIGINT NOT NULL DEFAULT 0,
  crashes BIGINT NOT NULL DEFAULT 0,
  -- not NULL: cancellation was requested, for this reason
  cancel_reason LONGTEXT,
  unique_key VARCHAR(700),
  unique_until VARCHAR(16),
  unique_hold_until BIGINT,
  created_at BIGINT NOT NULL,
  updated_at BIGINT NOT NULL,
  started_at BIGINT,
  finished_at BIGINT,
  scheduled_at BIGINT,
  expires_at BIGINT,
  max_retries BIGINT,
  timeout DOUBLE,
  backoff LONGTEXT,
  keep_result SMALLINT,
  app_id VARCHAR(128) NOT NULL,
  org_id VARCHAR(128) NOT NULL,
  -- NULL: the job's own id
  effect_key VARCHAR(700),
  metadata LONGTEXT,
  tags LONGTEXT,
  set_aside SMALLINT NOT NULL DEFAULT 0,
  behind VARCHAR(64),
  replay_of VARCHAR(64),
  progress DOUBLE,
  progress_note LONGTEXT,
  reason LONGTEXT,
  error_type LONGTEXT,
  error_message LONGTEXT,
  error_traceback LONGTEXT,
  -- "worker:epoch:verdict" of the last report that ended a claim, so that its repetition is recognised
  -- (a plain completion leaves it out: state, worker and epoch say the same)
  left_as VARCHAR(191),
  concurrency_key VARCHAR(700),
  concurrency_max BIGINT,
  -- 1: due, but its concurrency key is full
  blocked SMALLINT NOT NULL DEFAULT 0,
  -- of a driver: its run; with a step: the run that waits for this job as one of its children
  run_id VARCHAR(64),
  step VARCHAR(255),
  payload LONGBLOB,
  result LONGBLOB,
  -- the transaction that added it
  made_in VARCHAR(32),
  -- a row that no job can be read from would stop every claim that meets it
  CONSTRAINT {namespace}_jobs_readable CHECK (
    state IN ('pending', 'running', 'retrying', 'completed', 'failed', 'cancelled')
    AND created_at BETWEEN -62135596800000000 AND 253402300799999999
    AND updated_at BETWEEN -62135596800000000 AND 253402300799999999
    AND run_at BETWEEN -62135596800000000 AND 253402300799999999
    AND lease_until BETWEEN -62135596800000000 AND 253402300799999999
    AND started_at BETWEEN -62135596800000000 AND 253402300799999999
    AND finished_at BETWEEN -62135596800000000 AND 253402300799999999
    AND scheduled_at BETWEEN -62135596800000000 AND 253402300799999999
    AND expires_at BETWEEN -62135596800000000 AND 253402300799999999),
  KEY jobs_ready (ready, queue, lane, priority, run_at, id, name),
  KEY jobs_running (state, queue, worker_id),
  KEY jobs_leases (state, lease_until, id),
  KEY jobs_aside (set_aside, queue, name),
  KEY jobs_behind (behind),
  KEY jobs_listed (state, kind, id),
  KEY jobs_ended (state, finished_at),
  KEY jobs_steps (run_id, step),
  KEY jobs_keyed (concurrency_key (191), state, ready),
  KEY jobs_blocked (blocked, queue, concurrency_key (191))
) {table};

-- the maximum that the latest enqueue of a key brought (NULL: a row made to be locked)
CREATE TABLE IF NOT EXISTS {concurrency_keys} (
  `key` VARCHAR(700) PRIMARY KEY,
  most BIGINT
) {table};

CREATE TABLE IF NOT EXISTS {attempts} (
  seq BIGINT AUTO_INCREMENT PRIMARY KEY,
  job_id VARCHAR(64) NOT NULL,
  number BIGINT NOT NULL,
  kind VARCHAR(32) NOT NULL,
  error_type LONGTEXT NOT NULL,
  error_message LONGTEXT NOT NULL,
  error_traceback LONGTEXT,
  worker_id VARCHAR(64),
  epoch BIGINT NOT NULL,
  started_at BIGINT,
  ended_at BIGINT NOT NULL,
  KEY attempts_job (job_id, seq)
) {table};

CREATE TABLE IF NOT EXISTS {unique_keys} (
  `key` VARCHAR(700) PRIMARY KEY,
  job_id VARCHAR(64) NOT NULL,
  -- 1: a live job holds it; 0: only hold_until does, or nobody (a row made to be locked)
  live SMALLINT NOT NULL,
  hold_until BIGINT,
  KEY unique_keys_held (hold_until)
) {table};

CREATE TABLE IF NOT EXISTS {idempotency} (
  tenant VARCHAR(260) NOT NULL,
  `key` VARCHAR(500) NOT NULL,
  job_id VARCHAR(64) NOT NULL,
  fingerprint VARCHAR(255) NOT NULL,
  expires_at BIGINT NOT NULL,
  PRIMARY KEY (`key`, tenant),
  KEY idempotency_place (tenant, `key`),
  KEY idempotency_expiry (expires_at)
) {table};

CREATE TABLE IF NOT EXISTS {dlq} (
  id VARCHAR(64) PRIMARY KEY,
  job_id VARCHAR(64) NOT NULL,
  job_name VARCHAR(160) NOT NULL,
  queue VARCHAR(128) NOT NULL,
  kind VARCHAR(32) NOT NULL,
  lane VARCHAR(260) NOT NULL,
  state VARCHAR(32) NOT NULL,
  reason LONGTEXT NOT NULL,
  error_type LONGTEXT,
  error_message LONGTEXT,
  error_traceback LONGTEXT,
  payload LONGBLOB,
  failures BIGINT NOT NULL,
  crashes BIGINT NOT NULL,
  priority BIGINT NOT NULL,
  max_retries BIGINT,
  timeout DOUBLE,
  backoff LONGTEXT,
  keep_result SMALLINT,
  unique_key VARCHAR(700),
  unique_until VARCHAR(16),
  effect_key VARCHAR(700) NOT NULL,
  metadata LONGTEXT,
  tags LONGTEXT,
  app_id VARCHAR(128) NOT NULL,
  org_id VARCHAR(128) NOT NULL,
  replayed_as VARCHAR(64),
  created_at BIGINT NOT NULL,
  updated_at BIGINT NOT NULL,
  concurrency_key VARCHAR(700),
  concurrency_max BIGINT,
  KEY dlq_job (job_id),
  KEY dlq_listed (state, id),
  KEY dlq_age (created_at)
) {table};

CREATE TABLE IF NOT EXISTS {queues} (
  name VARCHAR(160) PRIMARY KEY,
  max_concurrency BIGINT,
  rate_limit DOUBLE,
  rate_burst BIGINT,
  fair SMALLINT NOT NULL DEFAULT 0,
  tenant_concurrency BIGINT,
  tokens DOUBLE NOT NULL DEFAULT 0,
  refilled_at BIGINT NOT NULL DEFAULT 0,
  paused_at BIGINT,
  paused_until BIGINT,
  paused_by VARCHAR(1000) NOT NULL DEFAULT '',
  pause_reason VARCHAR(1000) NOT NULL DEFAULT ''
) {table};

CREATE TABLE IF NOT EXISTS {slots} (
  queue VARCHAR(128) NOT NULL,
  -- '' with a lapsed lease: a row made to be locked
  holder VARCHAR(255) NOT NULL,
  lease_until BIGINT NOT NULL,
  capacity BIGINT,
  PRIMARY KEY (queue, holder)
) {table};

CREATE TABLE IF NOT EXISTS {events} (
  id VARCHAR(64) PRIMARY KEY,
  name VARCHAR(160) NOT NULL,
  `key` VARCHAR(700),
  run_id VARCHAR(64),
  app_id VARCHAR(128) NOT NULL,
  org_id VARCHAR(128) NOT NULL,
  created_at BIGINT NOT NULL,
  -- 1: a signal that its run has consumed
  consumed SMALLINT NOT NULL DEFAULT 0,
  payload LONGBLOB,
  KEY events_mail (run_id, consumed, created_at, id),
  KEY events_channel (name, `key` (128), app_id, org_id, created_at, id),
  KEY events_name (name, id),
  KEY events_age (created_at)
) {table};

CREATE TABLE IF NOT EXISTS {workers} (
  id VARCHAR(64) PRIMARY KEY,
  hostname VARCHAR(255) NOT NULL,
  pid BIGINT NOT NULL,
  state VARCHAR(32) NOT NULL,
  queues LONGTEXT NOT NULL,
  names LONGTEXT NOT NULL,
  concurrency BIGINT NOT NULL,
  lease BIGINT NOT NULL,
  version VARCHAR(255) NOT NULL,
  labels LONGTEXT NOT NULL,
  running BIGINT NOT NULL DEFAULT 0,
  drain_requested SMALLINT NOT NULL DEFAULT 0,
  last_seen BIGINT NOT NULL,
  created_at BIGINT NOT NULL,
  updated_at BIGINT NOT NULL
) {table};

CREATE TABLE IF NOT EXISTS {definitions} (
  name VARCHAR(160) NOT NULL,
  kind VARCHAR(32) NOT NULL,
  version BIGINT NOT NULL,
  queue VARCHAR(128) NOT NULL,
  `schema` LONGTEXT NOT NULL,
  options LONGTEXT NOT NULL,
  PRIMARY KEY (name, kind, version)
) {table};

CREATE TABLE IF NOT EXISTS {leadership} (
  only_row SMALLINT PRIMARY KEY CHECK (only_row = 1),
  leader VARCHAR(255) NOT NULL,
  term BIGINT NOT NULL,
  `until` BIGINT NOT NULL
) {table};

-- Rows that stand for what has no row of its own to be locked.
CREATE TABLE IF NOT EXISTS {locks} (
  name VARCHAR(64) PRIMARY KEY
) {table};

CREATE TABLE IF NOT EXISTS {records} (
  namespace VARCHAR(128) NOT NULL,
  `key` VARCHAR(600) NOT NULL,
  value LONGBLOB,
  version BIGINT NOT NULL,
  created_at BIGINT NOT NULL,
  updated_at BIGINT NOT NULL,
  expires_at BIGINT,
  PRIMARY KEY (namespace, `key`),
  KEY records_expiry (expires_at)
) {table};

-- last: the position given out last; up to `pruned` entries may be gone
CREATE TABLE IF NOT EXISTS {stream_state} (
  single SMALLINT PRIMARY KEY CHECK (single = 1),
  last BIGINT NOT NULL,
  pruned BIGINT NOT NULL
) {table};

INSERT IGNORE INTO {stream_state} (single, last, pruned) VALUES (1, 0, 0);

-- begins: from this position on the channel has had a listener all the time, or until it was left alone
CREATE TABLE IF NOT EXISTS {stream_channels} (
  channel VARCHAR(255) PRIMARY KEY,
  begins BIGINT NOT NULL
) {table};

CREATE TABLE IF NOT EXISTS {stream_listeners} (
  channel VARCHAR(255) NOT NULL,
  listener VARCHAR(255) NOT NULL,
  `until` BIGINT NOT NULL,
  PRIMARY KEY (channel, listener)
) {table};

-- number: in which order entries were written; position: in which order readers saw them, given by the first reader
-- after the commit, so that what commits late never comes to stand before what was read already
CREATE TABLE IF NOT EXISTS {stream} (
  number BIGINT AUTO_INCREMENT PRIMARY KEY,
  position BIGINT,
  channel VARCHAR(255) NOT NULL,
  id VARCHAR(255) NOT NULL,
  type VARCHAR(128) NOT NULL,
  tenant VARCHAR(260) NOT NULL,
  at BIGINT NOT NULL,
  data LONGBLOB,
  UNIQUE KEY stream_position (position),
  KEY stream_age (at)
) {table};

CREATE TABLE IF NOT EXISTS {crons} (
  id VARCHAR(191) PRIMARY KEY,
  name VARCHAR(160) NOT NULL,
  tenant VARCHAR(260) NOT NULL,
  app_id VARCHAR(128) NOT NULL,
  org_id VARCHAR(128) NOT NULL,
  spec LONGTEXT NOT NULL,
  enabled SMALLINT NOT NULL,
  disabled_until BIGINT,
  disabled_reason VARCHAR(1000) NOT NULL,
  disabled_by VARCHAR(1000) NOT NULL,
  revision BIGINT NOT NULL,
  code_hash VARCHAR(128),
  orphaned SMALLINT NOT NULL,
  anchor BIGINT,
  last_fired_at BIGINT,
  next_fire_at BIGINT,
  created_at BIGINT NOT NULL,
  updated_at BIGINT NOT NULL,
  UNIQUE KEY crons_name (name, tenant),
  KEY crons_due (next_fire_at)
) {table};

CREATE TABLE IF NOT EXISTS {cron_codes} (
  digest VARCHAR(128) PRIMARY KEY,
  spec LONGTEXT NOT NULL,
  first_seen BIGINT NOT NULL
) {table};

CREATE TABLE IF NOT EXISTS {cron_announced} (
  worker_id VARCHAR(64) NOT NULL,
  digest VARCHAR(128) NOT NULL,
  PRIMARY KEY (worker_id, digest)
) {table};

CREATE TABLE IF NOT EXISTS {cron_ticks} (
  entry_id VARCHAR(191) NOT NULL,
  scheduled_at BIGINT NOT NULL,
  outcome VARCHAR(32) NOT NULL,
  fired_at BIGINT NOT NULL,
  job_id VARCHAR(64),
  run_id VARCHAR(64),
  note LONGTEXT NOT NULL,
  PRIMARY KEY (entry_id, scheduled_at),
  KEY cron_ticks_age (fired_at)
) {table};

-- queue, tags, metadata and input are its driver's
CREATE TABLE IF NOT EXISTS {runs} (
  id VARCHAR(64) PRIMARY KEY,
  name VARCHAR(160) NOT NULL,
  version BIGINT NOT NULL,
  state VARCHAR(32) NOT NULL,
  driver VARCHAR(64) NOT NULL,
  reason LONGTEXT,
  -- why it is blocked, while it is; `reason` keeps what it was before
  blocked LONGTEXT,
  -- 1: it has begun to compensate, and goes on with that whenever its driver is claimed
  compensating SMALLINT NOT NULL DEFAULT 0,
  compensated SMALLINT NOT NULL DEFAULT 0,
  compensation_failed SMALLINT NOT NULL DEFAULT 0,
  parked SMALLINT NOT NULL DEFAULT 0,
  wake_seq BIGINT NOT NULL DEFAULT 0,
  parent VARCHAR(64),
  step VARCHAR(255),
  awaited SMALLINT NOT NULL,
  abandon SMALLINT NOT NULL,
  forked_from VARCHAR(64),
  app_id VARCHAR(128) NOT NULL,
  org_id VARCHAR(128) NOT NULL,
  created_at BIGINT NOT NULL,
  updated_at BIGINT NOT NULL,
  started_at BIGINT,
  finished_at BIGINT,
  wakes_at BIGINT,
  error_type LONGTEXT,
  error_message LONGTEXT,
  error_traceback LONGTEXT,
  result LONGBLOB,
  KEY runs_listed (state, id),
  KEY runs_children (parent, id),
  KEY runs_ended (state, finished_at, id)
) {table};

CREATE TABLE IF NOT EXISTS {checkpoints} (
  run_id VARCHAR(64) NOT NULL,
  position BIGINT NOT NULL,
  id VARCHAR(64) NOT NULL,
  name VARCHAR(255) NOT NULL,
  kind VARCHAR(32) NOT NULL,
  attempt BIGINT NOT NULL,
  worker_id VARCHAR(64),
  event_id VARCHAR(64),
  inherited SMALLINT NOT NULL DEFAULT 0,
  started_at BIGINT,
  created_at BIGINT NOT NULL,
  updated_at BIGINT NOT NULL,
  data LONGBLOB,
  PRIMARY KEY (run_id, position),
  UNIQUE KEY checkpoints_name (run_id, name),
  UNIQUE KEY checkpoints_event (run_id, event_id)
) {table};

CREATE TABLE IF NOT EXISTS {child_results} (
  run_id VARCHAR(64) NOT NULL,
  step VARCHAR(255) NOT NULL,
  child VARCHAR(64) NOT NULL,
  state VARCHAR(32) NOT NULL,
  error_type LONGTEXT,
  error_message LONGTEXT,
  error_traceback LONGTEXT,
  result LONGBLOB,
  PRIMARY KEY (run_id, step)
) {table};

-- what a parked run waits for: it wakes when `remaining` of a group is 0
CREATE TABLE IF NOT EXISTS {park_groups} (
  run_id VARCHAR(64) NOT NULL,
  number BIGINT NOT NULL,
  mode VARCHAR(32) NOT NULL,
  remaining BIGINT NOT NULL,
  PRIMARY KEY (run_id, number)
) {table};

CREATE TABLE IF NOT EXISTS {park_steps} (
  run_id VARCHAR(64) NOT NULL,
  step VARCHAR(255) NOT NULL,
  number BIGINT NOT NULL,
  PRIMARY KEY (run_id, step, number)
) {table};

-- one open wait; its events, one row each, in `waits_events`
CREATE TABLE IF NOT EXISTS {waits} (
  run_id VARCHAR(64) NOT NULL,
  name VARCHAR(255) NOT NULL,
  events LONGTEXT NOT NULL,
  `key` VARCHAR(700),
  since BIGINT,
  deadline BIGINT,
  PRIMARY KEY (run_id, name)
) {table};

CREATE TABLE IF NOT EXISTS {waits_events} (
  run_id VARCHAR(64) NOT NULL,
  name VARCHAR(255) NOT NULL,
  event VARCHAR(160) NOT NULL,
  `key` VARCHAR(700),
  app_id VARCHAR(128) NOT NULL,
  org_id VARCHAR(128) NOT NULL,
  since BIGINT,
  KEY waits_events_wait (run_id, name),
  KEY waits_events_match (event, `key` (128), app_id, org_id)
) {table};

-- Rows that stand for what has no row of its own to be locked.
INSERT IGNORE INTO {locks} (name) VALUES ('fleet'), ('leadership');

INSERT IGNORE INTO {locks} (name)
SELECT CONCAT(kinds.kind, numbers.high * 16 + numbers.low)
FROM (SELECT 'record-' AS kind UNION SELECT 'channel-') AS kinds
CROSS JOIN (
  WITH RECURSIVE digits (digit) AS (SELECT 0 UNION ALL SELECT digit + 1 FROM digits WHERE digit < 15)
  SELECT a.digit AS high, b.digit AS low FROM digits AS a CROSS JOIN digits AS b) AS numbers;
