-- name: lock_listeners
-- Lets those who append to channels that somebody listens to in one by one.
SELECT 1 FROM {stream_listeners} AS stream_listeners WHERE channel IN :channels ORDER BY channel, listener FOR UPDATE;

-- name: stream_channel
-- The end of a channel's log, and where it begins.
SELECT last, from_position FROM {stream_channels} AS stream_channels WHERE channel = :channel;

-- name: set_channel
-- Moves the end and the beginning of a channel's log.
INSERT INTO {stream_channels} (channel, last, from_position) VALUES (:channel, :last, :from_position)
ON DUPLICATE KEY UPDATE last = greatest(last, VALUES(last)),
  from_position = greatest(from_position, VALUES(from_position));

-- name: raise_floor
-- Notes that entries up to a position are gone.
UPDATE {stream_channels} AS stream_channels SET from_position = greatest(from_position, :position) WHERE channel = :channel;

-- name: listeners
-- How many listeners a channel had, and how many of them are live.
SELECT count(*), CAST(coalesce(sum(`until` > :now), 0) AS SIGNED) FROM {stream_listeners} AS stream_listeners WHERE channel = :channel;

-- name: listen
-- Begins or extends a listener's lease.
INSERT INTO {stream_listeners} (channel, listener, `until`) VALUES (:channel, :listener, :until)
ON DUPLICATE KEY UPDATE `until` = VALUES(`until`);

-- name: unlisten
-- Ends a listener's lease.
DELETE FROM {stream_listeners} WHERE channel = :channel AND listener = :listener;

-- name: drop_listeners
-- Forgets the listeners of a channel that nobody listens to any more.
DELETE FROM {stream_listeners} WHERE channel = :channel AND `until` <= :now;

-- name: append_entry
-- Adds an entry at the end of its channel.
INSERT INTO {stream} (channel, position, id, type, tenant, at, data)
VALUES (:channel, :position, :id, :type, :tenant, :now, :data);

-- name: read_after
-- Entries of a channel after a position.
SELECT channel, position, id, type, tenant, at, data FROM {stream} AS stream
WHERE channel = :channel AND position > :position ORDER BY position LIMIT :limit;

-- name: old_entries
-- Some entries that are old enough to go.
SELECT channel, position FROM {stream} AS stream WHERE at < :before ORDER BY at, channel, position
LIMIT :limit FOR UPDATE SKIP LOCKED;

-- name: delete_entry
-- Removes an entry.
DELETE FROM {stream} WHERE channel = :channel AND position = :position;
