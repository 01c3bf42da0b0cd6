"""Threads for plain functions: reused, daemonic, with the caller's context."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator

import pytest

from dispatch.engine.threads import ThreadPool
from dispatch.scope import capture, use_scope

from .facts import eventually


@pytest.fixture
def pool() -> Iterator[ThreadPool]:
    made = ThreadPool()
    yield made
    made.close()


async def test_a_function_runs_elsewhere_and_its_value_comes_back(pool: ThreadPool) -> None:
    assert await pool.submit(lambda: threading.current_thread().name) == "dispatch-job-1"
    assert await pool.submit(lambda: threading.current_thread().daemon) is True


async def test_an_idle_thread_is_used_again(pool: ThreadPool) -> None:
    for _ in range(20):
        await pool.submit(lambda: None)
        await eventually(lambda: pool._idle == pool._threads)
    assert pool._threads == 1


async def test_as_many_run_at_once_as_are_asked_for(pool: ThreadPool) -> None:
    together = threading.Barrier(6)
    assert sorted(await asyncio.gather(*(pool.submit(lambda: together.wait(5)) for _ in range(6)))) == list(range(6))


async def test_the_caller_s_context_goes_along(pool: ThreadPool) -> None:
    with use_scope("shop", "t-42"):
        future = pool.submit(capture)
    assert (await future).tenant == "shop/t-42"
    assert not await pool.submit(capture)


@pytest.mark.parametrize(
    ("error", "kind"), [(ValueError("x"), ValueError), (StopIteration(), RuntimeError), (SystemExit(3), SystemExit)]
)
async def test_whatever_is_raised_comes_back(pool: ThreadPool, error: BaseException, kind: type[BaseException]) -> None:
    def fail() -> None:
        raise error

    with pytest.raises(kind):
        await pool.submit(fail)
    assert await pool.submit(lambda: "still there") == "still there"


async def test_an_answer_nobody_waits_for_does_no_harm(pool: ThreadPool) -> None:
    go = threading.Event()
    future = pool.submit(lambda: go.wait(5))
    future.cancel()
    go.set()
    await eventually(lambda: pool._idle == 1)


async def test_closing_lets_idle_threads_end() -> None:
    pool = ThreadPool()
    thread = await pool.submit(threading.current_thread)
    pool.close()
    await asyncio.to_thread(thread.join, 5)
    assert not thread.is_alive()


def test_an_answer_to_a_closed_loop_is_dropped() -> None:
    pool, go = ThreadPool(), threading.Event()
    threads: list[threading.Thread] = []

    def wait() -> None:
        threads.append(threading.current_thread())
        go.wait(5)

    async def leave() -> None:
        pool.submit(wait)
        await eventually(lambda: threads)

    asyncio.run(leave())
    go.set()
    pool.close()
    threads[0].join(5)
    assert not threads[0].is_alive()
