"""An app lives in turns, a stop that is cut off leaves nothing behind, and no loop of a worker dies silently."""

from __future__ import annotations

import asyncio
import logging
import threading
from pathlib import Path

import pytest

from dispatch import current
from dispatch.app import Dispatch
from dispatch.cluster.model import WorkerState
from dispatch.config import Config
from dispatch.engine.run import RunOptions, run_worker
from dispatch.jobs.model import JobState
from dispatch.registry import Registry
from dispatch.stores.memory import MemoryStore

from .conftest import PATIENT, Start
from .facts import eventually


def own_threads() -> int:
    return sum(
        "_connection_worker_thread" in thread.name or thread.name == "dispatch-heartbeat"
        for thread in threading.enumerate()
    )


async def test_opening_and_starting_many_times_at_once_is_once(registry: Registry, tmp_path: Path) -> None:
    before, apps = own_threads(), len(current._open_apps)
    config = Config(**PATIENT, store="memory://")
    app = Dispatch(f"sqlite:///{tmp_path}/jobs.db", registry=registry, config=config)
    await asyncio.gather(*(app.open() for _ in range(4)))
    assert len(current._open_apps) == apps + 1
    engines = await asyncio.gather(*(app.start() for _ in range(3)))
    assert len({id(engine) for engine in engines}) == 1
    await asyncio.gather(app.close(), app.close())
    assert len(current._open_apps) == apps
    await eventually(lambda: own_threads() <= before)


@pytest.mark.parametrize("turns", range(0, 40, 6))
async def test_a_stop_that_is_cancelled_still_gives_back_and_signs_off(
    registry: Registry, tmp_path: Path, turns: int
) -> None:
    before = own_threads()
    begun = asyncio.Event()

    @registry.job
    async def work() -> None:
        begun.set()
        await asyncio.Event().wait()

    config = Config(**PATIENT, store="memory://")
    app = Dispatch(f"sqlite:///{tmp_path}/jobs.db", registry=registry, config=config)
    await app.start()
    handle = await app.enqueue(work)
    await begun.wait()
    stopping = asyncio.create_task(app.stop())
    for _ in range(turns):
        await asyncio.sleep(0)
    stopping.cancel()
    with pytest.raises(asyncio.CancelledError):
        await stopping
    if turns:
        assert (await app.store.jobs.get(handle.id)).state is JobState.PENDING  # type: ignore[union-attr]
        assert [worker.state for worker in await app.store.cluster.list()] == [WorkerState.STOPPED]
    await app.close()
    await eventually(lambda: own_threads() <= before)


async def test_a_handler_that_cancels_every_task_ends_the_embedded_worker_loudly(
    registry: Registry, start: Start, caplog: pytest.LogCaptureFixture
) -> None:
    test = asyncio.current_task()

    @registry.job
    async def work() -> None:
        for task in asyncio.all_tasks() - {test, asyncio.current_task()}:
            task.cancel()

    app = await start()
    first = app.engine
    with caplog.at_level(logging.CRITICAL):
        await work.enqueue()
        await eventually(lambda: first is not None and not first.running)
    assert "has died, stopping" in caplog.text
    await app.stop()
    assert [worker.state for worker in await app.store.cluster.list()] == [WorkerState.STOPPED]
    assert await app.start() is not first


async def test_a_loop_that_somebody_cancels_ends_the_run_with_an_error(registry: Registry) -> None:
    async with Dispatch(MemoryStore(), registry=registry, config=Config(**PATIENT)) as app:
        running = asyncio.create_task(run_worker(app, RunOptions(signals=False)))
        await eventually(lambda: any(task.get_name() == "dispatch stealer" for task in asyncio.all_tasks()))
        (loop,) = [task for task in asyncio.all_tasks() if task.get_name() == "dispatch stealer"]
        await asyncio.sleep(0)
        loop.cancel()
        with pytest.raises(RuntimeError, match="cancelled from outside"):
            await asyncio.wait_for(running, 5)
