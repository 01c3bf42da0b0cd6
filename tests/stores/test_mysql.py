"""What is special about MySQL and MariaDB: values, many at once, transactions of others, sessions, lost servers."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from mysql_calls import WORKER, total, until, work
from servers.mysql import Server, forget, mysql_url
from servers.postgres import free_port, new_namespace
from sqlalchemy import text
from sqlalchemy.engine import make_url
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, create_async_engine

from dispatch import Dispatch, Registry
from dispatch.errors import DataRejected, NotTransactional, StoreCorrupt, StoreError, StoreUnreachable
from dispatch.ids import WorkerID
from dispatch.jobs.model import Idempotency, NewJob, Unique
from dispatch.scope import Scope
from dispatch.store import Store
from dispatch.stores import open_store
from dispatch.stores.sqlalchemy import SQLAlchemyStore
from dispatch.testing.conformance.env import new


@pytest.fixture
def namespace() -> Any:
    name = new_namespace()
    mysql_url()
    yield name
    forget(name)


@pytest.fixture
async def store(namespace: str) -> AsyncIterator[SQLAlchemyStore]:
    made = SQLAlchemyStore(mysql_url(), namespace=namespace)
    await made.open()
    yield made
    await made.close()


@pytest.fixture
async def engine() -> AsyncIterator[AsyncEngine]:
    made = create_async_engine(mysql_url(), pool_size=3, max_overflow=0)
    yield made
    await made.dispose()


# -- what is stored ----------------------------------------------------------------------------------------------------


async def test_names_sort_and_differ_by_byte_spaces_at_the_end_included(store: Store) -> None:
    names = ["a", "A", "a ", "ä"]
    for name in names:
        unique = Unique(name, on_conflict="return")
        assert (await store.jobs.enqueue([new(unique=unique)]))[0].created, name
    assert not (await store.jobs.enqueue([new(unique=Unique("a "))]))[0].created
    assert await total(store) == len(names)


@pytest.mark.parametrize("payload", [b"", b"\0\\'\"%s%(x)s\x1a\n", bytes(range(256)), "𝔘😀".encode()])
async def test_a_payload_comes_back_byte_by_byte(store: Store, payload: bytes) -> None:
    job = new(payload=payload)
    await store.jobs.enqueue([job])
    assert (found := await store.jobs.get(job.id)) is not None
    assert found.payload == payload


async def test_a_value_that_does_not_fit_is_refused_and_nothing_is_written(store: Store) -> None:
    for job in (new(queue="q" * 200), new(unique=Unique("k" * 1000)), new(scope=Scope("a" * 200))):
        with pytest.raises(DataRejected):
            await store.jobs.enqueue([new(), job])
    assert await total(store) == 0
    await store.jobs.enqueue([new()])


async def test_of_ids_that_come_twice_the_first_counts_within_a_call_and_before_it(store: Store) -> None:
    known, fresh = new(), new()
    await store.jobs.enqueue([known])
    answers = await store.jobs.enqueue([fresh, known, fresh])
    assert [answer.created for answer in answers] == [True, False, False]


async def test_an_enqueue_of_many_is_quick_and_whole(store: Store) -> None:
    jobs = [new(payload=b"x" * 5_000) for _ in range(400)]
    assert all(answer.created for answer in await store.jobs.enqueue(jobs))
    assert await work(store, 400) == 400


async def test_state_changes_are_told_while_somebody_listens(store: Store) -> None:
    await store.jobs.enqueue([new()])
    await store.stream.listen(["job.enqueued", "job.started", "job.completed"], "me", lease=60.0)
    end = (await store.stream.read_after(["job.enqueued"], -1)).position
    await store.jobs.enqueue([new(scope=Scope("shop", "one"))])
    assert await work(store, 2) == 2
    page = await store.stream.read_after(["job.enqueued", "job.started", "job.completed"], end)
    assert sorted(entry.type for entry in page.entries) == sorted(
        ["job.enqueued", *["job.started"] * 2, *["job.completed"] * 2]
    )
    assert len({entry.id for entry in page.entries}) == 5
    assert [entry.tenant for entry in page.entries if entry.type == "job.enqueued"] == ["shop/one"]


# -- many at once ------------------------------------------------------------------------------------------------------


async def test_claims_at_once_share_the_jobs_and_take_each_once(store: Store) -> None:
    jobs = [new() for _ in range(200)]
    await store.jobs.enqueue(jobs)
    claims = await asyncio.gather(
        *(
            store.jobs.claim(WorkerID.new(), queues={"default": 100}, names=["work"], limit=20, lease=30.0)
            for _ in range(10)
        )
    )
    taken = [job.id for claim in claims for job in claim.jobs]
    assert len(taken) == len(set(taken))
    while (more := await store.jobs.claim(WORKER, queues={"default": 100}, names=["work"], limit=50, lease=30.0)).jobs:
        taken += [job.id for job in more.jobs]
    assert sorted(taken) == sorted(job.id for job in jobs)


async def test_enqueues_at_once_with_keys_in_any_order_all_go_through(store: Store) -> None:
    def jobs(turn: int) -> list[NewJob]:
        keys = [f"k{number}" for number in range(8)]
        keys = keys[turn % 8 :] + keys[: turn % 8]
        return [
            new(unique=Unique(key), idempotency=Idempotency(key=f"|{key}{turn}", fingerprint="f", ttl=60.0))
            for key in keys
        ]

    answers = await asyncio.gather(*(store.jobs.enqueue(jobs(turn)) for turn in range(12)))
    assert sum(answer.created for call in answers for answer in call) == 8
    assert await total(store) == 8


# -- in the user's own transaction -------------------------------------------------------------------------------------


async def test_a_job_exists_if_and_only_if_the_session_commits(engine: AsyncEngine, namespace: str) -> None:
    registry = Registry()

    @registry.job
    async def ship(order: int) -> None: ...

    async with Dispatch(SQLAlchemyStore(engine=engine, namespace=namespace), registry=registry) as app:
        async with AsyncSession(engine) as session:
            await ship.options(connection=session).enqueue(1)
            await session.rollback()
            assert await total(app.store) == 0
            await ship.options(connection=session).enqueue_many([((2,), {}), ((3,), {})])
            await ship.options(connection=session, unique=True).enqueue(4)
            await ship.options(connection=session, unique=True).enqueue(4)
            assert await total(app.store) == 0
            seen = app.store.wakeups.version
            await session.commit()
        assert await app.store.wakeups.wait(seen, 5.0) > seen
        assert await total(app.store) == 3
        async with engine.connect() as connection:
            await ship.options(connection=connection).enqueue(6)
            await connection.commit()
        assert await total(app.store) == 4


async def test_a_connection_that_commits_by_itself_or_is_to_another_server_is_refused(
    engine: AsyncEngine, namespace: str, store: SQLAlchemyStore
) -> None:
    await store.jobs.prepare_inside()  # type: ignore[attr-defined]
    async with engine.connect() as connection:
        lone = await connection.execution_options(isolation_level="AUTOCOMMIT")
        with pytest.raises(NotTransactional, match="by itself"):
            await store.jobs.enqueue_inside(lone, [new()])  # type: ignore[attr-defined]
    other = Server()
    try:
        stranger = create_async_engine(other.url)
        async with stranger.connect() as connection:
            with pytest.raises(NotTransactional, match="another server"):
                await store.jobs.enqueue_inside(connection, [new()])  # type: ignore[attr-defined]
        await stranger.dispose()
    finally:
        other.close()
    assert await total(store) == 0


# -- sessions and servers ----------------------------------------------------------------------------------------------


async def test_sessions_that_would_change_values_silently_are_refused(namespace: str) -> None:
    lax = create_async_engine(mysql_url(), connect_args={"init_command": "SET SESSION sql_mode = ''"})
    with pytest.raises(StoreCorrupt, match="STRICT_TRANS_TABLES"):
        await SQLAlchemyStore(engine=lax, namespace=namespace).open()
    await lax.dispose()


async def test_a_server_that_is_not_there_a_wrong_password_and_a_missing_database_are_told() -> None:
    url = make_url(mysql_url())
    for wrong, told in (
        (url.set(port=free_port()), "does not answer"),
        (url.set(username="nobody", password="s3cret"), "refuses this user"),
        (url.set(database="not_there"), "CREATE DATABASE"),
    ):
        store = open_store(wrong.render_as_string(hide_password=False))
        with pytest.raises(StoreUnreachable, match=told) as error:
            await store.open()
        assert "s3cret" not in str(error.value)


async def test_a_server_that_dies_and_comes_back_is_used_again_and_what_was_acknowledged_is_there() -> None:
    server = Server(settings=("innodb-flush-log-at-trx-commit=1",))
    try:
        store = open_store(server.url)
        await store.open()
        job = new()
        await store.jobs.enqueue([job])
        server.stop()
        with pytest.raises(StoreError):
            await store.jobs.enqueue([new()])
        server.start()

        async def is_there() -> bool:
            try:
                return await store.jobs.get(job.id) is not None
            except StoreError:
                return False

        await until(is_there)
        assert await work(store, 5) == 1
        await store.close()
    finally:
        server.close()


async def test_calls_cancelled_at_any_moment_leave_a_sound_pool(store: SQLAlchemyStore) -> None:
    jobs = [new() for _ in range(15)]
    for turns, job in enumerate(jobs, 1):
        call = asyncio.ensure_future(store.jobs.enqueue([job]))
        for _ in range(turns):
            await asyncio.sleep(0)
        call.cancel()
        await asyncio.wait([call])
    await until(lambda: store.jobs.get(jobs[-1].id))
    assert (await store.jobs.enqueue([new()]))[0].created


async def test_a_lock_that_somebody_keeps_is_not_waited_for_longer_than_a_call_takes(
    store: SQLAlchemyStore, namespace: str, engine: AsyncEngine
) -> None:
    job = new()
    await store.jobs.enqueue([job])
    async with engine.connect() as connection:
        await connection.execute(text(f"SELECT 1 FROM {namespace}_jobs FOR UPDATE"))
        with pytest.raises(StoreError, match=r"in the way|too long"):
            await store.jobs.cancel(job.id)
        await connection.rollback()
    assert (await store.jobs.cancel(job.id)).reply.value == "applied"
