-- name: stream_state
-- The present end, up to where entries may be gone, and whether entries still lack a position.
SELECT last, pruned, EXISTS (SELECT 1 FROM {stream} WHERE position IS NULL)::int FROM {stream_state};

-- name: lock_stream
-- Lets those who number entries or begin to listen in one by one.
SELECT 1 FROM {stream_state} FOR UPDATE;

-- name: own_transaction
-- The number of this transaction.
SELECT pg_current_xact_id()::text::int8;

-- name: oldest_transaction
-- The number of the oldest transaction that is open, or else of the next one.
SELECT pg_snapshot_xmin(pg_current_snapshot())::text::int8;

-- name: number_entries
-- Gives entries that are committed the next positions; who wrote first comes first.
WITH waiting AS (
  SELECT number, row_number() OVER (ORDER BY number) AS place FROM {stream} WHERE position IS NULL
  ORDER BY number LIMIT :limit
), numbered AS (
  UPDATE {stream} AS s SET position = (SELECT last FROM {stream_state}) + waiting.place
  FROM waiting WHERE s.number = waiting.number RETURNING 1
)
UPDATE {stream_state} SET last = last + (SELECT count(*) FROM numbered);

-- name: heard
-- Which of some channels have a live listener.
SELECT DISTINCT channel FROM {stream_listeners}
WHERE until > :now AND channel = ANY (ARRAY(SELECT json_array_elements_text(:channels::json)));

-- name: listens
-- Whether a listener is known: a new one waits for what was open before it, as the first of a channel does.
SELECT 1 FROM {stream_listeners} WHERE listener = :listener LIMIT 1;

-- name: missing_after
-- Channels of which entries after a position were dropped, because nobody listened.
SELECT n.name FROM json_array_elements_text(:channels::json) AS n (name)
WHERE :position::int8 < coalesce((SELECT begins FROM {stream_channels} AS c WHERE c.channel = n.name), :last);

-- name: move_end
-- Skips positions.
UPDATE {stream_state} SET last = :last;

-- name: begin_channel
-- Notes from where on channels have a listener.
INSERT INTO {stream_channels} (channel, begins)
SELECT n.channel, n.begins FROM unnest(:channel::text[], :begins::int8[]) AS n (channel, begins)
ON CONFLICT (channel) DO UPDATE SET begins = excluded.begins;

-- name: listen
-- Begins or extends leases of listeners.
INSERT INTO {stream_listeners} (channel, listener, until)
SELECT n.channel, n.listener, n.until
FROM unnest(:channel::text[], :listener::text[], :until::int8[]) AS n (channel, listener, until)
ON CONFLICT (channel, listener) DO UPDATE SET until = excluded.until;

-- name: unlisten
-- Ends a listener's leases.
DELETE FROM {stream_listeners} WHERE listener = :listener;

-- name: count_lapsed_listeners
-- How many leases of listeners are over.
SELECT count(*) FROM {stream_listeners} WHERE until <= :now;

-- name: drop_listeners
-- Forgets the listeners whose leases are over.
DELETE FROM {stream_listeners} WHERE until <= :now;

-- name: append_entry
-- Adds entries; their positions are given to them once they are committed.
INSERT INTO {stream} (channel, id, type, tenant, at, data)
SELECT n.channel, n.id, n.type, n.tenant, n.now, n.data
FROM unnest(:channel::text[], :id::text[], :type::text[], :tenant::text[], :now::int8[], :data::bytea[])
  WITH ORDINALITY AS n (channel, id, type, tenant, now, data, place)
ORDER BY n.place;

-- name: read_after
-- Entries of some channels after a position.
SELECT channel, position, id, type, tenant, at, data FROM {stream}
WHERE position > :position AND channel = ANY (ARRAY(SELECT json_array_elements_text(:channels::json)))
ORDER BY position LIMIT :limit;

-- name: count_old_entries
-- How many entries are old, up to a limit.
SELECT count(*) FROM (SELECT 1 FROM {stream} WHERE at < :before LIMIT :limit) AS old;

-- name: old_entries
-- Some entries that are old enough to go.
SELECT position FROM {stream} WHERE at < :before AND position IS NOT NULL ORDER BY at, position LIMIT :limit;

-- name: delete_entry
-- Removes entries.
DELETE FROM {stream} WHERE position = ANY (:position::int8[]);

-- name: note_pruned
-- Notes that entries up to a position may be gone.
UPDATE {stream_state} SET pruned = greatest(pruned, :position);

-- name: hush
-- Nobody listens until this is said again: what is loaded from elsewhere is no state change.
UPDATE {stream_listeners} SET until = -until;

-- name: untold
-- Tables of which changes are not told, as triggers are missing.
SELECT DISTINCT about FROM {feed_triggers}() WHERE NOT stands ORDER BY about;

-- name: told_to_nobody
-- Tables of which changes are told although nobody listens.
SELECT DISTINCT about FROM {feed_triggers}() WHERE stands AND NOT EXISTS (SELECT 1 FROM {stream_listeners})
ORDER BY about;

-- name: tell
-- Makes the triggers of a table; answers whether they stand.
SELECT {feed_on}(:about);

-- name: keep_quiet
-- Removes the triggers of a table unless somebody listens; answers whether it did.
SELECT {feed_off}(:about);
