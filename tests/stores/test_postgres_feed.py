"""The feed's triggers on PostgreSQL: there only while somebody listens, made and removed in nobody's way."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import asyncpg
import pytest
from servers.postgres import Server, postgres_url

from dispatch.clock import ManualClock
from dispatch.errors import StoreBusy
from dispatch.jobs.model import CountOptions
from dispatch.stores.postgres import PostgresStore
from dispatch.stores.postgres_stream import PostgresStream
from dispatch.stores.scripts import migration_scripts
from dispatch.testing.conformance.env import new

ALL = [
    *("feed_crons_fired", "feed_jobs_added", "feed_jobs_buried", "feed_jobs_changed"),
    *("feed_runs_changed", "feed_steps_recorded"),
]


@pytest.fixture
async def store(namespace: str, clock: ManualClock) -> AsyncIterator[PostgresStore]:
    made = PostgresStore(postgres_url(), namespace=namespace, clock=clock)
    await made.open()
    yield made
    await made.close()


@asynccontextmanager
async def transaction(*statements: str) -> AsyncIterator[Any]:
    """Somebody's own transaction, which is open until the block ends."""
    connection = await asyncpg.connect(postgres_url())
    try:
        await connection.execute("BEGIN")
        for statement in statements:
            await connection.execute(statement)
        yield connection
    finally:
        await connection.close()


async def standing(admin: Any, namespace: str) -> list[str]:
    rows = await admin.fetch(
        "SELECT tgname FROM pg_trigger JOIN pg_class AS r ON r.oid = tgrelid "
        "WHERE r.relnamespace = $1::regnamespace AND tgname = ANY ($2) ORDER BY tgname",
        namespace,
        ALL,
    )
    return [name for (name,) in rows]


async def until(condition: Callable[[], Awaitable[Any]]) -> None:
    async with asyncio.timeout(30):
        while not await condition():
            await asyncio.sleep(0.002)


def in_line(admin: Any, namespace: str, mode: str) -> Callable[[], Awaitable[Any]]:
    """Asks whether somebody waits for that lock on the jobs."""

    async def ask() -> Any:
        return await admin.fetchval(
            "SELECT EXISTS (SELECT 1 FROM pg_locks WHERE relation = $1::regclass AND mode = $2 AND NOT granted)",
            f"{namespace}.jobs",
            mode,
        )

    return ask


async def told(store: PostgresStore) -> None:
    """What is enqueued now is told."""
    start = (await store.stream.read_after(["job.enqueued"], -1)).position
    await store.jobs.enqueue([new()])
    page = await store.stream.read_after(["job.enqueued"], start)
    assert (len(page.entries), page.reset) == (1, False)


async def test_triggers_stand_from_the_first_listener_to_the_first_pruning_after_the_last(
    store: PostgresStore, clock: ManualClock, admin: Any, namespace: str
) -> None:
    assert await standing(admin, namespace) == []
    await store.stream.listen(["job.enqueued"], "me", lease=60)
    await store.stream.listen(["job.failed"], "you", lease=90)
    assert await standing(admin, namespace) == ALL
    await told(store)
    await store.stream.unlisten("you")
    await store.stream.prune(older_than=3600)
    assert await standing(admin, namespace) == ALL
    clock.advance(61)
    await store.stream.prune(older_than=3600)
    assert await standing(admin, namespace) == []
    await store.stream.listen(["job.enqueued"], "me", lease=60)
    await told(store)
    await store.stream.unlisten("me")
    await store.stream.prune(older_than=3600, dry_run=True)
    assert await standing(admin, namespace) == ALL


async def test_who_resumes_after_triggers_were_removed_is_told_of_the_gap(
    store: PostgresStore, clock: ManualClock, admin: Any, namespace: str
) -> None:
    await store.stream.listen(["job.enqueued"], "me", lease=60)
    await told(store)
    position = (await store.stream.read_after(["job.enqueued"], -1)).position
    clock.advance(61)
    await store.stream.prune(older_than=3600)
    assert await standing(admin, namespace) == []
    await store.jobs.enqueue([new()])
    await store.stream.listen(["job.enqueued"], "me", lease=60)
    assert (await store.stream.read_after(["job.enqueued"], position)).reset


