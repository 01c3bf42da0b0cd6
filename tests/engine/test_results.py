"""Payloads and results: what fits, what is kept, and waiting for it."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from dispatch.backoff import Constant
from dispatch.clock import ManualClock
from dispatch.errors import (
    JobCancelled,
    JobExpired,
    JobFailed,
    JobPurged,
    ResultNotKept,
    WaitRefused,
    WaitTimeout,
)
from dispatch.ids import JobID
from dispatch.jobs.handle import JobHandle
from dispatch.jobs.model import JobState, NewJob
from dispatch.registry import Registry
from dispatch.stores.memory import MemoryStore

from .conftest import Start

AT_ONCE = Constant(0)


@pytest.mark.parametrize("payload", [b"", b"{", b"[1]", b'{"n":"many"}', b'{"m":1}', b"\xff\xfe\x00"])
async def test_a_payload_that_no_longer_fits_goes_to_the_dead_letters_as_it_is(
    registry: Registry, start: Start, payload: bytes
) -> None:
    starts = 0

    @registry.job(max_retries=5)
    async def work(n: int) -> None:
        nonlocal starts
        starts += 1

    app = await start()
    job_id = JobID.new()
    await app.store.jobs.enqueue([NewJob(job_id, "work", payload)])
    job = await app.jobs.wait(job_id, timeout=5)
    assert (job.state, job.reason, job.payload) == (JobState.FAILED, "invalid_payload", payload)
    (entry,) = (await app.dlq.list()).items
    assert (entry.payload, entry.reason) == (payload, "invalid_payload")
    assert entry.error is not None
    assert entry.error.message.startswith("work: ")
    assert starts == 0


@pytest.mark.parametrize("value", [object(), float("nan"), {"deep": [float("inf")]}, "x" * 2000, b"\xff" * 2000])
async def test_work_whose_result_cannot_be_kept_is_done_once(registry: Registry, start: Start, value: Any) -> None:
    starts = 0

    @registry.job(max_retries=5)
    async def work() -> Any:
        nonlocal starts
        starts += 1
        return value

    app = await start(limits={"result": 1000})
    with pytest.raises(JobFailed, match="ResultNotStorable"):
        await (await app.enqueue(work)).result(timeout=5)
    assert starts == 1
    assert (await app.dlq.list()).items[0].reason == "result_not_storable"


async def test_a_result_is_kept_unless_told_otherwise(registry: Registry, start: Start) -> None:
    @registry.job(keep_result=False)
    async def work() -> int:
        return 7

    app = await start()
    with pytest.raises(ResultNotKept):
        await (await app.enqueue(work)).result(timeout=5)
    assert await (await work.options(keep_result=True).enqueue()).result(timeout=5) == 7


async def test_waiting_has_an_end_and_the_job_goes_on(registry: Registry, start: Start) -> None:
    go = asyncio.Event()

    @registry.job
    async def work() -> str:
        await go.wait()
        return "late"

    app = await start()
    handle = await app.enqueue(work)
    with pytest.raises(WaitTimeout, match=r"is still (pending|running) after 0.02 s; it goes on"):
        await handle.result(timeout="20ms")
    go.set()
    assert await handle.result(timeout=5) == "late"


async def test_waiting_for_what_is_gone_says_so(registry: Registry, start: Start) -> None:
    app = await start()
    gone: JobHandle[Any] = JobHandle(JobID.new(), app=app, created=True)
    with pytest.raises(JobPurged, match="retention or an operator removed it"):
        await gone.result(timeout=5)


async def test_a_handler_may_not_wait_for_another_job(registry: Registry, start: Start) -> None:
    @registry.job
    async def other() -> int:
        return 1

    @registry.job(max_retries=0)
    async def waits() -> int:
        return await (await other.enqueue()).result()

    @registry.job(max_retries=0)
    def waits_in_a_thread() -> int:
        return other.sync.enqueue().result()

    app = await start()
    for work in (waits, waits_in_a_thread):
        with pytest.raises(JobFailed, match=r"WaitRefused.*enqueue the follow-up") as caught:
            await (await app.enqueue(work)).result(timeout=5)
        assert caught.value.type == WaitRefused.__name__


async def test_an_expired_job_is_not_started(registry: Registry, start: Start, clock: ManualClock) -> None:
    starts = 0

    @registry.job
    async def work() -> None:
        nonlocal starts
        starts += 1

    app = await start(store=MemoryStore(clock=clock))
    await app.stop()
    handle = await work.options(expires_in=60).enqueue()
    clock.advance(61)
    await app.start()
    with pytest.raises(JobExpired, match="was not started within its expires_in"):
        await handle.result(timeout=5)
    assert (await handle.job()).reason == "expired"
    assert starts == 0
    with pytest.raises(JobCancelled):
        await handle.result()
