-- The feed of state changes: one log for all channels, which triggers, made while somebody listens, write.

DROP TABLE stream;
DROP TABLE stream_channels;
DROP TABLE stream_listeners;

-- last: the position given out last; up to `pruned` entries may be gone
CREATE TABLE stream_state (
  single INTEGER PRIMARY KEY CHECK (single = 1),
  last INTEGER NOT NULL,
  pruned INTEGER NOT NULL
);
INSERT INTO stream_state (single, last, pruned) VALUES (1, 0, 0);

-- begins: from this position on the channel has had a listener all the time, or until it was left alone
CREATE TABLE stream_channels (
  channel TEXT PRIMARY KEY,
  begins INTEGER NOT NULL
) WITHOUT ROWID;

CREATE TABLE stream_listeners (
  channel TEXT NOT NULL,
  listener TEXT NOT NULL,
  until INTEGER NOT NULL,
  PRIMARY KEY (channel, listener)
) WITHOUT ROWID;

CREATE TABLE stream (
  position INTEGER PRIMARY KEY,
  channel TEXT NOT NULL,
  id TEXT NOT NULL,
  type TEXT NOT NULL,
  tenant TEXT NOT NULL,
  at INTEGER NOT NULL,
  data BLOB
);
CREATE INDEX stream_age ON stream (at);

CREATE TRIGGER stream_appended AFTER INSERT ON stream BEGIN
  UPDATE stream_state SET last = NEW.position;
END;
