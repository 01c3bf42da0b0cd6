-- Concurrency of runs: which drivers hold a place under their key, running or not, from their first claim to their end.
-- MySQL cannot add a column "if it does not exist", and this may be repeated by whoever goes on with it.

SET @dispatch_change = (
  SELECT CASE WHEN count(*) = 0 THEN
    'ALTER TABLE {jobs} ADD COLUMN place VARCHAR(700) AS (CASE WHEN kind = ''workflow'' AND started_at IS NOT NULL
      AND finished_at IS NULL THEN concurrency_key END) VIRTUAL, ADD KEY jobs_places (place (191), state)'
    ELSE 'DO 0' END
  FROM information_schema.columns
  WHERE CONCAT('`', table_schema, '`.`', table_name, '`') = '{jobs}' AND column_name = 'place');

PREPARE dispatch_change FROM @dispatch_change;

EXECUTE dispatch_change;

DEALLOCATE PREPARE dispatch_change;
