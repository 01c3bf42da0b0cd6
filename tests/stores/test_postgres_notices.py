"""How those who listen on PostgreSQL learn of an enqueue: by its own commit, or by a notice that is sent after it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import asyncpg
import pytest
from servers.postgres import new_namespace, postgres_url

from dispatch.errors import StoreError
from dispatch.stores import postgres_wakeups
from dispatch.stores.postgres import PostgresStore
from dispatch.stores.postgres_url import Place, place
from dispatch.testing.conformance.env import new

_BLOCKED = "SELECT count(*) FROM pg_stat_activity WHERE pg_backend_pid() = ANY (pg_blocking_pids(pid))"


class Heard:
    """What a connection that listens has heard, and which notices the store has sent apart from its writes."""

    def __init__(self, store: PostgresStore, where: Place) -> None:
        self.store = store
        self.channel = where.channel
        self.schema = where.schema
        self.apart = 0
        self._news: asyncio.Queue[object] = asyncio.Queue()
        self._send: Any = store.wakeups._notify
        store.wakeups._notify = self._count

    async def _count(self) -> None:
        self.apart += 1
        await self._send()

    def hear(self, _connection: object, _pid: int, _channel: str, payload: object) -> None:
        self._news.put_nowait(payload)

    async def one(self) -> None:
        async with asyncio.timeout(30.0):
            await self._news.get()


@pytest.fixture
async def heard() -> AsyncIterator[Heard]:
    namespace = new_namespace()
    store = PostgresStore(postgres_url(), namespace=namespace)
    await store.open()
    listener = await asyncpg.connect(postgres_url())
    found = Heard(store, place(postgres_url(), namespace))
    await listener.add_listener(found.channel, found.hear)
    yield found
    await listener.close()
    await store.close()


@pytest.fixture
def still(monkeypatch: pytest.MonkeyPatch) -> None:
    """No time passes between two writes."""
    monkeypatch.setattr(postgres_wakeups, "boot_seconds", lambda: 0.0)


async def test_the_first_enqueue_is_told_by_its_own_commit(heard: Heard) -> None:
    await heard.store.jobs.enqueue([new()])
    await heard.one()
    assert heard.apart == 0


@pytest.mark.usefixtures("still")
async def test_the_next_one_within_a_few_milliseconds_is_told_by_a_notice_of_its_own(heard: Heard) -> None:
    await heard.store.jobs.enqueue([new()])
    await heard.one()
    await heard.store.jobs.enqueue([new()])
    await heard.one()
    assert heard.apart == 1


@pytest.mark.usefixtures("still")
async def test_while_another_commit_brings_a_notice_an_enqueue_does_not_wait_for_it(heard: Heard) -> None:
    other = await asyncpg.connect(postgres_url())
    try:
        async with other.transaction():
            await other.execute("SELECT pg_advisory_xact_lock(1146310468, hashtext($1))", heard.channel)
            (answer,) = await heard.store.jobs.enqueue([new()])
            await heard.one()
    finally:
        await other.close()
    assert answer.created
    assert heard.apart == 1


async def test_a_caller_who_leaves_during_the_write_takes_no_notice_with_him(heard: Heard) -> None:
    blocker = await asyncpg.connect(postgres_url())
    try:
        async with blocker.transaction():
            await blocker.execute(f"LOCK TABLE {heard.schema}.jobs")
            before = heard.store.wakeups.version
            call = asyncio.create_task(heard.store.jobs.enqueue([new()]))
            async with asyncio.timeout(30.0):
                while not await blocker.fetchval(_BLOCKED):
                    await asyncio.sleep(0.01)
            call.cancel()
            await asyncio.wait([call])
        await heard.one()
        async with asyncio.timeout(30.0):
            while heard.store.wakeups.version == before:
                await asyncio.sleep(0.01)
    finally:
        await blocker.close()


@pytest.mark.parametrize("apart", [False, True])
async def test_who_writes_is_not_woken_again_by_the_notice_of_that(heard: Heard, still: None, apart: bool) -> None:
    wakeups = heard.store.wakeups
    if apart:  # the turn is taken: the next one's notice follows it
        await heard.store.jobs.enqueue([new()])
        await heard.one()
    before = await wakeups.wait(wakeups.version, 30.0)  # it listens now
    await heard.store.jobs.enqueue([new()])
    await heard.one()
    assert wakeups.version == before + 1
    other = await asyncpg.connect(postgres_url())
    await other.execute("SELECT pg_notify($1, '')", heard.channel)  # heard after that one
    await other.close()
    async with asyncio.timeout(30.0):
        while wakeups.version == before + 1:
            await asyncio.sleep(0.01)
    assert wakeups.version == before + 2


async def test_two_stores_of_one_process_hear_of_each_other(heard: Heard) -> None:
    sibling = heard.store.sibling()
    await sibling.open()
    try:
        assert sibling.wakeups.sender != heard.store.wakeups.sender
        before = await heard.store.wakeups.wait(heard.store.wakeups.version, 30.0)
        await sibling.jobs.enqueue([new()])
        assert await heard.store.wakeups.wait(before, 30.0) > before
    finally:
        await sibling.close()


async def test_an_enqueue_whose_reply_is_lost_is_told_of_all_the_same(heard: Heard) -> None:
    store = heard.store
    before = store.wakeups.version
    blocker = await asyncpg.connect(postgres_url())
    try:
        async with blocker.transaction():
            await blocker.execute(f"LOCK TABLE {heard.schema}.jobs")
            call = asyncio.create_task(store.jobs.enqueue([new()]))
            async with asyncio.timeout(30.0):
                while not await blocker.fetchval(_BLOCKED):
                    await asyncio.sleep(0.01)
            (connection,) = store._executor._pool._taken  # type: ignore[union-attr]
            connection.terminate()
            with pytest.raises(StoreError):
                await call
        assert store.wakeups.version > before
        await heard.one()
    finally:
        await blocker.close()


async def test_who_is_told_hears_of_a_change_at_once_and_no_more_once_that_is_ended(heard: Heard) -> None:
    wakeups = heard.store.wakeups
    told: list[int] = []
    hush = wakeups.tell(lambda: told.append(wakeups.version))
    await heard.store.jobs.enqueue([new()])
    assert told == [wakeups.version], "of its own"
    before = await wakeups.wait(wakeups.version, 30.0)  # it listens now
    other = await asyncpg.connect(postgres_url())
    await other.execute("SELECT pg_notify($1, '')", heard.channel)
    await other.close()
    async with asyncio.timeout(30.0):
        while told[-1] <= before:
            await asyncio.sleep(0.01)
    hush()
    heard_so_far = len(told)
    await heard.store.jobs.enqueue([new()])
    assert len(told) == heard_so_far
