-- part: event_columns
id, name, `key`, run_id, app_id, org_id, created_at, payload

-- part: prunable_event
created_at < :before AND (run_id IS NULL OR consumed = 1 OR NOT EXISTS (
  SELECT 1 FROM {runs} AS runs WHERE runs.id = events.run_id AND runs.finished_at IS NULL))

-- name: publish_event
-- Appends an event; an id that is there already changes nothing.
INSERT INTO {events} (id, name, `key`, run_id, app_id, org_id, created_at, payload)
SELECT :id, :name, :key, :run_id, :app_id, :org_id, :now, :payload
FROM DUAL WHERE NOT EXISTS (SELECT 1 FROM {events} AS known WHERE id = :id);

-- name: get_event
-- One event.
SELECT {event_columns} FROM {events} AS events WHERE id = :id AND {in_scope};

-- name: list_events
-- Events that match, newest first.
SELECT {event_columns} FROM {events} AS events
WHERE (:cursor IS NULL OR id < :cursor) AND (:key IS NULL OR `key` = :key) AND {in_scope}
  AND (:names IS NULL OR name IN :names)
ORDER BY id DESC LIMIT :limit;

-- name: prune_events
-- Deletes some old events.
SELECT id FROM {events} AS events WHERE {prunable_event} ORDER BY created_at, id LIMIT :limit FOR UPDATE SKIP LOCKED;
DELETE FROM {events} WHERE id IN :found;