async def test_a_listener_waits_for_a_long_transaction_and_lets_everybody_else_pass(
    store: PostgresStore, admin: Any, namespace: str
) -> None:
    await store.jobs.prepare_inside()
    async with transaction() as connection:
        await store.jobs.enqueue_inside(connection, [new()])
        stream = PostgresStream(store._executor, limit=60.0)
        listening = asyncio.create_task(stream.listen(["job.enqueued"], "me", lease=60))
        for _ in range(3):
            await until(in_line(admin, namespace, "ShareRowExclusiveLock"))
            async with asyncio.timeout(30):
                await store.jobs.enqueue([new()])
        assert not listening.done()
        assert not await admin.fetchval(f'SELECT count(*) FROM "{namespace}".stream_listeners')
        await connection.execute("COMMIT")
        await listening
    await told(store)
    assert sum((await store.jobs.count(CountOptions())).values()) == 5


async def test_a_listener_that_is_kept_waiting_is_told_by_what(store: PostgresStore, namespace: str) -> None:
    stream = PostgresStream(store._executor, limit=0.0)
    async with transaction(f'LOCK TABLE "{namespace}".runs IN ROW EXCLUSIVE MODE'):
        with pytest.raises(StoreBusy, match=r"what changes in runs.*pg_stat_activity"):
            await stream.listen(["job.enqueued"], "me", lease=60)
    await stream.listen(["job.enqueued"], "me", lease=60)
    await told(store)


async def test_a_listener_does_not_wait_for_an_autovacuum(namespace: str) -> None:
    server = Server({"autovacuum_naptime": "1s", "fsync": "off"})
    try:
        store = PostgresStore(server.url, namespace=namespace)
        await store.open()
        connection = await asyncpg.connect(server.url)
        await store.jobs.enqueue([new() for _ in range(1000)])
        # so slow that it ends for nobody's patience
        await connection.execute(
            f"""ALTER TABLE "{namespace}".jobs SET (autovacuum_vacuum_threshold = 1, autovacuum_vacuum_scale_factor = 0,
            autovacuum_vacuum_cost_delay = 100, autovacuum_vacuum_cost_limit = 1);
            UPDATE "{namespace}".jobs SET priority = 1"""
        )
        vacuum = "SELECT count(*) FROM pg_stat_progress_vacuum WHERE relid = $1::regclass"
        await until(lambda: connection.fetchval(vacuum, f"{namespace}.jobs"))
        await PostgresStream(store._executor, limit=45.0).listen(["job.enqueued"], "me", lease=600)
        assert await standing(connection, namespace) == ALL
        await connection.close()
        await store.close()
    finally:
        server.close()


async def test_triggers_stay_while_somebody_reads_and_nobody_waits_for_that(
    store: PostgresStore, admin: Any, namespace: str
) -> None:
    await store.stream.listen(["job.enqueued"], "me", lease=60)
    await store.stream.unlisten("me")
    async with transaction(f'SELECT count(*) FROM "{namespace}".jobs'):
        for _ in range(3):
            async with asyncio.timeout(30):
                await store.stream.prune(older_than=3600)
                await store.jobs.enqueue([new()])
        assert {"feed_jobs_added", "feed_jobs_changed"} <= set(await standing(admin, namespace))
    await store.stream.prune(older_than=3600)
    assert await standing(admin, namespace) == []


async def test_many_who_begin_and_end_at_once_are_all_told(namespace: str, admin: Any) -> None:
    stores = [PostgresStore(postgres_url(), namespace=namespace) for _ in range(3)]
    for store in stores:
        await store.open()

    async def comes_and_goes(name: str, store: PostgresStore) -> None:
        for _ in range(8):
            await store.stream.listen(["job.enqueued"], name, lease=600)
            assert await standing(connections[name], namespace) == ALL
            start = (await store.stream.read_after(["job.enqueued"], -1)).position
            (enqueued,) = await store.jobs.enqueue([new()])
            page = await store.stream.read_after(["job.enqueued"], start)
            assert any(entry.id.startswith(enqueued.id) for entry in page.entries)
            assert not page.reset
            await store.stream.unlisten(name)
            await store.stream.prune(older_than=3600)

    connections = {name: await asyncpg.connect(postgres_url()) for name in "abc"}
    try:
        await asyncio.gather(*(comes_and_goes(name, store) for name, store in zip("abc", stores, strict=True)))

        async def quiet() -> bool:
            await stores[0].stream.prune(older_than=3600)
            return await standing(admin, namespace) == []

        await until(quiet)
    finally:
        for connection in connections.values():
            await connection.close()
        for store in stores:
            await store.close()


