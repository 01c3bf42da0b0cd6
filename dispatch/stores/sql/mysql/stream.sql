-- name: stream_state
-- The present end, up to where entries may be gone, and whether entries still lack a position.
SELECT last, pruned, EXISTS (SELECT 1 FROM {stream} AS stream
WHERE position IS NULL) FROM {stream_state} AS stream_state;

-- name: lock_stream
-- Lets those who number entries or begin to listen in one by one.
SELECT 1 FROM {stream_state} AS stream_state FOR UPDATE;

-- name: number_entries
-- Gives entries that are committed the next positions; who wrote first comes first.
SELECT number FROM {stream} AS stream WHERE position IS NULL ORDER BY number LIMIT :limit;
UPDATE {stream} AS stream
JOIN (
  SELECT number, row_number() OVER (ORDER BY number) AS place FROM {stream} AS waiting WHERE number IN :found
) AS places ON places.number = stream.number
CROSS JOIN {stream_state} AS stream_state SET stream.position = stream_state.last + places.place;
UPDATE {stream_state} AS stream_state
SET last = greatest(last, (SELECT coalesce(max(position), 0) FROM {stream} AS stream));

-- name: heard
-- Which of some channels have a live listener.
SELECT DISTINCT channel FROM {stream_listeners} AS stream_listeners WHERE `until` > :now AND channel IN :channels;

-- name: missing_after
-- Channels of which entries after a position were dropped, because nobody listened.
SELECT wanted.channel FROM JSON_TABLE(:channels, '$[*]' COLUMNS (channel VARCHAR(255) PATH '$')) AS wanted
LEFT JOIN {stream_channels} AS stream_channels ON stream_channels.channel = wanted.channel
WHERE :position < coalesce(stream_channels.begins, :last);

-- name: move_end
-- Skips positions.
UPDATE {stream_state} AS stream_state SET last = :last;

-- name: begin_channel
-- Notes from where on a channel has a listener.
INSERT INTO {stream_channels} (channel, begins) VALUES (:channel, :begins)
ON DUPLICATE KEY UPDATE begins = VALUES(begins);

-- name: listen
-- Begins or extends a listener's lease.
INSERT INTO {stream_listeners} (channel, listener, `until`) VALUES (:channel, :listener, :until)
ON DUPLICATE KEY UPDATE `until` = VALUES(`until`);

-- name: unlisten
-- Ends a listener's leases.
DELETE FROM {stream_listeners} WHERE listener = :listener;

-- name: count_lapsed_listeners
-- How many leases of listeners are over.
SELECT count(*) FROM {stream_listeners} AS stream_listeners WHERE `until` <= :now;

-- name: drop_listeners
-- Forgets the listeners whose leases are over.
DELETE FROM {stream_listeners} WHERE `until` <= :now;

-- name: append_entry
-- Adds an entry; its position is given to it once it is committed.
INSERT INTO {stream} (channel, id, type, tenant, at, data) VALUES (:channel, :id, :type, :tenant, :now, :data);

-- name: read_after
-- Entries of some channels after a position.
SELECT channel, position, id, type, tenant, at, data FROM {stream} AS stream
WHERE position > :position AND channel IN :channels ORDER BY position LIMIT :limit;

-- name: count_old_entries
-- How many entries are old, up to a limit.
SELECT count(*) FROM (SELECT 1 FROM {stream} AS stream WHERE at < :before LIMIT :limit) AS old;

-- name: old_entries
-- Some entries that are old enough to go.
SELECT position FROM {stream} AS stream WHERE at < :before AND position IS NOT NULL ORDER BY at, position LIMIT :limit;

-- name: delete_entry
-- Removes an entry.
DELETE FROM {stream} WHERE position = :position;

-- name: note_pruned
-- Notes that entries up to a position may be gone.
UPDATE {stream_state} AS stream_state SET pruned = greatest(pruned, :position);

-- name: hush
-- Nobody listens until this is said again: what is loaded from elsewhere is no state change.
UPDATE {stream_listeners} AS stream_listeners SET `until` = -`until`;
