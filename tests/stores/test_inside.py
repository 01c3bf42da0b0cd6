"""Jobs inside of the caller's own transaction: there if and only if the commit is, on every kind of connection."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import asyncpg
import psycopg
import pytest
from servers.postgres import new_namespace, postgres_url
from user_connections import (
    ASYNC,
    ASYNC_PG,
    SYNC,
    SYNC_PG,
    Undo,
    async_transaction,
    orders,
    prepare,
    transaction,
)

from dispatch import Dispatch, Limit, Registry
from dispatch.errors import DuplicateJob, InvalidArguments, NotTransactional, StoreError
from dispatch.ids import WorkerID
from dispatch.jobs.model import CountOptions
from dispatch.portal import run_sync
from dispatch.store import Store
from dispatch.stores.memory import MemoryStore
from dispatch.stores.postgres import PostgresStore
from dispatch.stores.sqlite import SQLiteStore

registry = Registry()


@registry.job
async def ship(order: int, *, note: str | None = None) -> None: ...


class Stage:
    """A store beside the user's table."""

    def __init__(self, kind: str, folder: Path) -> None:
        self.postgres = kind in SYNC_PG + ASYNC_PG
        self.file = folder / "app.db"
        self.namespace = new_namespace() if self.postgres else ""

    @property
    def place(self) -> str:
        return postgres_url() if self.postgres else str(self.file)

    def store(self) -> Store:
        if self.postgres:
            return PostgresStore(postgres_url(), namespace=self.namespace, pool_size=2)
        return SQLiteStore(self.file)


async def waiting(app: Dispatch) -> int:
    return sum((await app.store.jobs.count(CountOptions())).values())


@contextmanager
def open_in_background(stage: Stage) -> Iterator[Dispatch]:
    with Dispatch(stage.store(), registry=registry) as app:
        prepare(stage.place)
        yield app


@pytest.mark.parametrize("kind", SYNC + SYNC_PG)
def test_a_job_of_synchronous_code_is_there_if_and_only_if_the_commit_is(kind: str, tmp_path: Path) -> None:
    stage = Stage(kind, tmp_path)
    with open_in_background(stage) as app:
        with pytest.raises(Undo), transaction(kind, stage.place) as connection:
            ship.options(connection=connection).sync.enqueue(1)
            raise Undo
        assert orders(stage.place) == 0
        assert sum(app.sync.jobs.count(CountOptions()).values()) == 0
        with transaction(kind, stage.place) as connection:
            inside = ship.options(connection=connection)
            handle = inside.sync.enqueue(1)
            inside.sync.enqueue_many([ship.call(2), ship.call(3, note="% $1 ü")])
            inside.options(unique="k", idempotency_key="i", timeout=5, tags=["a"]).sync.enqueue(4)
            inside.options(concurrency=Limit(key="c", max=1), keep_result=True).sync.enqueue(5)
            with pytest.raises(DuplicateJob):
                inside.options(unique="k", on_conflict="raise").sync.enqueue(6)
            assert sum(app.sync.jobs.count(CountOptions()).values()) == 0
        assert orders(stage.place) == 1
        assert sum(app.sync.jobs.count(CountOptions()).values()) == 5
        assert app.sync.jobs.get(handle.id).queue == "default"


