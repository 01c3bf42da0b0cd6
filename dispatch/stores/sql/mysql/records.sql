-- part: record_columns
namespace, `key`, value, version, created_at, updated_at, expires_at

-- name: lock_record
-- Lets those who write a record in one by one, whether or not there is one.
SELECT 1 FROM {locks} AS locks
WHERE name = CONCAT('record-', MOD(CRC32(CONCAT(:namespace, ' ', :key)), 256)) FOR UPDATE;

-- name: get_record
-- One record that has not expired.
SELECT {record_columns} FROM {records} AS records
WHERE namespace = :namespace AND `key` = :key AND (expires_at IS NULL OR expires_at > :now);

-- name: put_record
-- Writes a record.
INSERT INTO {records} (namespace, `key`, value, version, created_at, updated_at, expires_at)
VALUES (:namespace, :key, :value, :version, :created_at, :now, :expires_at)
ON DUPLICATE KEY UPDATE value = VALUES(value), version = VALUES(version),
  created_at = VALUES(created_at), updated_at = VALUES(updated_at), expires_at = VALUES(expires_at);

-- name: delete_record
-- Removes a record.
DELETE FROM {records} WHERE namespace = :namespace AND `key` = :key;

-- name: list_records
-- Records of a namespace whose key starts with a prefix.
SELECT {record_columns} FROM {records} AS records
WHERE namespace = :namespace AND `key` >= :prefix AND (:cursor IS NULL OR `key` > :cursor)
  AND left(`key`, char_length(:prefix)) = :prefix AND (expires_at IS NULL OR expires_at > :now)
ORDER BY `key` LIMIT :limit;

-- name: list_records_back
-- The same, the last key first.
SELECT {record_columns} FROM {records} AS records
WHERE namespace = :namespace AND `key` >= :prefix AND (:cursor IS NULL OR `key` < :cursor)
  AND left(`key`, char_length(:prefix)) = :prefix AND (expires_at IS NULL OR expires_at > :now)
ORDER BY `key` DESC LIMIT :limit;

-- name: prune_records
-- Deletes some expired records.
DELETE FROM {records} WHERE expires_at <= :now ORDER BY expires_at LIMIT :limit;
