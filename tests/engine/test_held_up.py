"""A stop is not held up: not by lifespans that hang, nor by threads that cannot be ended."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from dispatch.app import Dispatch
from dispatch.config import Config
from dispatch.engine.cut_short import cut_short_by
from dispatch.engine.run import RunOptions, run_worker
from dispatch.jobs.model import JobState
from dispatch.registry import Registry
from dispatch.stores.memory import MemoryStore

from .conftest import PATIENT, Start
from .facts import eventually

QUIET = RunOptions(signals=False)


def heartbeats() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "dispatch-heartbeat"]


def unfinished() -> list[asyncio.Task[Any]]:
    return [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]


async def test_a_request_to_stop_ends_a_start_that_hangs_and_leaves_what_was_entered(registry: Registry) -> None:
    life: list[str] = []
    tasks: list[asyncio.Task[Any] | None] = []
    hanging = asyncio.Event()

    @registry.lifespan
    async def first() -> AsyncIterator[int]:
        tasks.append(asyncio.current_task())
        yield 1
        tasks.append(asyncio.current_task())
        life.append("left")

    @registry.lifespan
    async def second() -> AsyncIterator[str]:
        hanging.set()
        await asyncio.Event().wait()
        yield ""

    stop = asyncio.Event()
    async with Dispatch(MemoryStore(), registry=registry, config=Config(**PATIENT)) as app:
        running = asyncio.create_task(run_worker(app, QUIET, stop=stop))
        await hanging.wait()
        stop.set()
        report = await asyncio.wait_for(running, 5)
    assert report.reason == "stopped"
    assert life == ["left"]
    assert tasks[0] is tasks[1]  # a scope that was entered in one task cannot be left in another


async def test_a_second_request_ends_a_lifespan_that_does_not_leave(registry: Registry, start: Start) -> None:
    leaving, hurry = asyncio.Event(), asyncio.Event()

    @registry.lifespan
    async def slow() -> AsyncIterator[int]:
        yield 1
        leaving.set()
        await asyncio.Event().wait()

    app = await start()
    engine, app.engine = app.engine, None
    assert engine is not None
    stopping = asyncio.create_task(engine.stop(0, hurry=hurry))
    await leaving.wait()
    hurry.set()
    await asyncio.wait_for(stopping, 5)


async def test_handlers_that_hold_every_thread_of_the_loop_do_not_hold_up_the_stop(
    registry: Registry, start: Start
) -> None:
    begun, go = threading.Event(), threading.Event()
    asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(1))

    def block() -> None:
        begun.set()
        go.wait(20)

    @registry.job
    async def work() -> None:
        await asyncio.to_thread(block)

    app = await start()
    handle = await work.enqueue()
    try:
        await eventually(begun.is_set)
        await asyncio.wait_for(app.stop(grace=0), 5)
        assert await handle.status() is JobState.PENDING
    finally:
        go.set()


async def test_nobody_waits_for_a_thread_once_the_worker_has_stopped(registry: Registry, start: Start) -> None:
    begun, go = threading.Event(), threading.Event()

    @registry.job
    def work() -> None:
        begun.set()
        go.wait(20)

    app = await start(lease=1, heartbeat_interval=0.2)
    await work.enqueue()
    try:
        await eventually(begun.is_set)
        await app.stop(grace=0)
        await eventually(lambda: not unfinished())  # asyncio.run waits for every task before it ends
    finally:
        go.set()


async def test_a_start_that_is_cancelled_leaves_no_heart_beating(
    registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = len(heartbeats())
    opening = threading.Event()

    class Slow(MemoryStore):
        def sibling(self) -> MemoryStore:
            other = super().sibling()
            really = other.open

            async def open_slowly() -> None:
                opening.set()
                await asyncio.sleep(0.2)
                await really()

            other.open = open_slowly  # type: ignore[method-assign]
            return other

    async with Dispatch(Slow(), registry=registry, config=Config(**PATIENT)) as app:
        starting = asyncio.create_task(app.start())
        await eventually(opening.is_set)
        starting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await starting
        await eventually(lambda: len(heartbeats()) <= before)


async def test_an_await_is_cut_short_only_by_its_event() -> None:
    event = asyncio.Event()
    async with cut_short_by(event):
        pass
    event.set()
    async with cut_short_by(event):
        await asyncio.Event().wait()
    async with cut_short_by(None):
        pass
    with pytest.raises(TimeoutError, match="its own"):
        async with cut_short_by(asyncio.Event()):
            raise TimeoutError("its own")
