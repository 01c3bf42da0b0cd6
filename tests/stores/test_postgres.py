"""What is special about the PostgreSQL store: opening, errors, cancelled calls, lost connections, wake-ups, time."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from servers.postgres import Server, free_port, new_namespace, postgres_url

from dispatch.clock import utc_now
from dispatch.errors import (
    ConfigError,
    DataRejected,
    SchemaMismatch,
    StoreError,
    StoreReadOnly,
    StoreTimeout,
    StoreUnreachable,
)
from dispatch.ids import WorkerID
from dispatch.jobs.model import CountOptions, Failure, JobState, Transition, Unique, Verdict
from dispatch.queues import QueueConfig
from dispatch.stores import open_store
from dispatch.stores.postgres import PostgresStore
from dispatch.stores.scripts import migration_scripts
from dispatch.stores.server_clock import ServerClock
from dispatch.testing.conformance.env import new

WORKER = WorkerID.new()


@pytest.fixture
def namespace() -> str:
    return new_namespace()


@pytest.fixture
async def store(namespace: str) -> AsyncIterator[PostgresStore]:
    made = PostgresStore(postgres_url(), namespace=namespace)
    await made.open()
    yield made
    await made.close()


@pytest.fixture
async def admin() -> AsyncIterator[Any]:
    connection = await asyncpg.connect(postgres_url())
    yield connection
    await connection.close()


async def until(condition: Callable[[], Awaitable[Any]], within: float = 20.0) -> Any:
    """Waits for a fact, looking again and again."""
    async with asyncio.timeout(within):
        while not (found := await condition()):
            await asyncio.sleep(0.01)
        return found


async def claim(store: PostgresStore, limit: int = 1, **options: Any) -> list[Any]:
    queues = options.pop("queues", {"default": 1000})
    answer = await store.jobs.claim(WORKER, queues=queues, names=["work"], limit=limit, lease=30.0, **options)
    return answer.jobs


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


async def test_a_schema_of_another_version_is_refused(store: PostgresStore, namespace: str, admin: Any) -> None:
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


async def test_namespaces_do_not_see_each_other(store: PostgresStore) -> None:
    other = PostgresStore(postgres_url(), namespace=new_namespace())
    await other.open()
    try:
        await store.jobs.enqueue([new()])
        assert await claim(other) == []
        assert len(await claim(store)) == 1
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


# -- what cannot be reached --------------------------------------------------------------------------------------------


async def _refused(url: str, kind: type[StoreError], says: str, **options: Any) -> None:
    store = PostgresStore(url, namespace=new_namespace(), **options)
    async with asyncio.timeout(10):
        with pytest.raises(kind, match=says) as caught:
            await store.open()
    assert "secret" not in str(caught.value)
    await store.close()


async def test_a_server_that_is_not_there_is_told_at_once_with_the_password_masked() -> None:
    url = f"postgresql://me:secret@127.0.0.1:{free_port()}/jobs"
    await _refused(url, StoreUnreachable, r"me:\*\*\*@127.0.0.1.*host and port")


async def test_a_server_that_says_nothing_is_told_in_bounded_time() -> None:
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        url = f"postgresql://me:secret@127.0.0.1:{silent.getsockname()[1]}/jobs"
        await _refused(url, StoreError, "too long", connect_timeout=0.3, command_timeout=1.0)


async def test_an_unknown_database_is_told() -> None:
    await _refused(postgres_url().rsplit("/", 1)[0] + "/nowhere", StoreUnreachable, "nowhere.*createdb")


async def test_a_user_who_may_not_create_is_told_what_to_do(admin: Any) -> None:
    role = f"guest_{os.getpid()}"
    await admin.execute(f"CREATE ROLE {role} LOGIN PASSWORD 'secret'")
    try:
        await _refused(postgres_url().replace("postgres@", f"{role}:secret@"), StoreReadOnly, "GRANT")
    finally:
        await admin.execute(f"DROP ROLE {role}")


async def test_an_unknown_user_is_told() -> None:
    await _refused(postgres_url().replace("postgres@", "nobody:secret@"), StoreUnreachable, "user, password")


# -- calls that are cut short ------------------------------------------------------------------------------------------


@pytest.mark.slow
async def test_a_call_cancelled_at_any_moment_poisons_no_connection(namespace: str) -> None:
    store = PostgresStore(postgres_url(), namespace=namespace, pool_size=1)
    await store.open()
    try:
        asked = 0
        for turns in range(40):
            for verb in (_enqueue_unique, _claim_and_finish, _count):
                call = asyncio.ensure_future(verb(store, f"k{asked}"))
                asked += 1
                for _ in range(turns):
                    await asyncio.sleep(0)
                call.cancel()
                await asyncio.wait([call])
        # one connection serves all of it: were it left in a transaction, this would see nothing or wait for ever
        job = new(queue="after")
        await store.jobs.enqueue([job])
        assert (await store.jobs.count(CountOptions(queues=["after"])))[JobState.PENDING] == 1
        counts = await store.jobs.count(CountOptions())
        assert sum(counts.values()) <= asked + 1
    finally:
        await store.close()


async def _enqueue_unique(store: PostgresStore, key: str) -> None:
    await store.jobs.enqueue([new(unique=Unique(key))])


async def _claim_and_finish(store: PostgresStore, key: str) -> None:
    for job in await claim(store, 2):
        await store.jobs.finish(WORKER, [Transition(job.id, job.epoch, Verdict.COMPLETE)])


async def _count(store: PostgresStore, key: str) -> None:
    await store.queues.list()


async def test_a_cancelled_write_is_done_all_the_same(store: PostgresStore) -> None:
    job = new()
    call = asyncio.ensure_future(store.jobs.enqueue([job]))
    for _ in range(3):
        await asyncio.sleep(0)
    call.cancel()
    await asyncio.wait([call])
    assert await until(lambda: store.jobs.get(job.id))


async def test_a_claim_is_not_made_for_a_caller_who_has_left(namespace: str, admin: Any) -> None:
    store = PostgresStore(postgres_url(), namespace=namespace, pool_size=1)
    await store.open()
    try:
        await store.jobs.enqueue([new()])
        async with admin.transaction():
            await admin.execute(f'LOCK TABLE "{namespace}".queues')
            blocker = asyncio.ensure_future(store.queues.list())  # holds the only connection
            await until(lambda: _waiting(namespace))
            late = asyncio.ensure_future(claim(store))
            await asyncio.sleep(0)
            late.cancel()
            await asyncio.wait([late])
        await blocker
        assert (await store.jobs.count(CountOptions()))[JobState.RUNNING] == 0
    finally:
        await store.close()


async def _waiting(namespace: str) -> bool:
    """Whether a session of the namespace waits for a lock."""
    connection = await asyncpg.connect(postgres_url())
    try:
        return bool(
            await connection.fetchval(
                "SELECT count(*) FROM pg_stat_activity WHERE application_name = $1 AND wait_event_type = 'Lock'",
                f"dispatch {namespace}",
            )
        )
    finally:
        await connection.close()


async def test_a_call_that_takes_too_long_is_told_and_its_connection_is_not_used_again(
    namespace: str, admin: Any
) -> None:
    store = PostgresStore(postgres_url(), namespace=namespace, pool_size=1, command_timeout=0.5)
    await store.open()
    try:
        await store.ping()
        async with admin.transaction():
            await admin.execute(f'LOCK TABLE "{namespace}".jobs')
            with pytest.raises(StoreTimeout):
                await store.jobs.enqueue([new()])
        await store.jobs.enqueue([new()])
    finally:
        await store.close()


async def test_a_refused_value_leaves_nothing_of_its_write_and_a_sound_connection(namespace: str) -> None:
    store = PostgresStore(postgres_url(), namespace=namespace, pool_size=1)
    await store.open()
    try:
        for bad in ("\0", "\ud800"):
            for unique in (None, Unique("k")):
                with pytest.raises(DataRejected):
                    await store.jobs.enqueue([new(), new(queue=bad, unique=unique)])
        with pytest.raises(DataRejected):
            await store.jobs.enqueue([new(priority=1 << 70)])
        assert sum((await store.jobs.count(CountOptions())).values()) == 0
        assert (await store.jobs.enqueue([new()]))[0].created
    finally:
        await store.close()


async def test_a_failure_whose_message_holds_a_zero_byte_is_kept(store: PostgresStore) -> None:
    await store.jobs.enqueue([new()])
    (job,) = await claim(store)
    failure = Failure("E", "a\0b", "trace\0back")
    said = Transition(job.id, job.epoch, Verdict.FAIL, failure=failure, dead_letter=True, reason="why\0")
    (answer,) = await store.jobs.finish(WORKER, [said])
    assert answer.state is JobState.FAILED
    row = await store.jobs.get(job.id)
    assert row is not None
    assert row.error == Failure("E", "a\\x00b", "trace\\x00back")


async def test_a_row_that_no_job_can_be_read_from_is_refused_by_the_table(
    store: PostgresStore, namespace: str, admin: Any
) -> None:
    await store.jobs.enqueue([new()])
    for change in ("run_at = 1000000000000000000", "state = 'odd'", "lease_until = -100000000000000000"):
        with pytest.raises(asyncpg.CheckViolationError):
            await admin.execute(f'UPDATE "{namespace}".jobs SET {change}')
    assert len(await claim(store)) == 1


# -- lost connections --------------------------------------------------------------------------------------------------


async def test_cut_connections_are_replaced_and_listening_goes_on(
    store: PostgresStore, namespace: str, admin: Any
) -> None:
    other = store.sibling()
    await other.open()
    try:
        await store.wakeups.wait(store.wakeups.version, 0.01)
        for _ in range(3):
            await until(lambda: _listening(admin, namespace))
            await admin.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = $1",
                f"dispatch {namespace}",
            )
            await until(lambda: _works(store))
            await until(lambda: _works(other))
        await until(lambda: _listening(admin, namespace))
        seen = store.wakeups.version
        waiting = asyncio.ensure_future(store.wakeups.wait(seen, 20.0))
        await other.jobs.enqueue([new()])
        async with asyncio.timeout(10):
            assert await waiting > seen
    finally:
        await other.close()


async def _listening(admin: Any, namespace: str) -> bool:
    return bool(
        await admin.fetchval(
            "SELECT count(*) FROM pg_stat_activity WHERE application_name = $1 AND query LIKE '%pg_notify%'",
            f"dispatch {namespace}",
        )
    )


async def _works(store: PostgresStore) -> bool:
    try:
        await store.jobs.enqueue([new()])
    except StoreUnreachable:
        return False
    return True


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    made = Server({})
    yield made
    made.close()


@pytest.mark.slow
@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGQUIT])
async def test_an_outage_of_the_server_is_told_and_outlived(server: Server, how: signal.Signals) -> None:
    store = PostgresStore(server.url, namespace=new_namespace(), connect_timeout=2.0, command_timeout=3.0)
    await store.open()
    try:
        await store.jobs.enqueue([new()])
        server.stop(how)
        async with asyncio.timeout(15):
            with pytest.raises(StoreUnreachable):
                await store.jobs.enqueue([new()])
        server.start()
        await until(lambda: _works(store))
        assert len(await claim(store, 5)) >= 2
    finally:
        await store.close()


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
    store: PostgresStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dispatch.clock.SystemClock.now", lambda self: utc_now() - timedelta(hours=1))
    job = new()
    await store.jobs.enqueue([job])
    row = await store.jobs.get(job.id)
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
    own = {"claim_jobs", "claim_jobs_after", "insert_jobs", "insert_new_jobs", "insert_same_jobs", "complete_job"}
    own |= {"number_entries", "renew_jobs", "own_transaction", "oldest_transaction"}
    own |= {"insert_new_jobs_and_tell", "listens", "untold", "told_to_nobody", "tell", "keep_quiet"}
    assert {name for name in set(postgres) - set(sqlite) if not name.startswith("lock_")} == own
    # columns of SQLite may hold anything; here types and a constraint refuse what no job can hold
    damaged = {"damaged_waiting", "damaged_running", "mend_job", "fail_damaged", "put_aside"}
    triggers = {name for name in sqlite if name.startswith("tell_") or name.endswith("_quiet")} | {"some_listener"}
    only_here = damaged | triggers | {"complete_jobs"}
    assert set(sqlite) - set(postgres) == only_here
    for name in sqlite.keys() - only_here:
        assert set(postgres[name].names) == set(sqlite[name].names), name
    mysql = mysql_statements.load(mysql_place("mysql://", "database", "dispatch"))
    assert set(postgres) - set(mysql) == own - {"number_entries", "complete_job"} | {"insert_alike_jobs"}
    assert set(mysql) <= set(postgres)
    for name in mysql:
        assert set(mysql[name].names) == set(postgres[name].names), name


async def test_who_begins_to_listen_waits_for_transactions_that_cannot_know_it(store: PostgresStore) -> None:
    connection = await asyncpg.connect(postgres_url())
    try:
        await store.stream.listen(["cron.fired"], "else", lease=60)  # from here on triggers stand
        await store.jobs.prepare_inside()
        await connection.execute("BEGIN")
        await store.jobs.enqueue_inside(connection, [new()])
        listening = asyncio.create_task(store.stream.listen(["job.enqueued"], "me", lease=60))
        count = f"SELECT count(*) FROM {store._place.schema}.stream_listeners WHERE listener = 'me'"
        async with asyncio.timeout(5):
            while not await connection.fetchval(count):
                await asyncio.sleep(0)
        assert not listening.done()
        await connection.execute("COMMIT")
        await listening
        start = (await store.stream.read_after(["job.enqueued"], -1)).position
        await store.jobs.enqueue([new()])
        assert len((await store.stream.read_after(["job.enqueued"], start)).entries) == 1
    finally:
        await connection.close()
