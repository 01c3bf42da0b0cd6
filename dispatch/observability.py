"""Counts what becomes of jobs, runs and cron ticks, and looks at the queues: a plugin through Dispatch's own hooks."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from dispatch.clock import boot_seconds
from dispatch.crons.model import CronEntry
from dispatch.hookspecs import WorkerService, hookimpl
from dispatch.jobs.model import Job, NewJob
from dispatch.store import Store
from dispatch.telemetry import Instruments, instruments
from dispatch.workflows.model import Run

if TYPE_CHECKING:
    from opentelemetry.metrics import MeterProvider

LOOK_EVERY = 15.0
_TICK = 0.05


class MetricsExtension:
    """Counters of jobs, runs and ticks by name and queue, and gauges of queues and the event loop.

    `Dispatch(meter_provider=...)` brings one by itself; given as a plugin it brings its meter provider to the app.

    Args:
        meter_provider: where the measurements go.

    >>> from opentelemetry.sdk.metrics import MeterProvider
    >>> plugin = MetricsExtension(MeterProvider())
    """

    def __init__(self, meter_provider: MeterProvider) -> None:
        self.meter_provider = meter_provider
        self._instruments = instruments(meter_provider)

    @hookimpl
    def job_enqueued(self, job: NewJob) -> None:
        self._instruments.enqueued.add(1, job.name, job.queue)

    @hookimpl
    def job_completed(self, job: Job) -> None:
        self._instruments.completed.add(1, job.name, job.queue)

    @hookimpl
    def job_failed(self, job: Job) -> None:
        self._instruments.failed.add(1, job.name, job.queue)

    @hookimpl
    def job_retrying(self, job: Job) -> None:
        self._instruments.retried.add(1, job.name, job.queue)

    @hookimpl
    def job_dlq(self, job: Job) -> None:
        self._instruments.dead.add(1, job.name, job.queue)

    @hookimpl
    def job_cancelled(self, job: Job) -> None:
        self._instruments.cancelled.add(1, job.name, job.queue)

    @hookimpl
    def job_stolen(self, job: Job) -> None:
        self._instruments.stolen.add(1, job.name, job.queue)

    @hookimpl
    def workflow_started(self, run: Run) -> None:
        self._instruments.runs_started.add(1, run.name, run.queue)

    @hookimpl
    def workflow_completed(self, run: Run) -> None:
        self._instruments.runs_completed.add(1, run.name, run.queue)

    @hookimpl
    def workflow_failed(self, run: Run) -> None:
        self._instruments.runs_failed.add(1, run.name, run.queue)

    @hookimpl
    def cron_fired(self, entry: CronEntry) -> None:
        self._instruments.fired.add(1, entry.name)

    @hookimpl
    def register_services(self, store: Store) -> list[WorkerService]:
        """The look at the queues, in every worker."""
        return [Gauges(store, self._instruments)]


class Gauges:
    """Looks at the queues and the event loop, again and again; no id among its attributes."""

    name = "gauges"

    def __init__(self, store: Store, instruments: Instruments) -> None:
        self._store = store
        self._instruments = instruments
        self._known: set[str] = set()
        self._look_at = 0.0

    async def run_once(self) -> float:
        """One look, unless the latest was but now: one counts all that waits; answers the seconds until the next."""
        before = boot_seconds()
        if before < self._look_at:
            return self._look_at - before
        await asyncio.sleep(_TICK)
        self._instruments.loop_lag.set(max(0.0, boot_seconds() - before - _TICK))
        found = {info.config.name: info for info in await self._store.queues.list()}
        for queue in self._known | found.keys():
            info = found.get(queue)
            depth, age = 0, 0.0
            if info is not None:
                depth = info.pending + info.retrying
                if info.oldest_due_at is not None and info.at is not None:
                    age = max(0.0, (info.at - info.oldest_due_at).total_seconds())
            self._instruments.depth.set(depth, {"queue": queue})
            self._instruments.oldest_age.set(age, {"queue": queue})
        self._known |= found.keys()
        self._look_at = before + LOOK_EVERY
        return LOOK_EVERY
