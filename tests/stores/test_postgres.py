"""What is special about the PostgreSQL store: opening, wake-ups, poolers, time, and the statements of its dialect."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from postgres_calls import WORKER, claim
from servers.postgres import new_namespace, postgres_url

from dispatch.clock import utc_now
from dispatch.errors import ConfigError, SchemaMismatch
from dispatch.jobs.model import Transition, Verdict
from dispatch.queues import QueueConfig
from dispatch.stores import open_store
from dispatch.stores.postgres import PostgresStore
from dispatch.stores.scripts import migration_scripts
from dispatch.stores.server_clock import ServerClock
from dispatch.testing.conformance.env import new

# -- opening -----------------------------------------------------------------------------------------------------------


async def test_an_empty_store_is_created_by_many_at_once_and_once(namespace: str) -> None:
    stores = [PostgresStore(postgres_url(), namespace=namespace) for _ in range(4)]
    try:
        await asyncio.gather(*(store.open() for store in stores))
        statuses = [await store.schema() for store in stores]
        assert {(status.current, status.pending) for status in statuses} == {(statuses[0].wanted, ())}
    finally:
        await asyncio.gather(*(store.close() for store in stores))


async def test_never_creates_nothing_and_names_the_command(namespace: str, admin: Any) -> None:
    store = PostgresStore(postgres_url(), namespace=namespace, migrate="never")
    await store.open()
    try:
        status = await store.schema()
        assert (status.current, len(status.pending)) == (0, status.wanted)
        with pytest.raises(SchemaMismatch, match="dispatch store migrate"):
            await store.jobs.enqueue([new()])
        assert not await admin.fetchval("SELECT count(*) FROM pg_namespace WHERE nspname = $1", namespace)
        assert await store.migrate() == list(status.pending)
        await store.jobs.enqueue([new()])
    finally:
        await store.close()


async def test_a_schema_of_another_version_is_refused(postgres: PostgresStore, namespace: str, admin: Any) -> None:
    await admin.execute(f"INSERT INTO \"{namespace}\".dispatch_migrations VALUES (99, 'later', now())")
    with pytest.raises(SchemaMismatch, match="upgrade"):
        await PostgresStore(postgres_url(), namespace=namespace).open()


async def test_the_printed_scripts_make_a_store(namespace: str, admin: Any) -> None:
    for text in migration_scripts(postgres_url(), namespace).values():
        await admin.execute(text)
    store = PostgresStore(postgres_url(), namespace=namespace, migrate="never")
    await store.open()
    try:
        assert (await store.schema()).pending == ()
        assert (await store.jobs.enqueue([new()]))[0].created
    finally:
        await store.close()


async def test_namespaces_do_not_see_each_other(postgres: PostgresStore) -> None:
    other = PostgresStore(postgres_url(), namespace=new_namespace())
    await other.open()
    try:
        await postgres.jobs.enqueue([new()])
        assert await claim(other) == []
        assert len(await claim(postgres)) == 1
    finally:
        await other.close()


@pytest.mark.parametrize("namespace", ["", "a b", 'x"; DROP SCHEMA public; --', "pg_mine", "1st", "x" * 49])
def test_a_namespace_that_is_no_schema_is_a_configuration_error(namespace: str) -> None:
    with pytest.raises(ConfigError, match="namespace"):
        PostgresStore("postgresql://localhost/x", namespace=namespace)


def test_both_schemes_are_known_and_wrong_options_are_told() -> None:
    for scheme in ("postgres", "postgresql"):
        assert isinstance(open_store(f"{scheme}://me:secret@localhost/jobs"), PostgresStore)
    assert open_store("postgres://me:secret@localhost/jobs").url == "postgresql://me:***@localhost/jobs"
    with pytest.raises(ConfigError, match="names no database"):
        open_store("postgresql://localhost")
    with pytest.raises(ConfigError, match="speed"):
        open_store("postgresql://localhost/x", speed="high")
    with pytest.raises(ConfigError, match="pool_size"):
        open_store("postgresql://localhost/x", pool_size=0)
    with pytest.raises(ConfigError, match="empty"):
        open_store("postgresql://localhost/x", migrate="sometimes")


# -- wake-ups and time -------------------------------------------------------------------------------------------------


async def test_without_listening_a_wait_ends_with_its_timeout_and_own_writes_still_wake(namespace: str) -> None:
    store = PostgresStore(postgres_url(), namespace=namespace, listen=False)
    await store.open()
    try:
        seen = store.wakeups.version
        assert await store.wakeups.wait(seen, 0.01) == seen
        await store.jobs.enqueue([new()])
        assert store.wakeups.version > seen
    finally:
        await store.close()


async def test_behind_a_pooler_nothing_is_prepared_set_or_listened_to(namespace: str, admin: Any) -> None:
    store = PostgresStore(postgres_url(), namespace=namespace, pooler=True, pool_size=1)
    await store.open()
    try:
        await store.queues.configure(QueueConfig("limited", max_concurrency=1))
        await store.jobs.enqueue([new(), new(queue="limited"), new(queue="limited")])
        jobs = await claim(store, 5, queues={"default": 5, "limited": 5})
        assert len(jobs) == 2
        await store.jobs.finish(WORKER, [Transition(job.id, job.epoch, Verdict.COMPLETE) for job in jobs])
        await store.wakeups.wait(store.wakeups.version, 0.01)
        async with store._executor._connection() as connection:
            assert await connection.fetchval("SELECT count(*) FROM pg_prepared_statements") <= 1
            assert await connection.fetchval("SHOW plan_cache_mode") == "auto"
    finally:
        await store.close()


async def test_the_time_is_the_servers_whatever_this_machines_clock_says(
    postgres: PostgresStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dispatch.clock.SystemClock.now", lambda self: utc_now() - timedelta(hours=1))
    job = new()
    await postgres.jobs.enqueue([job])
    row = await postgres.jobs.get(job.id)
    assert row is not None
    assert abs(row.created_at - utc_now()) < timedelta(seconds=5)


async def test_the_clock_is_measured_by_the_quickest_answer_and_again_after_a_while() -> None:
    boot = 100.0
    trips = iter([0.5, 0.1, 0.2])

    async def ask() -> int:
        nonlocal boot
        trip = next(trips)
        boot += trip / 2
        answer = round((boot + 1000) * 1e6) + (0 if trip == 0.1 else 7_000_000)
        boot += trip / 2
        return answer

    clock = ServerClock(boot=lambda: boot)
    assert clock.stale
    await clock.measure(ask)
    assert not clock.stale
    assert clock.now() == pytest.approx((boot + 1000) * 1e6, abs=2)
    boot += 11
    assert clock.stale


def test_the_password_is_in_no_repr_and_tls_is_verified_when_it_is_asked_for() -> None:
    from dispatch.stores.postgres_url import place

    plain = place("postgresql://me:secret@db/x", "dispatch")
    assert not plain.tls
    assert place("postgresql://me:secret@db/x?sslmode=require", "dispatch").tls
    named = place("postgresql://me:secret@db/x?sslmode=require&sslrootcert=/ca.pem", "dispatch")
    assert not named.tls
    assert "sslmode=verify-full" in named.dsn
    assert "secret" not in repr(plain)


def test_the_same_statements_stand_in_every_dialect() -> None:
    from dispatch.stores import mysql_statements
    from dispatch.stores.mysql_place import place as mysql_place
    from dispatch.stores.sql import statements

    folder = Path(statements.__file__).parent
    sqlite, postgres = statements.load(folder / "sqlite"), statements.load(folder / "postgres", "$", "s")
    own = {"claim_jobs", "claim_jobs_after", "insert_jobs", "insert_same_jobs", "complete_job"}
    own |= {"number_entries", "renew_jobs", "own_transaction", "oldest_transaction"}
    own |= {"insert_new_job", "insert_new_job_and_tell", "insert_new_jobs", "insert_new_jobs_and_tell"}
    own |= {"listens", "untold", "told_to_nobody", "tell", "keep_quiet"}
    assert {name for name in set(postgres) - set(sqlite) if not name.startswith("lock_")} == own
    # columns of SQLite may hold anything; here types and a constraint refuse what no job can hold
    damaged = {"damaged_waiting", "damaged_running", "mend_job", "fail_damaged", "put_aside"}
    triggers = {name for name in sqlite if name.startswith("tell_") or name.endswith("_quiet")} | {"some_listener"}
    only_here = damaged | triggers | {"complete_jobs"}
    assert set(sqlite) - set(postgres) == only_here
    for name in sqlite.keys() - only_here:
        asked = set(sqlite[name].names) - {"tag_text"}  # SQLite alone tests the text before the JSON
        assert set(postgres[name].names) == asked, name
    mysql = mysql_statements.load(mysql_place("mysql://", "database", "dispatch"))
    assert set(postgres) - set(mysql) == own - {"number_entries", "complete_job"} | {"insert_alike_jobs"}
    assert set(mysql) <= set(postgres)
    for name in mysql:
        assert set(mysql[name].names) == set(postgres[name].names), name


async def test_who_begins_to_listen_waits_for_transactions_that_cannot_know_it(postgres: PostgresStore) -> None:
    connection = await asyncpg.connect(postgres_url())
    try:
        await postgres.stream.listen(["cron.fired"], "else", lease=60)  # from here on triggers stand
        await postgres.jobs.prepare_inside()
        await connection.execute("BEGIN")
        await postgres.jobs.enqueue_inside(connection, [new()])
        listening = asyncio.create_task(postgres.stream.listen(["job.enqueued"], "me", lease=60))
        count = f"SELECT count(*) FROM {postgres._place.schema}.stream_listeners WHERE listener = 'me'"
        async with asyncio.timeout(5):
            while not await connection.fetchval(count):
                await asyncio.sleep(0)
        assert not listening.done()
        await connection.execute("COMMIT")
        await listening
        start = (await postgres.stream.read_after(["job.enqueued"], -1)).position
        await postgres.jobs.enqueue([new()])
        assert len((await postgres.stream.read_after(["job.enqueued"], start)).entries) == 1
    finally:
        await connection.close()
