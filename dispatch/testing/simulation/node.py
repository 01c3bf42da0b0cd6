"""One worker of a simulated world: the engine's own worker, runner and stealer, with a beat on the world's clock."""

from __future__ import annotations

import asyncio
import contextvars
import logging
from collections.abc import Callable, Sequence
from typing import Any, NoReturn

from dispatch.cluster.model import NewWorker
from dispatch.engine.execution import Execution
from dispatch.engine.introduction import Introduction
from dispatch.engine.report import Report
from dispatch.engine.runs.runner import Prepare, Runner
from dispatch.engine.service import Service
from dispatch.engine.settings import Settings
from dispatch.engine.stealer import Stealer
from dispatch.engine.stopped import Stopped
from dispatch.engine.worker import Worker
from dispatch.entity import Reply
from dispatch.errors import StoreError
from dispatch.ids import WorkerID
from dispatch.jobs.context import JobContext
from dispatch.jobs.definition import JobDefinition
from dispatch.jobs.model import Claimed
from dispatch.plugins import PluginManager
from dispatch.registry import Registry
from dispatch.store import Store
from dispatch.testing.simulation.loop import owner


class InPlace(Execution):
    """Calls plain functions on the loop: threads and processes keep no order that a seed could repeat."""

    async def in_thread(self, function: Callable[..., Any], context: JobContext) -> Any:
        args, kwargs = context.arguments
        return function(*args, **kwargs)

    async def in_process(self, definition: JobDefinition[..., Any], context: JobContext) -> Any:
        args, kwargs = context.arguments = definition.signature.load(context.job.payload)
        return definition.function(*args, **kwargs)


class NodeWorker(Worker):
    """The worker; it remembers when time alone will bring it a job."""

    next_due: float | None = None
    looked_at = -1
    """The version of the store at its latest claim."""
    _before = -1

    async def run_once(self) -> float | None:
        self._before = self._store.wakeups.version
        return await super().run_once()

    def _until(self, claimed: Claimed) -> float:
        self.looked_at = self._before
        due, now = claimed.next_due, claimed.now
        wait = None if due is None or now is None else (due - now).total_seconds()
        self.next_due = None if wait is None else asyncio.get_running_loop().time() + max(wait, 0.0)
        return super()._until(claimed)


class Beat(Service):
    """Renews the leases and hears what became of them, as a worker's heartbeat does."""

    name = "beat"

    def __init__(self, node: Node, *, interval: float, **common: Any) -> None:
        super().__init__(interval=interval, **common)
        self._node = node

    async def run_once(self) -> float | None:
        """One renewal."""
        await self._node.beat()
        return None


class Node:
    """A worker process of the world, until it crashes: then nothing of it runs any more."""

    def __init__(
        self,
        name: str,
        store: Store,
        *,
        registry: Registry,
        resources: Sequence[object],
        settings: Settings,
        prepare: Prepare,
        logger: logging.Logger,
    ) -> None:
        self.name = name
        self.dead = False
        self.held_back: list[asyncio.Handle] | None = None
        """While it stands still: what it would do."""
        self._store = store
        self._settings = settings
        self._loop = asyncio.get_running_loop()
        self._renewed_at = self._loop.time()
        plugins = PluginManager()
        report = Report(plugins, logger=logger)
        common: dict[str, Any] = {"on_death": self._died, "logger": logger}
        self.info = NewWorker(
            id=WorkerID.new(),
            hostname=name,
            pid=1,
            queues=tuple(settings.queues),
            names=tuple(registry.names()),
            concurrency=settings.concurrency,
            lease=settings.lease,
        )
        self._introduction = Introduction(self.info)
        execution = InPlace(middleware=[], processes=_no_processes)
        self.worker = NodeWorker(
            store,
            self.info.id,
            settings,
            definitions=registry.jobs,
            execution=execution,
            report=report,
            resources=resources,
            out_of_touch=self.out_of_touch,
            **common,
        )
        self.worker.runner = Runner(
            store.workflows,
            self.info.id,
            settings,
            definitions=registry.drivers,
            execution=execution,
            report=report,
            plugins=plugins,
            resources=resources,
            prepare=prepare,
            progress=self.worker.note_progress,
            give_up=self.out_of_touch,
            logger=logger,
            elapsed=self._loop.time,
            run_logger=logger,
        )
        self._services: list[Service] = [
            self.worker,
            Stealer(store, settings, may_steal=lambda: True, report=report, **common),
            Beat(self, interval=settings.heartbeat_interval, limit=settings.call_timeout, **common),
        ]
        self.error: BaseException | None = None
        self.context = contextvars.copy_context()
        self.context.run(owner.set, self)

    @property
    def at_work(self) -> bool:
        """Whether it holds or fetches anything."""
        return bool(self.worker.held) or self.worker.claiming

    @property
    def idle(self) -> bool:
        """Whether it has looked at the store as it is, and found nothing to do."""
        if self.held_back is not None or self.at_work or not self.worker.idle_round:
            return False
        return self.worker.looked_at == self._store.wakeups.version

    def start(self) -> None:
        """Registers and begins to claim, in a context of its own."""
        self._loop.create_task(self._live(), context=self.context)

    def nudge(self) -> None:
        """Tells it that the store may have changed."""
        self._loop.call_later(0.0, self.worker.nudge, context=self.context)

    def out_of_touch(self) -> bool:
        """Whether its leases may have lapsed without its knowing."""
        return self._loop.time() - self._renewed_at > self._settings.lease - self._settings.lease_margin

    async def beat(self) -> None:
        """Renews what is held, and stops what is lost or to be cancelled."""
        worker, jobs = self.worker, self._store.jobs
        was_lost = self.out_of_touch()
        if was_lost:
            for running in list(worker.held.values()):
                worker.stop_job(running, Stopped.LOST)
        asked, held = self._loop.time(), worker.held_pairs()
        renewed = await jobs.renew(self.info.id, held, lease=self._settings.lease)
        if await self._store.cluster.beat(self.info.id, running=len(held)) is Reply.MISSING:
            await self._introduction.make(self._store)
        self._renewed_at = asked
        if was_lost:
            worker.nudge()
        named = dict(held)
        for job_id in renewed.lost:
            if job_id in worker.held and worker.held[job_id].job.epoch == named.get(job_id):
                worker.stop_job(worker.held[job_id], Stopped.LOST)
        for job_id in renewed.cancel_requested:
            if job_id in worker.held:
                worker.stop_job(worker.held[job_id], Stopped.REQUESTED)
        orphans = [(job_id, epoch) for job_id, epoch in renewed.unnamed if job_id not in worker.held]
        if orphans and not worker.claiming:
            await jobs.release(self.info.id, orphans)

    async def _live(self) -> None:
        while True:
            try:
                await self._introduction.make(self._store)
                break
            except StoreError:
                continue
        for service in self._services:
            service.start()

    def _died(self, error: BaseException) -> None:
        if not isinstance(error, asyncio.CancelledError | GeneratorExit):
            self.error = error


def _no_processes() -> NoReturn:
    raise AssertionError("a simulated worker runs everything in place")
