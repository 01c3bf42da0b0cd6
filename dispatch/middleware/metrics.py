"""How long attempts take and how long jobs waited for them."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any, NamedTuple

from dispatch import telemetry
from dispatch.errors import Snooze
from dispatch.jobs.handler import Next
from dispatch.jobs.model import Job
from dispatch.middleware.timeout import timed_out

if TYPE_CHECKING:
    from opentelemetry.metrics import MeterProvider

    from dispatch.telemetry.gathered import Part
    from dispatch.telemetry.instruments import Level

_LONG = 0.01
"""Seconds from which on an attempt does not notice that its duration is noted at once, together with its span."""


class Metrics:
    """Measures `dispatch.job.duration`, `dispatch.job.wait` (due to start) and `dispatch.worker.running`.

    Attributes are name and queue; duration has a state too: completed, failed, cancelled or snoozed. Its count with
    state="failed" is the number of failed attempts; whether such a job is retried is decided after the chain.
    """

    def __init__(self, meter_provider: MeterProvider) -> None:
        self._instruments = telemetry.instruments(meter_provider)
        self._gauges: dict[tuple[str, str], Gauges] = {}

    async def __call__(self, job: Job, call_next: Next, /) -> Any:
        gauges = self.begin(job)
        start = time.perf_counter()
        try:
            result = await call_next(job)
        except BaseException as error:
            self.end(gauges, time.perf_counter() - start, self.failed(job, error))
            raise
        self.end(gauges, time.perf_counter() - start, gauges.completed)
        return result

    def begin(self, job: Job) -> Gauges:
        """An attempt begins."""
        gauges = self._gauges.get((job.name, job.queue)) or self._of(job.name, job.queue)
        if job.started_at is not None:
            waited = (job.started_at - job.run_at).total_seconds()
            gauges.wait.record(waited if waited > 0.0 else 0.0)
        gauges.running.enter()
        return gauges

    def failed(self, job: Job, error: BaseException) -> Part:
        """Where the duration of an attempt goes that raised this."""
        return self._instruments.duration.of(job.name, job.queue, _state(error))

    def end(self, gauges: Gauges, elapsed: float, duration: Part) -> None:
        """An attempt has ended, after so many seconds."""
        gauges.running.leave()
        duration.record(elapsed, at_once=elapsed >= _LONG)

    def _of(self, name: str, queue: str) -> Gauges:
        made = self._instruments
        found = Gauges(
            made.wait.of(name, queue), made.running.of(name, queue), made.duration.of(name, queue, "completed")
        )
        return self._gauges.setdefault((name, queue), found)


class Gauges(NamedTuple):
    """Where the measurements of one job's attempts go."""

    wait: Part
    running: Level
    completed: Part


def _state(error: BaseException) -> str:
    if isinstance(error, Snooze):
        return "snoozed"
    if isinstance(error, asyncio.CancelledError) and not timed_out():
        return "cancelled"
    return "failed"
