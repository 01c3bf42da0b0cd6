"""The job's timeout, told apart from every other TimeoutError and cancellation."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from dispatch.errors import HandlerTimeout
from dispatch.jobs.model import Job
from dispatch.middleware import Timeout, chain
from dispatch.middleware.timeout import timed_out

MakeJob = Callable[..., Job]


async def hangs(job: Job) -> None:
    await asyncio.Event().wait()


async def test_a_handler_that_takes_too_long_fails_with_name_and_seconds(make_job: MakeJob) -> None:
    with pytest.raises(HandlerTimeout, match=r"mail.send \(job_\w+\) took longer than its timeout of 0.01 s") as caught:
        await chain([Timeout()], hangs)(make_job(timeout=0.01))
    assert isinstance(caught.value, TimeoutError)


async def test_the_job_wins_over_the_default(make_job: MakeJob) -> None:
    with pytest.raises(HandlerTimeout, match=r"0\.02 s"):
        await chain([Timeout(3600)], hangs)(make_job(timeout=0.02))
    with pytest.raises(HandlerTimeout, match=r"0\.03 s"):
        await chain([Timeout(0.03)], hangs)(make_job())


async def test_a_timeout_of_the_handlers_own_code_stays_a_plain_one(make_job: MakeJob) -> None:
    async def handler(job: Job) -> None:
        async with asyncio.timeout(0):
            await asyncio.Event().wait()

    with pytest.raises(TimeoutError) as caught:
        await chain([Timeout()], handler)(make_job(timeout=3600))
    assert type(caught.value) is TimeoutError


async def test_cancelling_the_job_is_no_timeout(make_job: MakeJob) -> None:
    inside = asyncio.Event()

    async def handler(job: Job) -> None:
        inside.set()
        await hangs(job)

    task = asyncio.ensure_future(chain([Timeout()], handler)(make_job(timeout=3600)))
    await asyncio.wait_for(inside.wait(), 5)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_the_inside_can_tell_a_timeout_from_a_cancellation(make_job: MakeJob) -> None:
    seen: list[bool] = []

    async def handler(job: Job) -> None:
        seen.append(timed_out())
        try:
            await hangs(job)
        finally:
            seen.append(timed_out())

    with pytest.raises(HandlerTimeout):
        await chain([Timeout(0.01)], handler)(make_job())
    assert seen == [False, True]
    assert not timed_out()


async def test_without_a_timeout_there_is_no_frame_between(make_job: MakeJob) -> None:
    coroutine = Timeout()(make_job(), hangs)
    assert getattr(coroutine, "cr_code", None) is hangs.__code__
    coroutine.close()  # type: ignore[attr-defined]
