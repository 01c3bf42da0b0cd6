"""The background loop: synchronous callers, other loops, and no deadlock."""

from __future__ import annotations

import asyncio
import threading

import pytest

from dispatch.errors import SyncInAsync
from dispatch.portal import Portal, bridge, refuse_in_loop, run_on, run_sync


@pytest.fixture
def portal() -> Portal:
    return Portal()


async def where() -> tuple[asyncio.AbstractEventLoop, str]:
    return asyncio.get_running_loop(), threading.current_thread().name


def test_one_loop_in_one_daemon_thread_serves_everybody(portal: Portal) -> None:
    loop, thread = run_sync(portal.loop, where)
    assert loop is portal.loop
    assert thread == "dispatch-portal"
    assert [run_sync(portal.loop, where)[0] for _ in range(3)] == [loop] * 3
    portal.close()


def test_many_threads_get_the_same_loop(portal: Portal) -> None:
    start = threading.Barrier(8)
    seen: list[asyncio.AbstractEventLoop] = []

    def ask() -> None:
        start.wait(5)
        seen.append(portal.loop)

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(5)
    assert len(set(seen)) == 1
    assert len(seen) == 8
    portal.close()


def test_an_error_reaches_the_caller(portal: Portal) -> None:
    async def fail() -> None:
        raise LookupError("nobody")

    with pytest.raises(LookupError, match="nobody"):
        run_sync(portal.loop, fail)
    portal.close()


def test_closing_runs_the_closers_on_the_loop_and_is_repeatable(portal: Portal) -> None:
    closed: list[asyncio.AbstractEventLoop] = []

    async def closer() -> None:
        closed.append(asyncio.get_running_loop())

    loop = portal.loop
    portal.at_exit(closer)
    portal.close()
    portal.close()
    assert closed == [loop]
    assert loop.is_closed()


def test_a_closer_that_fails_does_not_keep_the_loop_alive(portal: Portal) -> None:
    async def closer() -> None:
        raise RuntimeError("no")

    loop = portal.loop
    portal.at_exit(closer)
    with pytest.raises(RuntimeError, match="no"):
        portal.close()
    assert loop.is_closed()


def test_a_closed_or_forgotten_portal_starts_anew(portal: Portal) -> None:
    first = portal.loop
    portal.close()
    second = portal.loop
    assert second is not first
    portal.forget()
    third = portal.loop
    assert third is not second
    portal.close()
    second.call_soon_threadsafe(second.stop)


async def test_sync_on_a_running_loop_is_refused_instead_of_blocking_it(portal: Portal) -> None:
    with pytest.raises(SyncInAsync, match=r"await the verb without \.sync"):
        run_sync(portal.loop, where)
    with pytest.raises(SyncInAsync):
        refuse_in_loop()
    await asyncio.to_thread(refuse_in_loop)
    await asyncio.to_thread(portal.close)


async def test_a_bridge_leads_to_another_loop_and_back(portal: Portal) -> None:
    here = asyncio.get_running_loop()
    assert (await bridge(here, where))[0] is here
    assert (await bridge(portal.loop, where))[0] is portal.loop
    assert asyncio.get_running_loop() is here
    await asyncio.to_thread(portal.close)


async def test_a_cancelled_bridge_cancels_what_it_led_to(portal: Portal) -> None:
    begun, ended = threading.Event(), threading.Event()

    async def hang() -> None:
        begun.set()
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    task = asyncio.create_task(bridge(portal.loop, hang))
    assert await asyncio.to_thread(begun.wait, 5)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert await asyncio.to_thread(ended.wait, 5)
    await asyncio.to_thread(portal.close)


def test_a_future_tells_when_it_is_done(portal: Portal) -> None:
    assert run_on(portal.loop, where).result(5)[0] is portal.loop
    portal.close()
