"""How long attempts take and how long jobs waited for them."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any

from dispatch import telemetry
from dispatch.errors import Snooze
from dispatch.jobs.handler import Next
from dispatch.jobs.model import Job
from dispatch.middleware.timeout import timed_out

if TYPE_CHECKING:
    from opentelemetry.metrics import MeterProvider

_LONG = 0.01
"""Seconds from which on an attempt does not notice that its duration is noted at once, together with its span."""


class Metrics:
    """Measures `dispatch.job.duration`, `dispatch.job.wait` (due to start) and `dispatch.worker.running`.

    Attributes are name and queue; duration has a state too: completed, failed, cancelled or snoozed. Its count with
    state="failed" is the number of failed attempts; whether such a job is retried is decided after the chain.
    """

    def __init__(self, meter_provider: MeterProvider) -> None:
        self._instruments = telemetry.instruments(meter_provider)

    async def __call__(self, job: Job, call_next: Next, /) -> Any:
        name, queue = job.name, job.queue
        if job.started_at is not None:
            self._instruments.wait.record(max(0.0, (job.started_at - job.run_at).total_seconds()), name, queue)
        state = "completed"
        self._instruments.running.add(1, name, queue)
        start = time.perf_counter()
        try:
            return await call_next(job)
        except BaseException as error:
            state = _state(error)
            raise
        finally:
            elapsed = time.perf_counter() - start
            self._instruments.running.add(-1, name, queue)
            self._instruments.duration.record(elapsed, name, queue, state, at_once=elapsed >= _LONG)


def _state(error: BaseException) -> str:
    if isinstance(error, Snooze):
        return "snoozed"
    if isinstance(error, asyncio.CancelledError) and not timed_out():
        return "cancelled"
    return "failed"
