-- The feed of state changes: one log for all channels, which triggers write while somebody listens to a type.

DROP TABLE stream, stream_channels, stream_listeners;

-- last: the position given out last; up to `pruned` entries may be gone
CREATE TABLE stream_state (
  single SMALLINT PRIMARY KEY CHECK (single = 1),
  last BIGINT NOT NULL,
  pruned BIGINT NOT NULL
) WITH (fillfactor = 50);
INSERT INTO stream_state (single, last, pruned) VALUES (1, 0, 0);

-- begins: from this position on the channel has had a listener all the time, or until it was left alone
CREATE TABLE stream_channels (
  channel TEXT COLLATE "C" PRIMARY KEY,
  begins BIGINT NOT NULL
);

CREATE TABLE stream_listeners (
  channel TEXT COLLATE "C" NOT NULL,
  listener TEXT COLLATE "C" NOT NULL,
  until BIGINT NOT NULL,
  PRIMARY KEY (channel, listener)
);

-- number: in which order entries were written; position: in which order readers saw them, given by the first reader
-- after the commit, so that what commits late never comes to stand before what was read already
CREATE TABLE stream (
  number BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  position BIGINT,
  channel TEXT COLLATE "C" NOT NULL,
  id TEXT COLLATE "C" NOT NULL,
  type TEXT COLLATE "C" NOT NULL,
  tenant TEXT COLLATE "C" NOT NULL,
  at BIGINT NOT NULL,
  data BYTEA
);
CREATE UNIQUE INDEX stream_position ON stream (position);
CREATE INDEX stream_waiting ON stream (number) WHERE position IS NULL;
CREATE INDEX stream_age ON stream (at);