@pytest.mark.parametrize("kind", ASYNC + ASYNC_PG)
async def test_a_job_of_asynchronous_code_is_there_if_and_only_if_the_commit_is(kind: str, tmp_path: Path) -> None:
    stage = Stage(kind, tmp_path)
    async with Dispatch(stage.store(), registry=registry) as app:
        prepare(stage.place)
        with pytest.raises(Undo):
            async with async_transaction(kind, stage.place) as connection:
                await ship.options(connection=connection).enqueue(1)
                raise Undo
        assert (orders(stage.place), await waiting(app)) == (0, 0)
        async with async_transaction(kind, stage.place) as connection:
            inside = ship.options(connection=connection)
            await inside.enqueue(1)
            await inside.enqueue_many([ship.call(number) for number in range(20)])
            await inside.options(unique="k", idempotency_key="i", timeout=5, tags=["a"]).enqueue(4)
            again = await inside.options(unique="k").enqueue(4)
            assert not again.created
            replaced = await inside.options(unique="k", on_conflict="replace").enqueue(5)
            assert replaced.id == again.id
            await inside.options(concurrency=Limit(key="c", max=1), keep_result=True, timeout=2.5).enqueue(5)
            with pytest.raises(DuplicateJob):
                await inside.options(unique="k", on_conflict="raise").enqueue_many([ship.call(6), ((7,), {})])
            assert await waiting(app) == 0
        assert (orders(stage.place), await waiting(app)) == (1, 23)


@pytest.mark.parametrize("kind", ASYNC + ASYNC_PG)
async def test_an_expired_job_makes_way_with_the_commit(kind: str, tmp_path: Path) -> None:
    stage = Stage(kind, tmp_path)
    async with Dispatch(stage.store(), registry=registry) as app:
        prepare(stage.place)
        old = await ship.options(unique="k", expires_in=0.001).enqueue(1)
        fresh = old
        async with asyncio.timeout(20):
            while not fresh.created or fresh.id == old.id:  # until the store's clock says that it has expired
                with pytest.raises(Undo):
                    async with async_transaction(kind, stage.place) as connection:
                        fresh = await ship.options(unique="k", connection=connection).enqueue(2)
                        raise Undo
        assert (await app.jobs.get(old.id)).state == "pending"
        async with async_transaction(kind, stage.place) as connection:
            fresh = await ship.options(unique="k", connection=connection).enqueue(2)
        assert fresh.created
        assert ((await app.jobs.get(old.id)).reason, await waiting(app)) == ("expired", 2)


@pytest.mark.parametrize("kind", ASYNC + ASYNC_PG)
async def test_what_is_rolled_back_is_not_told(kind: str, tmp_path: Path) -> None:
    stage = Stage(kind, tmp_path)
    async with Dispatch(stage.store(), registry=registry) as app:
        prepare(stage.place)
        feed = app.store.stream
        await feed.listen(["job.enqueued"], "me", lease=60)
        start = (await feed.read_after(["job.enqueued"], -1)).position
        with pytest.raises(Undo):
            async with async_transaction(kind, stage.place) as connection:
                await ship.options(connection=connection).enqueue(1)
                raise Undo
        assert (await feed.read_after(["job.enqueued"], start)).entries == []
        async with async_transaction(kind, stage.place) as connection:
            handle = await ship.options(connection=connection).enqueue(1)
            assert (await feed.read_after(["job.enqueued"], start)).entries == []
        (told,) = (await feed.read_after(["job.enqueued"], start)).entries
        assert told.id.startswith(handle.id)


@pytest.mark.parametrize("kind", ["async-session-sqlite", "asyncpg", "psycopg-async", "async-session-asyncpg"])
async def test_the_app_may_live_on_another_loop(kind: str, tmp_path: Path) -> None:
    stage = Stage(kind, tmp_path)
    app = Dispatch(stage.store(), registry=registry)
    await asyncio.to_thread(app.__enter__)
    try:
        prepare(stage.place)
        async with async_transaction(kind, stage.place) as connection:
            handle = await ship.options(connection=connection).enqueue(1)
        assert (await handle.status()).value == "pending"
    finally:
        await asyncio.to_thread(app.__exit__, None, None, None)


# -- refusals ----------------------------------------------------------------------------------------------------------


@pytest.fixture
async def app(tmp_path: Path) -> AsyncIterator[Dispatch]:
    async with Dispatch(SQLiteStore(tmp_path / "app.db"), registry=registry) as made:
        yield made


