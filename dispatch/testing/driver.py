"""Drives a real worker round by round, without a heartbeat, until nothing is due or running."""

from __future__ import annotations

import asyncio
import contextvars
import logging
from collections.abc import Collection, Mapping, Sequence
from contextvars import ContextVar
from dataclasses import replace
from datetime import datetime, timedelta
from functools import partial
from typing import Any

from dispatch.clock import ManualClock
from dispatch.cluster.model import NewWorker
from dispatch.crons.model import CronSpec
from dispatch.crons.plan import Rules
from dispatch.engine.execution import Execution
from dispatch.engine.introduction import Introduction
from dispatch.engine.leading import tell_of_ticks
from dispatch.engine.listener import Listener
from dispatch.engine.process_pool import ProcessPool
from dispatch.engine.runs.runner import Prepare, Runner
from dispatch.engine.scheduler import AT_ONCE, CronScheduler
from dispatch.engine.service import Service
from dispatch.engine.settings import Settings
from dispatch.engine.stopped import Stopped
from dispatch.engine.sweeper import ProgressWriter
from dispatch.engine.worker import Worker
from dispatch.hookspecs import WorkerService
from dispatch.jobs.handler import Middleware
from dispatch.jobs.model import WAITING, Claimed, JobKind, ListOptions
from dispatch.plugins import PluginManager
from dispatch.registry import Registry
from dispatch.store import Store
from dispatch.telemetry import OFF, Telemetry
from dispatch.testing.crashes import CrashingWriter
from dispatch.testing.lifespans import Lifespans
from dispatch.testing.report import WatchedReport, WorkDone

_HOOKS = 10.0
_UNWIND = 1.0
_inside: ContextVar[bool] = ContextVar("dispatch_driven", default=False)


def driven() -> bool:
    """Whether this code runs inside a job or a hook that a driver has started."""
    return _inside.get()


class SteppedWorker(Worker):
    """The worker; it remembers when time alone will bring it another job, and takes up queues as they come into use."""

    next_due: datetime | None = None

    def _until(self, claimed: Claimed) -> float:
        self.next_due = claimed.next_due
        return super()._until(claimed)

    def serve(self, queues: Collection[str]) -> None:
        """Claims from these queues too."""
        self._queues.extend(queues)


