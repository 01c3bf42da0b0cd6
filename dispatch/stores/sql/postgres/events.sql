-- part: event_columns
id, name, key, run_id, app_id, org_id, created_at, payload

-- part: prunable_event
created_at < :before AND (run_id IS NULL OR consumed = 1 OR NOT EXISTS (
  SELECT 1 FROM {runs} AS r WHERE r.id = e.run_id AND r.finished_at IS NULL))

-- name: publish_event
-- Appends an event; an id that is there already changes nothing.
INSERT INTO {events} (id, name, key, run_id, app_id, org_id, created_at, payload)
VALUES (:id, :name, :key, :run_id, :app_id, :org_id, :now, :payload)
ON CONFLICT (id) DO NOTHING;

-- name: get_event
-- One event.
SELECT {event_columns} FROM {events} WHERE id = :id AND {in_scope};

-- name: list_events
-- Events that match, newest first.
SELECT {event_columns} FROM {events}
WHERE (:cursor::text IS NULL OR id < :cursor) AND (:key::text IS NULL OR key = :key) AND {in_scope}
  AND (:names::text IS NULL OR name = ANY (ARRAY(SELECT json_array_elements_text(:names::json))))
ORDER BY id DESC LIMIT :limit;

-- name: prune_events
-- Deletes some old events.
DELETE FROM {events} WHERE id = ANY (ARRAY(
  SELECT id FROM {events} AS e WHERE {prunable_event} ORDER BY created_at, id LIMIT :limit FOR UPDATE SKIP LOCKED));
