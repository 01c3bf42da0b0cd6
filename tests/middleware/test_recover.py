"""A handler cannot end the worker."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from dispatch.errors import HandlerCrashed, Retry
from dispatch.jobs.model import Job
from dispatch.middleware import Recover, chain

MakeJob = Callable[..., Job]


async def run(job: Job, error: BaseException) -> None:
    async def handler(job: Job) -> None:
        raise error

    await chain([Recover()], handler)(job)


@pytest.mark.parametrize(
    "error", [SystemExit(3), KeyboardInterrupt(), GeneratorExit(), type("Odd", (BaseException,), {})()]
)
async def test_what_would_end_the_process_becomes_a_failure(make_job: MakeJob, error: BaseException) -> None:
    with pytest.raises(HandlerCrashed, match=f"mail.send .* raised {type(error).__name__}") as caught:
        await asyncio.create_task(run(make_job(), error))
    assert caught.value.__cause__ is error


@pytest.mark.parametrize("error", [ValueError("x"), RecursionError(), Retry(), asyncio.CancelledError()])
async def test_exceptions_and_cancellation_pass_as_they_are(make_job: MakeJob, error: BaseException) -> None:
    with pytest.raises(type(error)) as caught:
        await run(make_job(), error)
    assert caught.value is error


async def test_a_chain_that_is_closed_unfinished_closes_quietly(make_job: MakeJob) -> None:
    async def handler(job: Job) -> None:
        await asyncio.Event().wait()

    coroutine = Recover()(make_job(), handler)
    step = asyncio.create_task(_first_step(coroutine))
    await step
    coroutine.close()


async def _first_step(coroutine: Any) -> None:
    coroutine.send(None)
