"""Cancelling jobs and stopping workers: told at once, and nothing lost or counted (I30)."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import pytest

from dispatch.clock import boot_seconds
from dispatch.cluster.model import WorkerState
from dispatch.errors import JobAlreadyComplete, JobCancelled, JobNotCancellable, JobNotFound
from dispatch.ids import JobID
from dispatch.jobs.context import current_job
from dispatch.jobs.model import JobState
from dispatch.registry import Registry
from dispatch.stores.memory import MemoryStore

from .conftest import Start
from .facts import eventually

# cancelling


async def test_a_waiting_job_is_cancelled_at_once(registry: Registry, start: Start) -> None:
    @registry.job
    async def work() -> None: ...

    app = await start()
    handle = await work.options(delay=3600).enqueue()
    assert await handle.cancel() is JobState.CANCELLED
    with pytest.raises(JobCancelled, match=r"was cancelled \(cancelled\)"):
        await handle.result()
    with pytest.raises(JobNotCancellable, match="is cancelled already"):
        await handle.cancel()
    assert app.engine is not None


async def test_a_running_coroutine_is_cancelled_without_waiting_for_a_beat(registry: Registry, start: Start) -> None:
    begun, unwound = asyncio.Event(), asyncio.Event()

    @registry.job
    async def work() -> None:
        begun.set()
        try:
            await asyncio.Event().wait()
        finally:
            assert current_job().cancelled
            unwound.set()

    await start()
    handle = await work.enqueue()
    await begun.wait()
    asked = boot_seconds()
    assert await handle.cancel() is JobState.RUNNING
    with pytest.raises(JobCancelled):
        await handle.result(timeout=5)
    assert boot_seconds() - asked < 1.0
    assert unwound.is_set()
    job = await handle.job()
    assert (job.state, job.reason, job.failures) == (JobState.CANCELLED, "cancelled", 0)


async def test_a_cancel_right_after_other_news_is_seen_as_quickly(registry: Registry, start: Start) -> None:
    begun = asyncio.Event()

    @registry.job
    async def work() -> None:
        begun.set()
        await asyncio.Event().wait()

    @registry.job
    async def noise() -> None: ...

    await start()
    for _ in range(5):
        begun.clear()
        handle = await work.enqueue()
        await begun.wait()
        await noise.enqueue()
        await handle.cancel()
        with pytest.raises(JobCancelled):
            await handle.result(timeout=1)


async def test_a_running_thread_sees_that_it_is_cancelled(registry: Registry, start: Start) -> None:
    begun = threading.Event()

    @registry.job
    def work() -> None:
        begun.set()
        while not current_job().cancelled:
            threading.Event().wait(0.001)
        raise RuntimeError("stopped in the middle")

    await start()
    handle = await work.enqueue()
    await eventually(begun.is_set)
    asked = boot_seconds()
    await handle.cancel()
    with pytest.raises(JobCancelled):
        await handle.result(timeout=5)
    assert boot_seconds() - asked < 1.0


async def test_a_thread_that_finishes_in_spite_of_it_has_completed(registry: Registry, start: Start) -> None:
    begun, go = threading.Event(), threading.Event()

    @registry.job
    def work() -> str:
        begun.set()
        go.wait(10)
        return "done before it looked"

    await start()
    handle = await work.enqueue()
    await eventually(begun.is_set)
    await handle.cancel()
    go.set()
    assert await handle.result(timeout=5) == "done before it looked"
    with pytest.raises(JobAlreadyComplete, match="nothing to cancel"):
        await handle.cancel()


async def test_a_cancelled_job_that_fails_meanwhile_is_not_retried(registry: Registry, start: Start) -> None:
    begun, go = threading.Event(), threading.Event()

    @registry.job(max_retries=5)
    def work() -> None:
        begun.set()
        go.wait(10)
        raise ValueError("failed on its own")

    app = await start()
    handle = await work.enqueue()
    await eventually(begun.is_set)
    await app.store.jobs.cancel(handle.id)
    go.set()
    with pytest.raises(JobCancelled):
        await handle.result(timeout=5)


async def test_what_does_not_exist_cannot_be_cancelled(start: Start) -> None:
    app = await start()
    with pytest.raises(JobNotFound, match="there is no job job_"):
        await app.jobs.cancel(JobID.new())


# stopping


async def test_stopping_waits_for_what_runs(registry: Registry, start: Start) -> None:
    begun, go = asyncio.Event(), asyncio.Event()

    @registry.job
    async def work() -> str:
        begun.set()
        await go.wait()
        return "finished"

    app = await start(store=(store := MemoryStore()))
    handle, waiting = await work.enqueue(), await work.options(delay=0.01).enqueue()
    await begun.wait()
    engine = app.engine
    assert engine is not None
    stopping = asyncio.create_task(app.stop(grace=10))
    worker_id = engine.worker_id
    await eventually(lambda: _state(store, worker_id, WorkerState.DRAINING))
    assert not stopping.done()
    go.set()
    await asyncio.wait_for(stopping, 5)
    assert await handle.result(timeout=1) == "finished"
    assert await waiting.status() in (JobState.PENDING, JobState.COMPLETED)
    worker = await store.cluster.get(worker_id)
    assert worker is not None
    assert worker.state is WorkerState.STOPPED
    assert not engine.running


async def _state(store: MemoryStore, worker_id: Any, state: WorkerState) -> bool:
    worker = await store.cluster.get(worker_id)
    return worker is not None and worker.state is state


async def test_a_stopping_worker_claims_nothing_more(registry: Registry, start: Start) -> None:
    begun, go = asyncio.Event(), asyncio.Event()

    @registry.job
    async def work() -> None:
        begun.set()
        await go.wait()

    app = await start()
    await work.enqueue()
    await begun.wait()
    stopping = asyncio.create_task(app.stop(grace=10))
    await eventually(lambda: app.engine is None)
    late = await work.enqueue()
    go.set()
    await stopping
    assert await late.status() is JobState.PENDING


async def test_i30_what_outlasts_the_grace_is_given_back_uncounted(registry: Registry, start: Start) -> None:
    begun, unwound = asyncio.Event(), asyncio.Event()

    @registry.job
    async def work() -> None:
        begun.set()
        try:
            await asyncio.Event().wait()
        finally:
            unwound.set()

    app = await start()
    handle = await work.enqueue()
    await begun.wait()
    engine = app.engine
    await app.stop(grace=0)
    job = await handle.job()
    assert (job.state, job.failures, job.crashes, job.worker_id) == (JobState.PENDING, 0, 0, None)
    assert unwound.is_set()
    assert await app.jobs.attempts(handle.id) == []
    assert engine is not None
    assert engine.tally.released == 1


async def test_i30_a_thread_that_holds_on_is_given_back_and_its_late_outcome_refused(
    registry: Registry, start: Start
) -> None:
    begun, go, ended = threading.Event(), threading.Event(), threading.Event()
    runs: list[int] = []

    @registry.job
    def work() -> str:
        runs.append(1)
        if len(runs) == 1:
            begun.set()
            go.wait(10)
            ended.set()
            return "too late"
        return "second run"

    app = await start(lease=1, heartbeat_interval=0.2)
    handle = await work.enqueue()
    await eventually(begun.is_set)
    asked = boot_seconds()
    await app.stop(grace=0)
    assert boot_seconds() - asked < 3
    assert await handle.status() is JobState.PENDING
    await app.start()
    assert await handle.result(timeout=5) == "second run"
    go.set()
    await eventually(ended.is_set)
    await asyncio.sleep(0)
    assert await handle.result(timeout=1) == "second run"


async def test_a_second_request_to_stop_skips_the_wait(registry: Registry, start: Start) -> None:
    begun = asyncio.Event()

    @registry.job
    async def work() -> None:
        begun.set()
        await asyncio.Event().wait()

    app = await start()
    handle = await work.enqueue()
    await begun.wait()
    engine, hurry = app.engine, asyncio.Event()
    assert engine is not None
    stopping = asyncio.create_task(engine.stop(60, hurry=hurry))
    await asyncio.sleep(0)
    hurry.set()
    await asyncio.wait_for(stopping, 5)
    assert await handle.status() is JobState.PENDING


async def test_a_released_job_is_taken_by_another_worker_at_once(registry: Registry, start: Start) -> None:
    begun = asyncio.Event()
    runs = 0

    @registry.job
    async def work() -> str:
        nonlocal runs
        runs += 1
        if runs == 1:
            begun.set()
            await asyncio.Event().wait()
        return "elsewhere"

    store = MemoryStore()
    first = await start(store=store)
    handle = await first.enqueue(work)
    await begun.wait()
    await start(store=store.sibling())
    await first.stop(grace=0)
    assert await handle.result(timeout=5) == "elsewhere"
    job = await handle.job()
    assert (job.failures, job.crashes) == (0, 0)


async def test_a_worker_can_be_started_again_after_it_stopped(registry: Registry, start: Start) -> None:
    @registry.job
    async def work() -> int:
        return 1

    app = await start()
    first = app.engine
    await app.stop()
    assert await app.start() is not first
    assert await app.start() is app.engine
    assert await (await work.enqueue()).result(timeout=5) == 1
    await app.stop()
    await app.stop()


async def test_closing_the_app_stops_its_worker_first(registry: Registry, start: Start) -> None:
    done = asyncio.Event()

    @registry.job
    async def work() -> None:
        await asyncio.sleep(0)
        done.set()

    app = await start()
    await work.enqueue()
    await app.close()
    assert app.engine is None
    await app.close()