async def test_two_who_make_the_same_triggers_do_not_fail(store: PostgresStore, admin: Any, namespace: str) -> None:
    make = f"""SELECT "{namespace}".feed_on('jobs')"""
    async with transaction(make) as first:
        second = await asyncpg.connect(postgres_url())
        making = asyncio.create_task(second.fetchval(make))
        while not making.done() and not await in_line(admin, namespace, "ShareRowExclusiveLock")():
            await asyncio.sleep(0.002)
        await first.execute("COMMIT")
        assert await making is False
        assert await second.fetchval(make) is True
        await second.close()


async def test_what_was_cut_short_is_completed(store: PostgresStore, admin: Any, namespace: str) -> None:
    await store.stream.listen(["job.enqueued"], "me", lease=60)
    await admin.execute(f'DROP TRIGGER feed_jobs_added ON "{namespace}".jobs')
    await admin.execute(f'DROP TRIGGER feed_crons_fired ON "{namespace}".cron_ticks')
    await store.stream.listen(["job.enqueued"], "me", lease=60)
    assert await standing(admin, namespace) == ALL
    await told(store)


async def test_nobody_is_noted_as_a_listener_without_triggers(store: PostgresStore, admin: Any, namespace: str) -> None:
    # as processes of the version before do it
    begin = f"""INSERT INTO "{namespace}".stream_listeners VALUES ('job.enqueued', 'me', 9e15)"""
    async with transaction(f'LOCK TABLE "{namespace}".dlq IN ROW EXCLUSIVE MODE'):
        with pytest.raises(asyncpg.LockNotAvailableError):
            await admin.execute(begin)
    assert await standing(admin, namespace) == []
    await admin.execute(begin)
    assert await standing(admin, namespace) == ALL
    await store.jobs.enqueue([new()])
    assert await admin.fetchval(f'SELECT type FROM "{namespace}".stream') == "job.enqueued"


async def test_who_may_make_no_triggers_listens_all_the_same(store: PostgresStore, admin: Any, namespace: str) -> None:
    role = f"{namespace}_user"
    await admin.execute(
        f"""CREATE ROLE "{role}" LOGIN PASSWORD 'secret';
        GRANT USAGE ON SCHEMA "{namespace}" TO "{role}";
        GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA "{namespace}" TO "{role}";
        GRANT USAGE ON ALL SEQUENCES IN SCHEMA "{namespace}" TO "{role}";"""
    )
    parts = urlsplit(postgres_url())
    url = urlunsplit(parts._replace(netloc=f"{role}:secret@{parts.netloc.rpartition('@')[2]}"))
    user = PostgresStore(url, namespace=namespace)
    await user.open()
    try:
        await user.stream.listen(["job.enqueued"], "me", lease=60)
        assert await standing(admin, namespace) == ALL
        await told(user)
        await user.stream.unlisten("me")
        await user.stream.prune(older_than=3600)
        assert await standing(admin, namespace) == []
    finally:
        await user.close()
        await admin.execute(f'DROP OWNED BY "{role}"; DROP ROLE "{role}"')


@pytest.mark.parametrize(("listeners", "stand"), [(0, []), (1, ALL)], ids=["quiet", "heard"])
async def test_a_store_with_permanent_triggers_keeps_them_while_somebody_listens(
    listeners: int, stand: list[str], admin: Any, namespace: str
) -> None:
    scripts = list(migration_scripts(postgres_url(), namespace).values())
    for text in scripts[:3]:
        await admin.execute(text)
    assert await standing(admin, namespace) == ALL
    if listeners:
        await admin.execute(f"""INSERT INTO "{namespace}".stream_listeners VALUES ('job.enqueued', 'me', 9e15)""")
    for text in scripts[3:]:
        await admin.execute(text)
    assert await standing(admin, namespace) == stand


async def test_a_second_listener_waits_for_what_was_open_before_it_as_the_first_does(
    store: PostgresStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dispatch.stores.postgres_stream._PATIENCE", 30.0)
    await store.stream.listen(["job.enqueued"], "me", lease=60)
    connection = await asyncpg.connect(postgres_url())
    try:
        async with connection.transaction():
            await store.jobs.prepare_inside()
            await store.jobs.enqueue_inside(connection, [new()])
            beginning = asyncio.create_task(store.stream.listen(["job.enqueued"], "you", lease=60))
            done, _ = await asyncio.wait({beginning}, timeout=0.2)
            assert not done
            await store.stream.listen(["job.enqueued"], "me", lease=60)  # who only goes on does not wait
        await beginning
    finally:
        await connection.close()
