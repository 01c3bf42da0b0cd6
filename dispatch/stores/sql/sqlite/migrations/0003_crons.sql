-- Cron: entries, what the code of workers announces, ticks.

CREATE TABLE crons (
  id TEXT PRIMARY KEY,
  name TEXT NOT NULL,
  tenant TEXT NOT NULL,
  app_id TEXT NOT NULL,
  org_id TEXT NOT NULL,
  spec TEXT NOT NULL,
  enabled INTEGER NOT NULL,
  disabled_until INTEGER,
  disabled_reason TEXT NOT NULL,
  disabled_by TEXT NOT NULL,
  revision INTEGER NOT NULL,
  code_hash TEXT,
  orphaned INTEGER NOT NULL,
  anchor INTEGER,
  last_fired_at INTEGER,
  next_fire_at INTEGER,
  created_at INTEGER NOT NULL,
  updated_at INTEGER NOT NULL
);
CREATE UNIQUE INDEX crons_name ON crons (name, tenant);
CREATE INDEX crons_due ON crons (next_fire_at) WHERE next_fire_at IS NOT NULL;

CREATE TABLE cron_codes (
  digest TEXT PRIMARY KEY,
  spec TEXT NOT NULL,
  first_seen INTEGER NOT NULL
) WITHOUT ROWID;

CREATE TABLE cron_announced (
  worker_id TEXT NOT NULL,
  digest TEXT NOT NULL,
  PRIMARY KEY (worker_id, digest)
) WITHOUT ROWID;

CREATE TABLE cron_ticks (
  entry_id TEXT NOT NULL,
  scheduled_at INTEGER NOT NULL,
  outcome TEXT NOT NULL,
  fired_at INTEGER NOT NULL,
  job_id TEXT,
  run_id TEXT,
  note TEXT NOT NULL,
  PRIMARY KEY (entry_id, scheduled_at)
) WITHOUT ROWID;
CREATE INDEX cron_ticks_age ON cron_ticks (fired_at);
