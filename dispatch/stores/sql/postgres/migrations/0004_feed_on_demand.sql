-- The feed's triggers are made by whoever begins to listen and removed when nobody does: what they need, copies of all rows
-- that a statement changes, makes a drain cost a tenth to a quarter more even where nothing is told.

-- Which triggers write the feed, of which table, and which of them stand.
CREATE FUNCTION feed_triggers() RETURNS TABLE (about TEXT, name TEXT, event TEXT, copies TEXT, stands BOOLEAN)
LANGUAGE sql STABLE SET search_path TO pg_catalog, {schema}, pg_temp AS $$
  SELECT t.*, EXISTS (SELECT 1 FROM pg_trigger WHERE tgrelid = t.about::regclass AND tgname = t.name)
  FROM (VALUES
    ('jobs', 'feed_jobs_added', 'INSERT', 'NEW TABLE AS added'),
    ('jobs', 'feed_jobs_changed', 'UPDATE', 'OLD TABLE AS old_rows NEW TABLE AS new_rows'),
    ('dlq', 'feed_jobs_buried', 'INSERT', 'NEW TABLE AS added'),
    ('runs', 'feed_runs_changed', 'UPDATE', 'OLD TABLE AS old_rows NEW TABLE AS new_rows'),
    ('checkpoints', 'feed_steps_recorded', 'INSERT', 'NEW TABLE AS added'),
    ('cron_ticks', 'feed_crons_fired', 'INSERT', 'NEW TABLE AS added')
  ) AS t (about, name, event, copies)
$$;

-- Makes the triggers of a table; false where it must be tried again, because others write to the table all the time. Whoever
-- writes waits behind this, so that it is short: for its locks, and for a caller who does not end the transaction. It has
-- the rights of who migrated, as those who listen may have none to make triggers.
CREATE FUNCTION feed_on(wanted TEXT) RETURNS BOOLEAN LANGUAGE plpgsql SECURITY DEFINER
SET search_path TO pg_catalog, {schema}, pg_temp SET lock_timeout TO '200ms' AS $$
DECLARE
  t RECORD;
BEGIN
  PERFORM set_config('idle_in_transaction_session_timeout', '5s', true);
  -- an autovacuum, which may take minutes and is nobody's, gives way to who has waited for longer than this
  PERFORM set_config('lock_timeout', (setting::int + 200)::text, true) FROM pg_settings
  WHERE name = 'deadlock_timeout' AND EXISTS (
    SELECT 1 FROM pg_locks JOIN pg_stat_activity USING (pid)
    WHERE relation = wanted::regclass AND mode = 'ShareUpdateExclusiveLock' AND granted AND usesysid IS NULL);
  FOR t IN SELECT * FROM feed_triggers() WHERE about = wanted AND NOT stands LOOP
    EXECUTE format('CREATE TRIGGER %I AFTER %s ON %I REFERENCING %s FOR EACH STATEMENT EXECUTE FUNCTION %I()',
      t.name, t.event, t.about, t.copies, t.name);
  END LOOP;
  RETURN true;
EXCEPTION WHEN lock_not_available OR duplicate_object THEN
  RETURN false;
END
$$;

-- Removes the triggers of a table unless somebody listens; false where they stay. Readers, too, wait behind this.
CREATE FUNCTION feed_off(wanted TEXT) RETURNS BOOLEAN LANGUAGE plpgsql SECURITY DEFINER
SET search_path TO pg_catalog, {schema}, pg_temp SET lock_timeout TO '50ms' AS $$
DECLARE
  t RECORD;
BEGIN
  PERFORM set_config('idle_in_transaction_session_timeout', '5s', true);
  PERFORM 1 FROM stream_state FOR UPDATE;  -- nobody begins to listen meanwhile
  IF EXISTS (SELECT 1 FROM stream_listeners) THEN
    RETURN false;
  END IF;
  FOR t IN SELECT * FROM feed_triggers() WHERE about = wanted AND stands LOOP
    EXECUTE format('DROP TRIGGER %I ON %I', t.name, t.about);
  END LOOP;
  RETURN true;
EXCEPTION WHEN lock_not_available THEN
  RETURN false;
END
$$;

-- Nobody is ever noted as a listener while triggers are missing, whatever they were removed by: processes of the version
-- before this one do not know that they must be made.
CREATE FUNCTION feed_heard() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF NOT (SELECT coalesce(bool_and({schema}.feed_on(about)), true)
      FROM (SELECT DISTINCT about FROM {schema}.feed_triggers() WHERE NOT stands) AS missing) THEN
    RAISE lock_not_available USING MESSAGE = 'others write all the time to a table that the feed is to tell of';
  END IF;
  RETURN NULL;
END
$$;
CREATE TRIGGER feed_heard AFTER INSERT ON stream_listeners FOR EACH STATEMENT EXECUTE FUNCTION feed_heard();

SELECT feed_off(about) FROM (SELECT DISTINCT about FROM feed_triggers()) AS all_of_them;
