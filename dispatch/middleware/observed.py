"""Tracing and Metrics around the same attempt, in one coroutine."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

from dispatch.jobs.handler import Middleware, Next
from dispatch.jobs.model import Job
from dispatch.middleware.metrics import Metrics
from dispatch.middleware.tracing import Tracing


class Observed:
    """What Tracing around Metrics does; each coroutine more that a job goes through takes time of every job."""

    def __init__(self, tracing: Tracing, metrics: Metrics) -> None:
        self._tracing = tracing
        self._metrics = metrics

    async def __call__(self, job: Job, call_next: Next, /) -> Any:
        tracing, metrics = self._tracing, self._metrics
        begun = tracing.begin(job)
        try:
            gauges = metrics.begin(job)
            start = time.perf_counter()
            try:
                result = await call_next(job)
            except BaseException as error:
                metrics.end(gauges, time.perf_counter() - start, metrics.failed(job, error))
                raise
            metrics.end(gauges, time.perf_counter() - start, gauges.completed)
            return result
        except BaseException as error:
            tracing.failed(begun, error)
            raise
        finally:
            tracing.end(begun)


def joined(middlewares: Sequence[Middleware]) -> list[Middleware]:
    """The same members, a Tracing that has a Metrics next to it as one with it."""
    found: list[Middleware] = []
    for member in middlewares:
        if type(member) is Metrics and found and type(found[-1]) is Tracing:
            found[-1] = Observed(found[-1], member)
        else:
            found.append(member)
    return found