@pytest.fixture
async def pg_app() -> AsyncIterator[Dispatch]:
    async with Dispatch(PostgresStore(postgres_url(), namespace=new_namespace()), registry=registry) as made:
        yield made


async def test_a_store_without_a_database_says_so(tmp_path: Path) -> None:
    async with Dispatch(MemoryStore(), registry=registry):
        connection = sqlite3.connect(tmp_path / "app.db")
        with pytest.raises(NotTransactional, match="memory"):
            await ship.options(connection=connection).enqueue(1)
        connection.close()


async def test_another_file_another_kind_and_another_thing_are_refused(app: Dispatch, tmp_path: Path) -> None:
    for name in (":memory:", str(tmp_path / "other.db")):
        other = sqlite3.connect(name)
        with pytest.raises(NotTransactional, match=r"app\.db"):
            await ship.options(connection=other).enqueue(1)
        assert not other.in_transaction
        other.close()
    with pytest.raises(NotTransactional, match=r"builtins\.str"):
        await ship.options(connection="sqlite:///app.db").enqueue(1)
    async with async_transaction_of_nothing() as connection:
        with pytest.raises(NotTransactional, match="asyncpg, but the store is the file"):
            await ship.options(connection=connection).enqueue(1)
    assert await waiting(app) == 0


class async_transaction_of_nothing:
    """A transaction of asyncpg."""

    async def __aenter__(self) -> Any:
        self._connection = await asyncpg.connect(postgres_url())
        self._transaction = self._connection.transaction()
        await self._transaction.start()
        return self._connection

    async def __aexit__(self, *_: object) -> None:
        await self._transaction.rollback()
        await self._connection.close()


async def test_a_connection_that_commits_each_statement_is_refused(app: Dispatch, tmp_path: Path) -> None:
    alone = sqlite3.connect(tmp_path / "app.db", isolation_level=None)
    with pytest.raises(NotTransactional, match="BEGIN"):
        await ship.options(connection=alone).enqueue(1)
    alone.execute("BEGIN")
    await ship.options(connection=alone).enqueue(1)
    assert await waiting(app) == 0
    alone.execute("COMMIT")
    alone.close()
    assert await waiting(app) == 1


async def test_a_server_connection_outside_of_a_transaction_is_refused(pg_app: Dispatch) -> None:
    connection = await asyncpg.connect(postgres_url())
    with pytest.raises(NotTransactional, match="transaction"):
        await ship.options(connection=connection).enqueue(1)
    await connection.close()
    async with await psycopg.AsyncConnection.connect(postgres_url(), autocommit=True) as alone:
        with pytest.raises(NotTransactional, match="transaction"):
            await ship.options(connection=alone).enqueue(1)
        async with alone.transaction():
            await ship.options(connection=alone).enqueue(1)
            assert await waiting(pg_app) == 0
    assert await waiting(pg_app) == 1


async def test_another_database_of_the_same_server_is_refused_and_its_transaction_goes_on(pg_app: Dispatch) -> None:
    other = f"other_{new_namespace()}"
    admin = await asyncpg.connect(postgres_url())
    await admin.execute(f"CREATE DATABASE {other}")
    url = postgres_url().rpartition("/")[0] + f"/{other}"
    twin = PostgresStore(url, namespace=pg_app.store._place.namespace)  # type: ignore[attr-defined]
    connection = await asyncpg.connect(url)
    try:
        for _ in range(2):  # without tables of that name, then with
            async with connection.transaction():
                with pytest.raises(NotTransactional, match="another database"):
                    await ship.options(connection=connection).enqueue(1)
                assert await connection.fetchval("SELECT 1") == 1
            await twin.open()
    finally:
        await twin.close()
        await connection.close()
        await admin.execute(f"DROP DATABASE {other}")
        await admin.close()


