"""Bounds how long one attempt may take."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from contextvars import ContextVar
from typing import Any

from dispatch.errors import HandlerTimeout
from dispatch.jobs.handler import Next
from dispatch.jobs.model import Job

_limit: ContextVar[asyncio.Timeout | None] = ContextVar("dispatch_timeout", default=None)


def timed_out() -> bool:
    """Whether the CancelledError that passes through here comes from the job's timeout."""
    limit = _limit.get()
    return limit is not None and limit.expired()


class Timeout:
    """Cancels the handler after `job.timeout` seconds (`default` where the job has none; None = no bound).

    The attempt then fails with `HandlerTimeout`. A TimeoutError that the handler's own code raised passes unchanged. A
    handler that swallows the cancellation and returns in spite of it has returned: its result counts.
    """

    def __init__(self, default: float | None = None) -> None:
        self._default = default

    def __call__(self, job: Job, call_next: Next, /) -> Awaitable[Any]:
        seconds = self._default if job.timeout is None else job.timeout
        if seconds is None:
            return call_next(job)
        return self._bounded(job, call_next, seconds)

    async def _bounded(self, job: Job, call_next: Next, seconds: float) -> Any:
        limit = asyncio.timeout(seconds)
        token = _limit.set(limit)
        try:
            async with limit:
                return await call_next(job)
        except TimeoutError as error:
            if not limit.expired():
                raise
            raise HandlerTimeout(
                f"{job.name} ({job.id}) took longer than its timeout of {seconds:g} s; "
                "give it a longer `timeout` or less to do at once"
            ) from error
        finally:
            _limit.reset(token)
