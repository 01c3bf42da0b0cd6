-- name: stream_state
-- The present end, up to where entries may be gone, and whether entries still lack a position.
SELECT last, pruned, 0 FROM stream_state;

-- name: heard
-- Which of some channels have a live listener.
SELECT DISTINCT channel FROM stream_listeners
WHERE until > :now AND channel IN (SELECT value FROM json_each(:channels));

-- name: missing_after
-- Channels of which entries after a position were dropped, because nobody listened.
SELECT value FROM json_each(:channels)
WHERE :position < coalesce((SELECT begins FROM stream_channels WHERE channel = value), :last);

-- name: move_end
-- Skips positions.
UPDATE stream_state SET last = :last;

-- name: begin_channel
-- Notes from where on a channel has a listener.
INSERT INTO stream_channels (channel, begins) VALUES (:channel, :begins)
ON CONFLICT (channel) DO UPDATE SET begins = excluded.begins;

-- name: listen
-- Begins or extends a listener's lease.
INSERT INTO stream_listeners (channel, listener, until) VALUES (:channel, :listener, :until)
ON CONFLICT (channel, listener) DO UPDATE SET until = excluded.until;

-- name: unlisten
-- Ends a listener's leases.
DELETE FROM stream_listeners WHERE listener = :listener;

-- name: count_lapsed_listeners
-- How many leases of listeners are over; triggers that nobody listens to count as well.
SELECT count(*) + CASE WHEN EXISTS (SELECT 1 FROM stream_listeners) THEN 0
  ELSE (SELECT count(*) FROM sqlite_master WHERE type = 'trigger' AND name LIKE 'feed_%') END
FROM stream_listeners WHERE until <= :now;

-- name: some_listener
-- Whether anybody listens to anything.
SELECT EXISTS (SELECT 1 FROM stream_listeners);

-- name: drop_listeners
-- Forgets the listeners whose leases are over.
DELETE FROM stream_listeners WHERE until <= :now;

-- name: append_entry
-- Adds an entry at the end.
INSERT INTO stream (position, channel, id, type, tenant, at, data)
SELECT last + 1, :channel, :id, :type, :tenant, :now, :data FROM stream_state;

-- name: read_after
-- Entries of some channels after a position.
SELECT channel, position, id, type, tenant, at, CAST(data AS BLOB) FROM stream
WHERE position > :position AND channel IN (SELECT value FROM json_each(:channels)) ORDER BY position LIMIT :limit;

-- name: count_old_entries
-- How many entries are old, up to a limit.
SELECT count(*) FROM (SELECT 1 FROM stream WHERE at < :before LIMIT :limit);

-- name: old_entries
-- Some entries that are old enough to go.
SELECT position FROM stream WHERE at < :before ORDER BY at, position LIMIT :limit;

-- name: delete_entry
-- Removes an entry.
DELETE FROM stream WHERE position = :position;

-- name: note_pruned
-- Notes that entries up to a position may be gone.
UPDATE stream_state SET pruned = max(pruned, :position);

-- name: hush
-- Nobody listens until this is said again: what is loaded from elsewhere is no state change.
UPDATE stream_listeners SET until = -until;
