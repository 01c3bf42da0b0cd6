"""What is special about the SQLAlchemy store: the engine, yours or its own, and company on the same data."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from servers.postgres import free_port, new_namespace, postgres_url
from sqlalchemy import event, text
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, create_async_engine
from sqlalchemy.pool import NullPool

from dispatch import Dispatch, Registry
from dispatch.errors import ConfigError, DataRejected, SchemaMismatch, StoreTimeout, StoreUnreachable
from dispatch.ids import WorkerID
from dispatch.jobs.model import CountOptions, Transition, Verdict
from dispatch.stores import kind, open_store
from dispatch.stores.postgres import PostgresStore
from dispatch.stores.scratch import scratch
from dispatch.stores.scripts import migration_scripts
from dispatch.stores.sqlalchemy import SQLAlchemyStore
from dispatch.stores.sqlite import SQLiteStore
from dispatch.testing.conformance.env import new

WORKER = WorkerID.new()


def sqlalchemy_url() -> str:
    return postgres_url().replace("postgresql://", "postgresql+asyncpg://")


@pytest.fixture
def namespace() -> str:
    return new_namespace()


@pytest.fixture
async def engine() -> AsyncIterator[AsyncEngine]:
    made = create_async_engine(sqlalchemy_url(), pool_size=2, max_overflow=0)
    yield made
    await made.dispose()


async def work(store: Any, n: int = 1) -> int:
    """Claims and completes up to n jobs."""
    answer = await store.jobs.claim(WORKER, queues={"default": 100}, names=["work"], limit=n, lease=30.0)
    said = [Transition(job.id, job.epoch, Verdict.COMPLETE) for job in answer.jobs]
    await store.jobs.finish(WORKER, said)
    return len(said)


async def until(condition: Callable[[], Awaitable[Any]], within: float = 20.0) -> None:
    async with asyncio.timeout(within):
        while not await condition():
            await asyncio.sleep(0.01)


async def all_given_back(engine: AsyncEngine) -> bool:
    return engine.sync_engine.pool.checkedout() == 0  # type: ignore[attr-defined,no-any-return]


# -- the same data as the other stores ---------------------------------------------------------------------------------


async def test_a_file_is_shared_with_the_sqlite_store(tmp_path: Path) -> None:
    file = tmp_path / "jobs.db"
    plain, other = SQLiteStore(file), open_store(f"sqlalchemy+sqlite+aiosqlite:///{file}")
    await plain.open()
    await other.open()
    seen = other.wakeups.version
    await plain.jobs.enqueue([new()])
    assert await other.wakeups.wait(seen, 5.0) > seen
    assert await work(other) == 1
    await other.jobs.enqueue([new()])
    assert await work(plain) == 1
    await other.close()
    await plain.close()


async def test_a_schema_is_shared_with_the_postgresql_store(namespace: str) -> None:
    plain = PostgresStore(postgres_url(), namespace=namespace)
    other = SQLAlchemyStore(f"sqlalchemy+{sqlalchemy_url()}", namespace=namespace)
    await asyncio.gather(plain.open(), other.open())
    try:
        await plain.jobs.enqueue([new()])
        assert await work(other) == 1
        seen = plain.wakeups.version
        waiting = asyncio.ensure_future(plain.wakeups.wait(seen, 20.0))
        await other.jobs.enqueue([new()])
        assert await waiting > seen
        assert await work(plain) == 1
    finally:
        await other.close()
        await plain.close()


# -- somebody's engine -------------------------------------------------------------------------------------------------


async def test_on_postgresql_the_engines_connections_are_used_and_given_back(
    engine: AsyncEngine, namespace: str
) -> None:
    made = []
    event.listen(engine.sync_engine, "connect", lambda *_: made.append(1))
    store = SQLAlchemyStore(engine=engine, namespace=namespace)
    await store.open()
    for _ in range(5):
        await store.jobs.enqueue([new()])
        async with AsyncSession(engine) as session:
            assert (await session.execute(text("SELECT 1"))).scalar_one() == 1
    assert await work(store, 5) == 5
    await until(lambda: all_given_back(engine))
    assert 1 <= len(made) <= 2
    await store.close()
    async with engine.connect() as connection:
        assert (await connection.execute(text("SELECT 1"))).scalar_one() == 1


async def test_on_sqlite_two_of_the_engines_connections_are_kept_and_none_comes_back_changed(tmp_path: Path) -> None:
    engine = create_async_engine(f"sqlite+aiosqlite:///{tmp_path / 'jobs.db'}", pool_size=3, max_overflow=0)
    store = SQLAlchemyStore(engine=engine)
    for _ in range(2):
        await store.open()
        await store.jobs.enqueue([new()])
        assert engine.sync_engine.pool.checkedout() == 2  # type: ignore[attr-defined]
        await store.close()
        assert engine.sync_engine.pool.checkedout() == 0  # type: ignore[attr-defined]
    async with engine.begin() as connection:
        await connection.execute(text("CREATE TABLE mine (id INTEGER)"))
        assert (await connection.execute(text("PRAGMA query_only"))).scalar_one() == 0
    await engine.dispose()


async def test_the_users_session_carries_jobs_into_the_store_on_its_engine(engine: AsyncEngine, namespace: str) -> None:
    registry = Registry()

    @registry.job
    async def ship(order: int) -> None: ...

    async with Dispatch(SQLAlchemyStore(engine=engine, namespace=namespace), registry=registry) as app:
        async with AsyncSession(engine) as session:
            await ship.options(connection=session).enqueue(1)
            await session.rollback()
            await ship.options(connection=session).enqueue(2)
            seen = app.store.wakeups.version
            await session.commit()
        assert await app.store.wakeups.wait(seen, 5.0) > seen
        assert sum((await app.store.jobs.count(CountOptions())).values()) == 1


async def test_the_twin_for_the_heartbeat_has_connections_of_its_own_made_in_the_same_way(
    engine: AsyncEngine, namespace: str
) -> None:
    store = SQLAlchemyStore(engine=engine, namespace=namespace)
    await store.open()
    twin = store.sibling()

    def beat() -> None:
        async def on_its_own_loop() -> None:
            await twin.open()
            await twin.ping()
            await twin.close()

        asyncio.run(on_its_own_loop())

    await asyncio.to_thread(beat)
    await store.ping()
    await store.close()


async def test_an_engine_without_a_pool_will_do(namespace: str) -> None:
    engine = create_async_engine(sqlalchemy_url(), poolclass=NullPool)
    store = SQLAlchemyStore(engine=engine, namespace=namespace)
    await store.open()
    await store.jobs.enqueue([new()])
    assert await work(store) == 1
    await store.close()


# -- trouble -----------------------------------------------------------------------------------------------------------


async def test_a_call_that_takes_too_long_is_told_and_its_connection_is_not_used_again(
    engine: AsyncEngine, namespace: str
) -> None:
    store = SQLAlchemyStore(engine=engine, namespace=namespace, command_timeout=0.5)
    await store.open()
    admin = await asyncpg.connect(postgres_url())
    async with admin.transaction():
        await admin.execute(f'LOCK TABLE "{namespace}".jobs')
        with pytest.raises(StoreTimeout):
            await store.jobs.enqueue([new()])
    await store.jobs.enqueue([new()])
    assert await work(store, 5) == 1
    await admin.close()
    await store.close()


async def test_a_cancelled_enqueue_goes_on_to_its_end_and_leaves_a_sound_pool(
    engine: AsyncEngine, namespace: str
) -> None:
    store = SQLAlchemyStore(engine=engine, namespace=namespace)
    await store.open()
    jobs = [new() for _ in range(10)]
    for turns, job in enumerate(jobs, 1):
        call = asyncio.ensure_future(store.jobs.enqueue([job]))
        for _ in range(turns):
            await asyncio.sleep(0)
        call.cancel()
        await asyncio.wait([call])
    await until(lambda: store.jobs.get(jobs[-1].id))
    await until(lambda: all_given_back(engine))
    await store.close()


async def test_cut_connections_are_replaced(engine: AsyncEngine, namespace: str) -> None:
    store = SQLAlchemyStore(engine=engine, namespace=namespace)
    await store.open()
    admin = await asyncpg.connect(postgres_url())
    pids = set()
    async with store._store._executor._connection() as raw:  # type: ignore[attr-defined,union-attr]
        pids.add(raw.get_server_pid())
    for pid in pids:
        await admin.execute("SELECT pg_terminate_backend($1)", pid)

    async def works() -> bool:
        try:
            await store.jobs.enqueue([new()])
        except StoreUnreachable:
            return False
        return True

    await until(works)
    await admin.close()
    await store.close()


async def test_a_refused_value_leaves_a_sound_connection(engine: AsyncEngine, namespace: str) -> None:
    store = SQLAlchemyStore(engine=engine, namespace=namespace)
    await store.open()
    for _ in range(3):
        with pytest.raises(DataRejected):
            await store.jobs.enqueue([new(queue="\0")])
    assert (await store.jobs.enqueue([new()]))[0].created
    await store.close()


async def test_a_server_that_is_not_there_is_told(namespace: str) -> None:
    store = open_store(f"sqlalchemy+postgresql+asyncpg://me:secret@127.0.0.1:{free_port()}/x", namespace=namespace)
    with pytest.raises(StoreUnreachable) as told:
        await store.open()
    assert "secret" not in str(told.value)


async def test_never_creates_nothing(namespace: str) -> None:
    store = open_store(f"sqlalchemy+{sqlalchemy_url()}", namespace=namespace, migrate="never")
    await store.open()
    with pytest.raises(SchemaMismatch):
        await store.jobs.enqueue([new()])
    assert await store.migrate()
    await store.jobs.enqueue([new()])
    await store.close()


# -- places ------------------------------------------------------------------------------------------------------------


def test_what_makes_no_store_is_a_configuration_error() -> None:
    with pytest.raises(ConfigError, match="one of the two"):
        SQLAlchemyStore()
    with pytest.raises(ConfigError, match="no file"):
        SQLAlchemyStore("sqlalchemy+sqlite+aiosqlite:///:memory:")
    with pytest.raises(ConfigError, match=r"sqlite\+aiosqlite"):
        SQLAlchemyStore("sqlalchemy+postgresql+psycopg://localhost/x")
    with pytest.raises(ConfigError, match="sqlalchemy"):
        open_store("sqlalchemy+postgresql://localhost/x")
    with pytest.raises(ConfigError, match="speed"):
        open_store("sqlalchemy+postgresql+asyncpg://localhost/x", speed="high")
    engine = create_async_engine("postgresql+asyncpg://localhost/x")
    with pytest.raises(ConfigError, match="pool_size"):
        SQLAlchemyStore(engine=engine, pool_size=3)


def test_the_url_is_shown_without_its_password() -> None:
    store = open_store("sqlalchemy+postgresql+asyncpg://me:secret@localhost/jobs")
    assert store.url == "sqlalchemy+postgresql+asyncpg://me:***@localhost/jobs"
    assert kind("sqlalchemy+postgresql+asyncpg://x/y") == kind("postgres://x/y") == "postgresql"
    assert kind("sqlalchemy+sqlite+aiosqlite:///x") == "sqlite"


async def test_scratch_stores_and_scripts_are_those_of_what_is_beneath(tmp_path: Path) -> None:
    for url in (f"sqlalchemy+sqlite+aiosqlite:///{tmp_path}/jobs.db", f"sqlalchemy+{sqlalchemy_url()}"):
        assert migration_scripts(url)
        async with scratch(url) as make:
            for _ in range(2):
                store = await make(None)
                await store.open()
                assert isinstance(store, SQLAlchemyStore)
                await store.jobs.enqueue([new()])
                await store.close()
