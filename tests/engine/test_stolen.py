"""Jobs whose worker is gone: stolen, given up, and run alone once they are under suspicion."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from dispatch.ids import JobID, WorkerID
from dispatch.jobs.model import JobState, NewJob
from dispatch.registry import Registry
from dispatch.stores.memory import MemoryStore

from .conftest import QUICK, Start
from .endless import Endless, worker_of
from .facts import eventually


async def test_a_lapsed_job_is_stolen_and_run_elsewhere(
    registry: Registry, start: Start, caplog: pytest.LogCaptureFixture
) -> None:
    job = Endless(registry)
    job.go.set()
    store = MemoryStore()
    await store.open()
    job_id = JobID.new()
    await store.jobs.enqueue([NewJob(job_id, "endless", b"{}")])
    await store.jobs.claim(WorkerID.new(), queues={"default": 1}, names=["endless"], limit=1, lease=0.01)
    app = await start(store=store.sibling(), **QUICK)
    ended = await app.jobs.wait(job_id, timeout=10)
    assert (ended.state, ended.crashes, ended.failures) == (JobState.COMPLETED, 1, 0)
    history = await app.jobs.attempts(job_id)
    assert [attempt.kind for attempt in history] == ["crashed"]
    assert app.engine is not None
    assert app.engine.tally.stolen == 1
    told = [(vars(record)["event"], vars(record)["job_id"]) for record in caplog.records if hasattr(record, "event")]
    assert told == [("job_stolen", job_id)]


async def test_a_job_that_keeps_losing_workers_becomes_a_dead_letter(registry: Registry, start: Start) -> None:
    job = Endless(registry)
    store = MemoryStore()
    await store.open()
    job_id = JobID.new()
    await store.jobs.enqueue([NewJob(job_id, "endless", b"{}")])
    app = await start(store=store.sibling(), **{**QUICK, "max_crashes": 0})
    await app.stop()
    await store.jobs.claim(WorkerID.new(), queues={"default": 1}, names=["endless"], limit=1, lease=0.01)
    await app.start()
    ended = await app.jobs.wait(job_id, timeout=10)
    assert (ended.state, ended.reason) == (JobState.FAILED, "worker_lost")
    assert (await app.dlq.list()).items[0].crashes == 1
    assert job.begun == 0


async def crashed_twice(store: MemoryStore, name: str) -> JobID:
    job_id = JobID.new()
    await store.jobs.enqueue([NewJob(job_id, name, b"{}")])
    for crash in range(2):
        claimed = await store.jobs.claim(
            WorkerID.new(), queues={"default": 5}, names=[name], limit=5, lease=0.001, alone=True
        )
        assert [row.crashes for row in claimed.jobs] == [crash]
        await eventually(lambda: _stolen(store))
    return job_id


async def _stolen(store: MemoryStore) -> Any:
    return await store.jobs.steal(limit=5, max_crashes=3, delays=[0.0])


async def test_a_job_that_lost_two_workers_runs_alone(registry: Registry, start: Start) -> None:
    beside: list[int] = []
    worker: list[Any] = []

    @registry.job
    async def suspect() -> str:
        for _ in range(20):
            beside.append(worker[0].executing if worker else 1)
            await asyncio.sleep(0)
        return "innocent"

    @registry.job
    async def other() -> None:
        await asyncio.sleep(0)

    store = MemoryStore()
    await store.open()
    job_id = await crashed_twice(store, "suspect")
    app = await start(store=store.sibling())
    worker.append(worker_of(app))
    handles = await other.enqueue_many([((), {})] * 30)
    assert (await app.jobs.wait(job_id, timeout=5)).state is JobState.COMPLETED
    for handle in handles:
        await handle.result(timeout=5)
    assert set(beside) == {1}


async def test_a_busy_worker_drains_for_a_job_that_must_run_alone(registry: Registry, start: Start) -> None:
    ran: list[str] = []

    @registry.job
    async def suspect() -> None:
        ran.append(f"suspect beside {worker_of(app).executing - 1}")

    @registry.job
    async def stream(n: int) -> None:
        ran.append("stream")
        await asyncio.sleep(0.01)
        await stream.enqueue(n + 1)

    store = MemoryStore()
    await store.open()
    app = await start(store=store.sibling(), **{**QUICK, "lease": 5, "heartbeat_interval": 0.05, "concurrency": 4})
    for n in range(4):
        await stream.enqueue(n)
    await eventually(lambda: len(ran) > 4)
    job_id = await crashed_twice(store, "suspect")
    ended = await app.jobs.wait(job_id, timeout=10)
    assert ended.state is JobState.COMPLETED
    assert "suspect beside 0" in ran
    before = len(ran)
    await eventually(lambda: len(ran) > before + 8)
    assert (await store.queues.get("dispatch.quarantine")).slots == []


async def test_jobs_that_must_run_alone_take_turns_with_the_others(registry: Registry, start: Start) -> None:
    ran: list[str] = []

    @registry.job
    async def suspect() -> None:
        ran.append("suspect")

    @registry.job
    async def other() -> None:
        ran.append("other")

    store = MemoryStore()
    await store.open()
    suspects = [JobID.new() for _ in range(3)]
    await store.jobs.enqueue([NewJob(job_id, "suspect", b"{}") for job_id in suspects])
    for _ in range(2):
        await store.jobs.claim(WorkerID.new(), queues={"default": 3}, names=["suspect"], limit=3, lease=0.001)
        await eventually(lambda: _stolen(store))
    others = [JobID.new() for _ in range(3)]
    await store.jobs.enqueue([NewJob(job_id, "other", b"{}") for job_id in others])
    app = await start(store=store.sibling(), concurrency=1)
    for job_id in (*suspects, *others):
        assert (await app.jobs.wait(job_id, timeout=5)).state is JobState.COMPLETED
    assert ran == ["suspect", "other"] * 3
