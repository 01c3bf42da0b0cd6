"""Timeouts of coroutines, threads and subprocesses."""

from __future__ import annotations

import asyncio
import threading
from pathlib import Path

import pytest

from dispatch.backoff import Constant
from dispatch.clock import boot_seconds
from dispatch.errors import (
    JobFailed,
)
from dispatch.jobs.context import current_job
from dispatch.jobs.model import JobState
from dispatch.registry import Registry

from .conftest import Start
from .facts import enqueued, eventually

AT_ONCE = Constant(0)


async def test_a_timeouts_traceback_is_the_users_place_alone(registry: Registry, start: Start) -> None:
    @registry.job(timeout=0.01, max_retries=0)
    async def endless() -> None:
        await asyncio.Event().wait()

    app = await start()
    job = await app.jobs.wait((await app.enqueue(endless)).id, timeout=5)
    (attempt,) = await app.jobs.attempts(job.id)
    assert attempt.failure.type == "HandlerTimeout"
    assert attempt.failure.traceback is not None
    assert attempt.failure.traceback.count("Traceback") == 1
    assert "in endless" in attempt.failure.traceback
    assert "dispatch/middleware" not in attempt.failure.traceback


async def test_a_coroutine_that_overruns_is_cancelled(registry: Registry, start: Start) -> None:
    unwound = asyncio.Event()

    @registry.job(timeout=0.02, max_retries=0)
    async def work() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            unwound.set()

    app = await start()
    with pytest.raises(JobFailed, match=r"HandlerTimeout: work .* took longer than its timeout of 0.02 s"):
        await (await app.enqueue(work)).result(timeout=5)
    assert unwound.is_set()


async def test_a_thread_that_overruns_is_told_and_keeps_its_slot_until_it_ends(
    registry: Registry, start: Start
) -> None:
    go, told = threading.Event(), threading.Event()

    @registry.job(timeout=0.02, max_retries=0)
    def work() -> str:
        while not current_job().cancelled:
            threading.Event().wait(0.001)
        told.set()
        go.wait(10)
        return "too late"

    @registry.job
    async def next_one() -> str:
        return "ran"

    app = await start(concurrency=1)
    handle, following = await app.enqueue(work), await app.enqueue(next_one)
    await eventually(told.is_set)
    assert (await handle.status(), await following.status()) == (JobState.RUNNING, JobState.PENDING)
    go.set()
    with pytest.raises(JobFailed, match="HandlerTimeout"):
        await handle.result(timeout=5)
    assert await following.result(timeout=5) == "ran"


async def test_a_timeout_of_the_handler_s_own_is_an_ordinary_failure(registry: Registry, start: Start) -> None:
    @registry.job(timeout=30, max_retries=0)
    async def work() -> None:
        raise TimeoutError("the mail server took too long")

    app = await start()
    with pytest.raises(JobFailed, match="failed: TimeoutError: the mail server took too long"):
        await (await app.enqueue(work)).result(timeout=5)


async def test_a_timed_out_attempt_counts_and_is_repeated(registry: Registry, start: Start) -> None:
    @registry.job(timeout=0.02, max_retries=1, backoff=AT_ONCE)
    async def work() -> int:
        if current_job().attempt == 1:
            await asyncio.Event().wait()
        return current_job().attempt

    app = await start()
    assert await (await app.enqueue(work)).result(timeout=5) == 2


@pytest.mark.slow
async def test_a_subprocess_runs_jobs_and_is_killed_when_it_overruns(start: Start, tmp_path: Path) -> None:
    from . import process_jobs

    app = await start(app={"registry": process_jobs.registry}, max_retries=0)
    assert await (await app.enqueue(process_jobs.add, 2, 3)).result(timeout=20) == 5
    handle = await enqueued(app, process_jobs.hang.options(timeout=0.5).enqueue(str(tmp_path / "begun")))
    asked = boot_seconds()
    with pytest.raises(JobFailed, match="HandlerTimeout"):
        await handle.result(timeout=20)
    assert boot_seconds() - asked < 10
    assert await (await app.enqueue(process_jobs.add, 4, 5)).result(timeout=20) == 9