class Driver:
    """A worker of one app: `start` once, `run` as often as you like, `stop` once."""

    def __init__(
        self,
        store: Store,
        *,
        clock: ManualClock,
        registry: Registry,
        plugins: PluginManager,
        middleware: Sequence[Middleware],
        settings: Settings,
        info: NewWorker,
        every_queue: bool,
        environment: Mapping[str, str],
        crons: Mapping[str, CronSpec],
        prepare: Prepare,
        guests: Sequence[WorkerService] = (),
        telemetry: Telemetry = OFF,
        logger: logging.Logger,
    ) -> None:
        self._store = store
        self._prepare = prepare
        self._guests = tuple(guests)
        self._clock = clock
        self._telemetry = telemetry
        self._registry = registry
        self._plugins = plugins
        self._served = dict(settings.queues)
        self._settings = replace(settings, queues=self._served)
        self._info = info
        self._introduction = Introduction(info, crons)
        self._scheduler = CronScheduler(
            store,
            require_leadership=lambda: True,
            rules=Rules(misfire_window=settings.misfire_window),
            on_fired=partial(tell_of_ticks, plugins=plugins, telemetry=telemetry, logger=logger),
            telemetry=telemetry,
            on_death=self._died,
            logger=logger,
        )
        self._every_queue = every_queue
        self._environment = dict(environment)
        self._logger = logger
        self._report = WatchedReport(plugins, logger=logger, telemetry=telemetry)
        self._execution = Execution(middleware=[self._report.watch, *middleware], processes=self._processes)
        self._pool: ProcessPool | None = None
        self._lifespans = Lifespans()
        self._context = contextvars.copy_context()
        self._context.run(_inside.set, True)
        self._worker: SteppedWorker | None = None
        self._services: list[Service] = []

    async def start(self) -> None:
        """Enters the lifespans and registers the worker; handlers will run in the context of this call."""
        resources = await self._lifespans.enter(self._registry.lifespans.values(), context=self._context)
        await self._introduction.make(self._store)
        common: dict[str, Any] = {"on_death": self._died, "logger": self._logger}
        self._worker = worker = SteppedWorker(
            self._store,
            self._info.id,
            self._settings,
            definitions=self._registry.jobs,
            execution=self._execution,
            report=self._report,
            resources=resources,
            out_of_touch=lambda: False,
            **common,
        )
        if self._registry.workflows:
            worker.runner = self._runner(worker, resources)
        timeout = self._settings.call_timeout
        self._services = [
            Listener(self._store, self._info.id, worker, call_timeout=timeout, **common),
            ProgressWriter(self._store, self._info.id, worker, call_timeout=timeout, **common),
        ]
        for service in self._services:
            self._context.run(service.start)
        if self._plugins.has("worker_started"):
            self._context.run(self._plugins.background, "worker_started", worker=self._info)

    def _runner(self, worker: SteppedWorker, resources: list[object]) -> Runner:
        """As a worker's own; sleeps are parked, however short, and pauses between a step's retries are skipped."""
        return Runner(
            self._store.workflows,
            self._info.id,
            replace(self._settings, park_after=-1.0),
            definitions=self._registry.drivers,
            execution=self._execution,
            report=self._report,
            plugins=self._plugins,
            resources=resources,
            prepare=self._prepare,
            telemetry=self._telemetry,
            progress=worker.note_progress,
            give_up=lambda: False,
            logger=self._logger,
            elapsed=lambda: 0.0,
            pause=lambda _: asyncio.sleep(0),
            writer=CrashingWriter,
        )

    async def run(self, until: datetime, *, raise_errors: bool, limit: int) -> WorkDone:
        """Runs what is due, then moves the clock from one due moment to the next until `until`, running what is due at
        each; UsageError after more than `limit` attempts."""
        assert self._worker is not None
        run = self._go(self._worker, until, raise_errors=raise_errors, limit=limit)
        return await asyncio.create_task(run, name="dispatch driver", context=self._context)

    async def stop(self) -> None:
        """Cancels what still runs and gives it back, leaves the lifespans, retires the worker."""
        try:
            if self._worker is not None:
                self._worker.hold = True
                for service in self._services:
                    await service.stop()
                await self._give_back(self._worker)
                await self._store.cluster.retire(self._info.id)
                if self._plugins.has("worker_stopped"):
                    self._plugins.background("worker_stopped", worker=self._info)
            if self._pool is not None:
                await self._pool.close()
            await self._plugins.drain(_HOOKS)
        finally:
            self._execution.close()
            await self._lifespans.leave()

    async def _go(self, worker: SteppedWorker, until: datetime, *, raise_errors: bool, limit: int) -> WorkDone:
        before = replace(self._report.tally)
        self._report.begin()
        while True:
            await self._store.cluster.beat(self._info.id, running=len(worker.held))
            await self._fire_crons()
            await self._until_idle(worker, limit)
            if raise_errors:
                self._report.raise_first()
            now = self._clock.now()
            due = await self._store.crons.due(limit=AT_ONCE)
            if due.entries and await self._fire_crons():
                continue  # a job has made or enabled an entry
            if now >= until:
                break
            self._clock.advance(max(min(worker.next_due or until, due.next_at or until, until) - now, timedelta(0)))
        await self._tell_what_is_left()
        return WorkDone.since(before, self._report.tally)

    async def _until_idle(self, worker: SteppedWorker, limit: int) -> None:
        """Claims and waits for ends and wake-ups in turn; hooks count as work, for they may enqueue."""
        while True:
            seen = self._store.wakeups.version
            await self._recover(worker)
            await worker.run_once()
            self._report.check(limit)
            if worker.held or not worker.idle_round:
                await worker.pause(self._settings.poll_interval)
                continue
            await self._plugins.drain(_HOOKS)
            for guest in self._guests:
                await guest.run_once()
            await self._recover(worker)
            more_due = worker.next_due is not None and worker.next_due <= self._clock.now()
            if self._store.wakeups.version == seen and not more_due and not await self._serve_new_queues(worker):
                return

    async def _fire_crons(self) -> bool:
        """Fires what is due, as the leader would; whether anything was."""
        fired = False
        while await self._scheduler.run_once() == 0.0:
            fired = True
        return fired

    async def _recover(self, worker: SteppedWorker) -> None:
        """Runs whose worker was lost on purpose are free again."""
        writer = None if worker.runner is None else worker.runner.writer
        if isinstance(writer, CrashingWriter) and writer.lost:
            free = [pair for pair in writer.lost if pair[0] not in worker.held]
            writer.lost = [pair for pair in writer.lost if pair[0] in worker.held]
            await self._store.jobs.release(self._info.id, free)

    async def _serve_new_queues(self, worker: SteppedWorker) -> bool:
        """Unless the app was told its queues, every queue that holds jobs is served, whatever it is called."""
        if not self._every_queue:
            return False
        names = (info.config.name for info in await self._store.queues.list())
        new = [name for name in names if name not in self._served]
        self._served.update(dict.fromkeys(new, 0))
        worker.serve(new)
        return bool(new)

    async def _tell_what_is_left(self) -> None:
        """A job that the registry lacks waits for ever; that is hard to see from a test that fails for it."""
        kinds: tuple[JobKind, ...] = ("job", "workflow")
        waiting = await self._store.jobs.list(ListOptions(states=tuple(WAITING), kinds=kinds, limit=100))
        now, known = self._clock.now(), set(self._registry.names())
        names = sorted({job.name for job in waiting.items if job.run_at <= now and job.name not in known})
        if names:
            self._logger.warning(
                "due jobs were left, since this app's registry does not know them: %s; pass the registry that does",
                ", ".join(names),
            )

    async def _give_back(self, worker: SteppedWorker) -> None:
        """Ends what a cancelled run has left behind; a thread that does not end keeps only itself."""
        for running in list(worker.held.values()):
            worker.stop_job(running, Stopped.GRACE)
        tasks = [running.task for running in worker.held.values() if running.task is not None]
        if tasks:
            await asyncio.wait(tasks, timeout=_UNWIND)
        await worker.outbox.drained()
        left = worker.held_pairs()
        if left:
            await self._store.jobs.release(self._info.id, left)

    def _processes(self) -> ProcessPool:
        if self._pool is None:
            self._pool = ProcessPool(
                limit=self._settings.concurrency,
                environment=self._environment,
                logger=self._logger,
                traceback_limit=self._settings.policy.traceback_limit,
            )
        return self._pool

    def _died(self, error: BaseException) -> None:
        if not isinstance(error, asyncio.CancelledError):
            self._logger.critical("a loop of the testing app's worker has died: %r", error)
