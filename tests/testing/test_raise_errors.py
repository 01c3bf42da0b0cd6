"""raise_errors: what a handler raised, raised again in the test."""

from __future__ import annotations

import traceback

import pytest

from dispatch import testing
from dispatch.errors import Fail, HandlerCrashed, JobFailed, Retry, Snooze
from dispatch.ids import JobID
from dispatch.jobs.model import NewJob
from dispatch.registry import Registry
from dispatch.testing import WorkDone


async def test_the_handlers_own_exception_comes_with_its_place(registry: Registry) -> None:
    @registry.job
    async def broken() -> None:
        raise KeyError("here")

    async with testing.app(registry) as app:
        await broken.enqueue()
        with pytest.raises(KeyError, match="here") as caught:
            await app.run_until_idle(raise_errors=True)
    assert "in broken" in "".join(traceback.format_tb(caught.value.__traceback__))
    assert "raised by broken (job_" in caught.value.__notes__[0]
    assert caught.value.__notes__[0].endswith("in attempt 1")


async def test_the_first_of_several_failures_is_raised_and_the_others_counted(registry: Registry) -> None:
    @registry.job
    async def broken(n: int) -> None:
        raise ValueError(n)

    async with testing.app(registry, concurrency=1) as app:
        await broken.enqueue_many([broken.call(n) for n in range(3)])
        with pytest.raises(ValueError, match="0") as caught:
            await app.run_until_idle(raise_errors=True)
    assert "2 more failed after it in the same run" in caught.value.__notes__


async def test_what_a_handler_chose_is_no_failure(registry: Registry) -> None:
    @registry.job
    async def choose(n: int) -> None:
        raise [Retry(delay=9), Snooze(9), Fail("expected")][n]

    async with testing.app(registry) as app:
        await choose.enqueue_many([choose.call(n) for n in range(3)])
        assert await app.run_until_idle(raise_errors=True) == WorkDone(retried=1, snoozed=1, failed=1)


async def test_a_cancelled_job_is_no_failure(registry: Registry) -> None:
    @registry.job
    async def stubborn() -> None:
        from dispatch.jobs.context import current_job

        await app.jobs.cancel(current_job().id)
        raise ValueError("cancelled by now")

    async with testing.app(registry) as app:
        await stubborn.enqueue()
        assert await app.run_until_idle(raise_errors=True) == WorkDone(cancelled=1)


async def test_a_failure_without_an_exception_is_a_job_failed(registry: Registry) -> None:
    @registry.job
    async def add(n: int) -> None: ...

    @registry.job
    async def odd() -> object:
        return object()

    async with testing.app(registry) as app:
        await app.store.jobs.enqueue([NewJob(JobID.new(), "add", b'{"n": "many"}')])
        with pytest.raises(JobFailed, match=r"add .* InvalidArguments: add: n"):
            await app.run_until_idle(raise_errors=True)
        await odd.enqueue()
        with pytest.raises(JobFailed, match="ResultNotStorable"):
            await app.run_until_idle(raise_errors=True)


async def test_even_system_exit_arrives_as_a_failure(registry: Registry) -> None:
    @registry.job
    async def leave() -> None:
        raise SystemExit(3)

    async with testing.app(registry) as app:
        await leave.enqueue()
        with pytest.raises(HandlerCrashed):
            await app.run_until_idle(raise_errors=True)


async def test_failures_of_an_earlier_run_are_not_raised_by_a_later_one(registry: Registry) -> None:
    @registry.job(max_retries=0)
    async def broken() -> None:
        raise ValueError("no")

    async with testing.app(registry) as app:
        await broken.enqueue()
        assert await app.run_until_idle() == WorkDone(failed=1)
        assert await app.run_until_idle(raise_errors=True) == WorkDone()
