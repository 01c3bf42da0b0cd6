"""Watching a job to its end, and the status of everything."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from dispatch.app import Dispatch
from dispatch.cluster.model import NewWorker, Worker, WorkerState
from dispatch.config import Config
from dispatch.errors import JobNotFound, WaitTimeout
from dispatch.ids import JobID, WorkerID
from dispatch.jobs.model import Job, NewJob, Transition, Verdict
from dispatch.queues import QueueConfig, QueueInfo
from dispatch.registry import Registry
from dispatch.services import read_status
from dispatch.services.status import status_of
from dispatch.stores.memory import MemoryStore

NOW = datetime(2026, 5, 1, tzinfo=UTC)
WORKER = WorkerID.new()


@pytest.fixture
async def app(registry: Registry) -> AsyncIterator[Dispatch]:
    config = Config(store="memory://", auto_open=False)
    async with Dispatch(MemoryStore(), registry=registry, config=config) as opened:
        yield opened


async def enqueued(app: Dispatch) -> JobID:
    job_id = JobID.new()
    await app.store.jobs.enqueue([NewJob(job_id, "work", b"{}")])
    return job_id


async def test_a_watch_tells_each_change_once_and_ends_with_the_job(app: Dispatch) -> None:
    job_id = await enqueued(app)
    seen: list[Job] = []

    async def until(fits: Callable[[Job], bool]) -> Job:
        async with asyncio.timeout(10):
            while not fits(job := await anext(states)):
                seen.append(job)
        seen.append(job)
        return job

    states = app.jobs.watch(job_id)
    await until(lambda job: job.state == "pending")
    (claimed,) = (await app.store.jobs.claim(WORKER, queues={"default": 1}, names=["work"], limit=1, lease=60.0)).jobs
    await until(lambda job: job.state == "running" and job.worker_id == WORKER)
    await app.store.jobs.progress(WORKER, [(job_id, claimed.epoch, 0.5, "half")])
    assert (await until(lambda job: job.progress == 0.5)).progress_note == "half"
    await app.store.jobs.finish(WORKER, [Transition(job_id, claimed.epoch, Verdict.COMPLETE)])
    await until(lambda job: job.state == "completed")
    with pytest.raises(StopAsyncIteration):
        await anext(states)
    assert [str(job.state) for job in seen] == ["pending", "running", "running", "completed"]


async def test_a_watch_of_a_job_that_has_ended_is_that_one_line(app: Dispatch) -> None:
    job_id = await enqueued(app)
    await app.jobs.cancel(job_id)
    assert [str(job.state) async for job in app.jobs.watch(job_id)] == ["cancelled"]


async def test_a_watch_gives_up_after_its_timeout_and_knows_when_there_is_no_job(app: Dispatch) -> None:
    job_id = await enqueued(app)
    with pytest.raises(WaitTimeout, match=r"is still pending after 0\.02 s"):
        async for _ in app.jobs.watch(job_id, timeout=0.02):
            pass
    with pytest.raises(JobNotFound):
        await anext(app.jobs.watch(JobID.new()))


def worker(**facts: Any) -> Worker:
    made = Worker(
        WorkerID.new(), NOW, NOW, "host", 1, WorkerState.ACTIVE, ("default",), ("work",), 4, last_seen=NOW, lease=30.0
    )
    return replace(made, **facts)


def test_the_status_knows_who_serves_what_and_who_left_lately() -> None:
    stopped, dead = WorkerState.STOPPED, WorkerState.DEAD
    workers = [
        worker(queues=("default", "idle")),
        worker(drain_requested=True),
        worker(state=stopped, last_seen=NOW - timedelta(minutes=59)),
        worker(state=dead, last_seen=NOW - timedelta(minutes=59)),
        worker(state=dead, last_seen=NOW - timedelta(minutes=61)),
    ]
    queues = [QueueInfo(QueueConfig(name), pending=count) for name, count in (("default", 3), ("lonely", 2), ("x", 0))]
    found = status_of(queues, workers, [], now=NOW)
    assert dict(found.served_by) == {"default": 2, "idle": 1, "lonely": 0, "x": 0}
    assert [info.config.name for info in found.queues] == ["default", "idle", "lonely", "x"]
    assert [info.config.name for info in found.unserved] == ["lonely"]
    assert (len(found.live), found.draining, found.stopped_lately, found.dead_letters) == (2, 1, 2, 0)


async def test_the_status_is_read_from_the_store(app: Dispatch) -> None:
    await enqueued(app)
    await app.store.cluster.register(NewWorker(WORKER, "host", 1, ("mail",), ("work",), 4, 30.0))
    found = await read_status(app.store, now=NOW)
    assert [(info.config.name, info.pending) for info in found.queues] == [("default", 1), ("mail", 0)]
    assert [info.config.name for info in found.unserved] == ["default"]
