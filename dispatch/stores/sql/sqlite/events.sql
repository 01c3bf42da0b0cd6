-- part: event_columns
id, name, key, run_id, app_id, org_id, created_at, CAST(payload AS BLOB)

-- part: prunable_event
created_at < :before AND (run_id IS NULL OR consumed = 1 OR NOT EXISTS (
  SELECT 1 FROM runs WHERE runs.id = events.run_id AND runs.finished_at IS NULL))

-- name: publish_event
-- Appends an event; an id that is there already changes nothing.
INSERT INTO events (id, name, key, run_id, app_id, org_id, created_at, payload)
VALUES (:id, :name, :key, :run_id, :app_id, :org_id, :now, :payload)
ON CONFLICT (id) DO NOTHING;

-- name: get_event
-- One event.
SELECT {event_columns} FROM events WHERE id = :id AND {in_scope};

-- name: list_events
-- Events that match, newest first.
SELECT {event_columns} FROM events
WHERE (:cursor IS NULL OR id < :cursor) AND (:key IS NULL OR key = :key) AND {in_scope}
  AND (:names IS NULL OR name IN (SELECT value FROM json_each(:names)))
ORDER BY id DESC LIMIT :limit;

-- name: prune_events
-- Deletes some old events.
DELETE FROM events WHERE id IN (SELECT id FROM events WHERE {prunable_event} ORDER BY created_at, id LIMIT :limit);
