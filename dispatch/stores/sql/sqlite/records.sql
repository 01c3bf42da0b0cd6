-- part: record_columns
namespace, key, CAST(value AS BLOB), version, created_at, updated_at, expires_at

-- name: get_record
-- One record that has not expired.
SELECT {record_columns} FROM records
WHERE namespace = :namespace AND key = :key AND (expires_at IS NULL OR expires_at > :now);

-- name: put_record
-- Writes a record.
INSERT INTO records (namespace, key, value, version, created_at, updated_at, expires_at)
VALUES (:namespace, :key, :value, :version, :created_at, :now, :expires_at)
ON CONFLICT (namespace, key) DO UPDATE SET value = excluded.value, version = excluded.version,
  created_at = excluded.created_at, updated_at = excluded.updated_at, expires_at = excluded.expires_at;

-- name: delete_record
-- Removes a record.
DELETE FROM records WHERE namespace = :namespace AND key = :key;

-- name: list_records
-- Records of a namespace whose key starts with a prefix.
SELECT {record_columns} FROM records
WHERE namespace = :namespace AND key >= :prefix AND (:cursor IS NULL OR key > :cursor)
  AND substr(key, 1, length(:prefix)) = :prefix AND (expires_at IS NULL OR expires_at > :now)
ORDER BY key LIMIT :limit;

-- name: list_records_back
-- The same, the last key first.
SELECT {record_columns} FROM records
WHERE namespace = :namespace AND key >= :prefix AND (:cursor IS NULL OR key < :cursor)
  AND substr(key, 1, length(:prefix)) = :prefix AND (expires_at IS NULL OR expires_at > :now)
ORDER BY key DESC LIMIT :limit;

-- name: prune_records
-- Deletes some expired records.
DELETE FROM records WHERE rowid IN (SELECT rowid FROM records WHERE expires_at <= :now LIMIT :limit);
