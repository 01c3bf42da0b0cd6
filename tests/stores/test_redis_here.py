"""An enqueue into Redis from synchronous code runs in the caller's own thread, on a connection of its own."""

from __future__ import annotations

import asyncio
import multiprocessing
import signal
import threading
from collections.abc import AsyncIterator
from typing import Any

import pytest
from servers.postgres import new_namespace
from servers.redis import RedisServer, forget, redis_url

from dispatch import Dispatch
from dispatch.errors import DataRejected, DuplicateJob, StoreTimeout, StoreUnreachable
from dispatch.ids import JobID
from dispatch.jobs.model import CountOptions, JobState, NewJob, Unique
from dispatch.registry import Registry
from dispatch.scope import Scope
from dispatch.stores.redis import RedisStore

DEADLINE = 10.0


def new(**fields: Any) -> NewJob:
    return NewJob(**{"id": JobID.new(), "name": "note", "payload": b'{"text":"a"}', **fields})


@pytest.fixture
async def store() -> AsyncIterator[RedisStore]:
    made = RedisStore(redis_url(), namespace=new_namespace())
    await made.open()
    yield made
    await made.close()
    forget(made.namespace)


async def pending(store: RedisStore) -> int:
    return (await store.jobs.count(CountOptions()))[JobState.PENDING]


async def test_it_needs_no_event_loop(store: RedisStore, registry: Registry) -> None:
    @registry.job
    async def note(text: str) -> str:
        return text

    async with Dispatch(store, registry=Registry()) as app:
        made: list[Any] = []
        thread = threading.Thread(target=lambda: made.append(app.sync.enqueue(note, "the loop does nothing")))
        thread.start()
        thread.join(DEADLINE)  # this very thread, and the loop with it, does nothing else
        assert made[0].created
        assert (await app.job(made[0].id)).payload == b'{"text":"the loop does nothing"}'


async def test_it_wakes_who_waits_in_the_same_process(store: RedisStore) -> None:
    seen = store.wakeups.version
    waiting = asyncio.create_task(store.wakeups.wait(seen, DEADLINE))
    while not waiting.done():
        await asyncio.to_thread(store.jobs.enqueue_here, [new()])
        await asyncio.wait([waiting], timeout=0.05)
    assert await waiting > seen


async def test_it_knows_every_option_and_says_what_is_refused(store: RedisStore) -> None:
    (answer,) = store.jobs.enqueue_here([new(unique=Unique("k"), scope=Scope("app", "org"))]) or []
    job = await store.jobs.get(answer.id)
    assert job is not None
    assert (job.unique_key, job.scope) == ("k", Scope("app", "org"))
    with pytest.raises(DuplicateJob, match=str(job.id)):
        store.jobs.enqueue_here([new(unique=Unique("k", on_conflict="raise"))])
    with pytest.raises(DataRejected, match="nothing was written"):
        store.jobs.enqueue_here([new(queue="\ud800")])
    assert store.jobs.enqueue_here([]) == []
    assert store.jobs.enqueue_here([new() for _ in range(201)]) is None
    assert await pending(store) == 1


async def test_threads_have_a_connection_each(store: RedisStore) -> None:
    def on_a_thread() -> None:
        for _ in range(20):
            assert store.jobs.enqueue_here([new()])

    await asyncio.gather(*(asyncio.to_thread(on_a_thread) for _ in range(4)), store.jobs.enqueue([new()]))
    assert await pending(store) == 81


async def test_a_closed_store_leaves_it_to_the_loop_which_says_so(store: RedisStore) -> None:
    assert store.jobs.enqueue_here([new()])
    await store.close()
    assert store.jobs.enqueue_here([new()]) is None


async def test_a_server_that_was_away_or_forgot_its_scripts_is_used_again() -> None:
    server = RedisServer("--appendonly", "yes", "--appendfsync", "always")
    store = RedisStore(server.url)
    try:
        await store.open()
        assert store.jobs.enqueue_here([new()])
        server.admin.script_flush()
        assert store.jobs.enqueue_here([new()])
        server.stop(signal.SIGKILL)
        with pytest.raises(StoreUnreachable, match="Is it running"):
            store.jobs.enqueue_here([new()])
        server.start()
        assert store.jobs.enqueue_here([new()])
        assert await pending(store) == 3
    finally:
        await store.close()
        server.close()


async def test_a_server_that_says_nothing_is_told_in_bounded_time() -> None:
    server = RedisServer()
    store = RedisStore(server.url, timeout=0.3)
    try:
        await store.open()
        assert store.jobs.enqueue_here([new()])
        server.pause()
        with pytest.raises(StoreTimeout, match="may or may not"):
            store.jobs.enqueue_here([new()])
    finally:
        server.resume()
        await store.close()
        server.close()


async def test_a_fork_takes_none_of_its_parents_connections(store: RedisStore) -> None:
    assert store.jobs.enqueue_here([new()])

    def child() -> None:
        assert store.jobs.enqueue_here([new()])

    forked = multiprocessing.get_context("fork").Process(target=child)
    forked.start()
    assert store.jobs.enqueue_here([new()])
    await asyncio.to_thread(forked.join, DEADLINE)
    assert forked.exitcode == 0
    assert await pending(store) == 3