def test_a_connection_of_a_loop_is_refused_by_synchronous_code(tmp_path: Path) -> None:
    import aiosqlite

    with Dispatch(SQLiteStore(tmp_path / "app.db"), registry=registry):
        connection = aiosqlite.connect(tmp_path / "app.db")
        with pytest.raises(NotTransactional, match=r"without \.sync"):
            ship.options(connection=connection).sync.enqueue(1)


def test_a_call_keeps_no_connection() -> None:
    with pytest.raises(InvalidArguments, match="enqueue_many"):
        ship.options(connection=object()).call(1)


# -- what happens meanwhile --------------------------------------------------------------------------------------------


def test_with_a_synchronous_connection_the_insert_runs_in_the_callers_thread(tmp_path: Path) -> None:
    seen = []
    with Dispatch(SQLiteStore(tmp_path / "app.db"), registry=registry):
        connection = sqlite3.connect(tmp_path / "app.db")
        connection.set_trace_callback(lambda _: seen.append(threading.get_ident()))
        with connection:
            ship.options(connection=connection).sync.enqueue(1)
        connection.close()
    assert set(seen) == {threading.get_ident()}


@pytest.mark.parametrize("kind", ["session-sqlite", "django-sqlite", "session-psycopg", "django-postgres"])
def test_whoever_waits_hears_of_the_commit(kind: str, tmp_path: Path) -> None:
    stage = Stage(kind, tmp_path)
    with open_in_background(stage) as app:
        before = app.store.wakeups.version
        with transaction(kind, stage.place) as connection:
            for number in range(3):
                ship.options(connection=connection).sync.enqueue(number)
            assert stage.postgres is False or app.store.wakeups.version == before
        assert run_sync(app.loop, lambda: app.store.wakeups.wait(before, 5.0)) > before


async def test_a_cancelled_enqueue_leaves_all_of_it_or_nothing_and_a_sound_connection(pg_app: Dispatch) -> None:
    connection = await asyncpg.connect(postgres_url())
    for turns in range(1, 12):
        async with connection.transaction():
            call = asyncio.ensure_future(ship.options(connection=connection, unique=f"k{turns}").enqueue(turns))
            for _ in range(turns):
                await asyncio.sleep(0)
            call.cancel()
            await asyncio.wait([call])
            assert await connection.fetchval("SELECT 1") == 1
    await connection.close()
    table = pg_app.store._place.schema  # type: ignore[attr-defined]
    connection = await asyncpg.connect(postgres_url())
    jobs = await connection.fetchval(f"SELECT count(*) FROM {table}.jobs")
    assert jobs == await connection.fetchval(f"SELECT count(*) FROM {table}.unique_keys WHERE live = 1")
    await connection.close()


async def test_a_key_taken_in_an_open_transaction_makes_others_wait_and_then_answers_them(pg_app: Dispatch) -> None:
    connection = await asyncpg.connect(postgres_url())
    async with connection.transaction():
        first = await ship.options(connection=connection, unique="k").enqueue(1)
        other = asyncio.ensure_future(ship.options(unique="k").enqueue(2))
        done, _ = await asyncio.wait([other], timeout=0.1)
        assert not done
    second = await other
    assert (second.id, second.created) == (first.id, False)
    await connection.close()


async def test_a_job_inside_a_transaction_counts_under_its_limits_after_the_commit(pg_app: Dispatch) -> None:
    connection = await asyncpg.connect(postgres_url())
    limit = Limit(key="c", max=2)
    async with connection.transaction():
        for number in range(5):
            await ship.options(connection=connection, concurrency=limit).enqueue(number)
    await connection.close()
    claimed = await pg_app.store.jobs.claim(
        WorkerID.new(), queues={"default": 10}, names=["ship"], limit=10, lease=30.0
    )
    assert len(claimed.jobs) == 2


async def test_a_closed_connection_is_told_as_a_store_error(pg_app: Dispatch) -> None:
    connection = await psycopg.AsyncConnection.connect(postgres_url())
    await connection.close()
    with pytest.raises(StoreError):
        await ship.options(connection=connection).enqueue(1)
