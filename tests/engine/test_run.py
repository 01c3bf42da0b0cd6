"""Running a worker until something ends it."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from dispatch.app import Dispatch
from dispatch.backoff import Constant
from dispatch.config import Config
from dispatch.engine.run import RunOptions, WorkerReady, resident_bytes, run_worker
from dispatch.errors import StoreBusy
from dispatch.hookspecs import hookimpl
from dispatch.jobs.model import Job, JobState
from dispatch.queues import QueueConfig
from dispatch.registry import Registry
from dispatch.stores.memory import MemoryStore

from .conftest import PATIENT, QUICK
from .facts import eventually

BURST = RunOptions(burst=True, signals=False)


@pytest.fixture
async def app(registry: Registry) -> AsyncIterator[Dispatch]:
    async with Dispatch(MemoryStore(), registry=registry, config=Config(**PATIENT)) as opened:
        yield opened


async def bounded(running: Any, seconds: float = 10) -> Any:
    return await asyncio.wait_for(running, seconds)


async def test_a_burst_runs_all_there_is_and_ends(registry: Registry, app: Dispatch) -> None:
    @registry.job
    async def work(n: int) -> int:
        if n < 5:
            await work.enqueue(n + 100)
        return n

    handles = await work.enqueue_many([((n,), {}) for n in range(30)])
    report = await bounded(run_worker(app, BURST))
    assert (report.completed, report.failed, report.reason) == (35, 0, "burst")
    assert [await handle.status() for handle in handles] == [JobState.COMPLETED] * 30


async def test_a_burst_outlives_a_store_that_is_busy_for_a_moment(
    registry: Registry, app: Dispatch, monkeypatch: pytest.MonkeyPatch
) -> None:
    @registry.job
    async def work() -> None: ...

    really = app.store.queues.get
    looks: list[str] = []

    async def busy_at_first(queue: str) -> Any:
        looks.append(queue)
        if len(looks) == 1:
            raise StoreBusy("another process holds the gate")
        return await really(queue)

    monkeypatch.setattr(app.store.queues, "get", busy_at_first)
    await work.enqueue()
    report = await bounded(run_worker(app, BURST))
    assert (report.completed, report.reason) == (1, "burst")
    assert len(looks) > 1


async def test_a_burst_over_nothing_ends_at_once(app: Dispatch) -> None:
    assert (await bounded(run_worker(app, BURST))).reason == "burst"


async def test_a_burst_waits_for_near_retries_and_leaves_far_ones(registry: Registry, app: Dispatch) -> None:
    near, far = 0, 0

    @registry.job(backoff=Constant(0.05), max_retries=2)
    async def soon() -> None:
        nonlocal near
        near += 1
        if near < 3:
            raise ValueError

    @registry.job(backoff=Constant(3600))
    async def much_later() -> None:
        nonlocal far
        far += 1
        raise ValueError

    await soon.enqueue()
    handle = await much_later.enqueue()
    report = await bounded(run_worker(app, BURST))
    assert (near, far, report.completed, report.retried) == (3, 1, 1, 3)
    assert await handle.status() is JobState.RETRYING


async def test_a_burst_does_not_wait_for_what_is_scheduled_paused_or_unknown(registry: Registry, app: Dispatch) -> None:
    @registry.job
    async def work() -> None: ...

    @registry.job(queue="held")
    async def held() -> None: ...

    await work.options(delay=30).enqueue()
    await app.queues.pause("held")
    await held.enqueue()
    await app.jobs.enqueue_named("mystery")
    assert (await bounded(run_worker(app, BURST))).completed == 0


async def test_a_burst_waits_for_what_another_worker_still_runs(registry: Registry, app: Dispatch) -> None:
    begun, go = asyncio.Event(), asyncio.Event()

    @registry.job
    async def work() -> None:
        begun.set()
        await go.wait()

    await app.start()
    await work.enqueue()
    await begun.wait()
    running = asyncio.create_task(run_worker(app, BURST))
    await eventually(lambda: _idle_workers(app, 2))
    await asyncio.wait([running], timeout=0.15)
    assert not running.done()
    go.set()
    assert (await bounded(running)).reason == "burst"


async def _idle_workers(app: Dispatch, count: int) -> bool:
    return len(await app.workers.list(live=True)) == count


async def test_a_worker_ends_after_as_many_jobs_as_it_was_told(registry: Registry, app: Dispatch) -> None:
    @registry.job
    async def work() -> None: ...

    await work.enqueue_many([((), {})] * 20)
    report = await bounded(run_worker(app, RunOptions(max_jobs=5, concurrency=2, signals=False)))
    assert report.reason == "max_jobs"
    assert report.completed == 5


async def test_a_worker_ends_when_it_has_grown_too_large(app: Dispatch) -> None:
    assert resident_bytes() > 1_000_000
    assert (await bounded(run_worker(app, RunOptions(max_memory=1, signals=False)))).reason == "max_memory"


async def test_a_worker_ends_when_asked_to_drain(registry: Registry) -> None:
    async with Dispatch(MemoryStore(), registry=registry, config=Config(**QUICK)) as app:
        ready: list[WorkerReady] = []
        running = asyncio.create_task(run_worker(app, RunOptions(signals=False, on_ready=ready.append)))
        await eventually(lambda: ready)
        await app.workers.drain(ready[0].engine.worker_id)
        assert (await bounded(running)).reason == "drain"


async def test_a_worker_ends_when_its_event_is_set(app: Dispatch) -> None:
    stop = asyncio.Event()
    running = asyncio.create_task(run_worker(app, RunOptions(signals=False), stop=stop))
    await eventually(lambda: _idle_workers(app, 1))
    stop.set()
    assert (await bounded(running)).reason == "stopped"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_a_signal_stops_gracefully_and_a_second_one_at_once(
    registry: Registry, app: Dispatch, number: signal.Signals
) -> None:
    begun = asyncio.Event()

    @registry.job
    async def work() -> None:
        begun.set()
        await asyncio.Event().wait()

    handle = await work.enqueue()
    before = signal.getsignal(number)
    running = asyncio.create_task(run_worker(app, RunOptions(grace=60)))
    await begun.wait()
    os.kill(os.getpid(), number)
    await asyncio.wait([running], timeout=0.1)
    assert not running.done()
    os.kill(os.getpid(), number)
    report = await bounded(running, 5)
    assert report.reason == "signal"
    assert await handle.status() is JobState.PENDING
    assert signal.getsignal(number) in (before, signal.default_int_handler, signal.SIG_DFL)


async def test_a_worker_serves_the_queues_it_was_given(registry: Registry, app: Dispatch) -> None:
    @registry.job(queue="a")
    async def in_a() -> None: ...

    @registry.job(queue="b")
    async def in_b() -> None: ...

    done, left = await in_a.enqueue(), await in_b.enqueue()
    await bounded(run_worker(app, RunOptions(queues={"a": 0}, burst=True, signals=False)))
    assert (await done.status(), await left.status()) == (JobState.COMPLETED, JobState.PENDING)


async def test_a_loop_that_dies_ends_the_worker_with_its_error(
    registry: Registry, app: Dispatch, monkeypatch: pytest.MonkeyPatch
) -> None:
    from dispatch.engine.sweeper import Sweeper

    class Fatal(BaseException):
        pass

    async def die(self: Any) -> None:
        raise Fatal("gone")

    monkeypatch.setattr(Sweeper, "run_once", die)
    with pytest.raises(Fatal):
        await bounded(run_worker(app, RunOptions(signals=False)))


async def test_a_worker_is_named_and_labelled(registry: Registry, app: Dispatch) -> None:
    ready: list[WorkerReady] = []
    options = RunOptions(name="blue", labels={"zone": "eu"}, burst=True, signals=False, on_ready=ready.append)
    await bounded(run_worker(app, options))
    worker = await app.workers.get(ready[0].engine.worker_id)
    assert worker.labels == {"zone": "eu", "name": "blue"}


async def test_app_run_imports_its_targets_and_serves_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from dispatch.registry import default_registry

    jobs = dict(default_registry.jobs)
    (tmp_path / "run_target_x.py").write_text("from dispatch import job\n@job(queue='rt')\nasync def target_x(): ...\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    try:
        config = Config(**PATIENT, queue={"rt": {"max_concurrency": 3}})
        async with Dispatch(MemoryStore(), config=config) as app:
            running = app.run("run_target_x", options=BURST)
            assert (await bounded(running)).reason == "burst"
            assert (await app.store.cluster.definition("target_x")) is not None
            assert (await app.queues.get("rt")).config.max_concurrency == 3
    finally:
        default_registry.jobs.clear()
        default_registry.jobs.update(jobs)


async def test_a_burst_waits_for_jobs_that_a_rate_holds_up(registry: Registry, app: Dispatch) -> None:
    @registry.job
    async def slow_lane() -> None: ...

    await app.queues.configure(QueueConfig("default", rate_limit=20.0, rate_burst=1))
    await slow_lane.enqueue_many([((), {})] * 4)
    report = await bounded(run_worker(app, BURST))
    assert (report.completed, report.reason) == (4, "burst")


async def test_hooks_of_a_death_name_the_last_attempt(registry: Registry, app: Dispatch) -> None:
    told: list[int] = []

    class Hears:
        @hookimpl
        def job_failed(self, job: Job) -> None:
            told.append(job.attempt)

    @registry.job(max_retries=2, backoff=Constant(0))
    async def hopeless() -> None:
        raise ValueError("no")

    app.plugins.register(Hears())
    handle = await app.enqueue(hopeless)
    await bounded(run_worker(app, BURST))
    assert told == [3]
    assert (await app.jobs.get(handle.id)).attempt == 3
