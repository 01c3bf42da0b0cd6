-- part: event_columns
id, name, key, run_id, app_id, org_id, created_at, payload

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
  SELECT id FROM {events} WHERE created_at < :before ORDER BY created_at, id LIMIT :limit FOR UPDATE SKIP LOCKED));
