"""The assembled runtime of one worker: its loops, started and stopped in the right order."""

from __future__ import annotations

import asyncio
import logging
import os
import socket
from collections.abc import Callable, Coroutine, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from dispatch.clock import boot_seconds
from dispatch.cluster.elector import LeaderElector
from dispatch.cluster.model import NewWorker, WorkerState
from dispatch.crons.model import CronSpec
from dispatch.engine.execution import Execution
from dispatch.engine.guest import Guest
from dispatch.engine.health import STARTING, Health, Vitals, judge
from dispatch.engine.heartbeat import Beat, Heartbeat
from dispatch.engine.introduction import Introduction, library_version
from dispatch.engine.leading import Leading
from dispatch.engine.lifespans import Lifespans
from dispatch.engine.listener import Listener
from dispatch.engine.opening import patiently
from dispatch.engine.pruner import Pruner
from dispatch.engine.report import Report, Tally, facts_of
from dispatch.engine.service import Service
from dispatch.engine.settings import Settings
from dispatch.engine.stealer import Quarantine, Stealer
from dispatch.engine.stopped import Stopped
from dispatch.engine.sweeper import ProgressWriter, Sweeper
from dispatch.engine.worker import Worker
from dispatch.entity import Reply
from dispatch.errors import StoreError
from dispatch.hookspecs import WorkerService
from dispatch.ids import JobID, WorkerID
from dispatch.jobs.handler import Middleware
from dispatch.plugins import PluginManager
from dispatch.registry import Registry
from dispatch.store import Store
from dispatch.telemetry import OFF, Telemetry

if TYPE_CHECKING:
    from dispatch.engine.process_pool import ProcessPool
    from dispatch.engine.runs.runner import Prepare, Runner

_GUARD_INTERVAL = 0.25
_HOOKS_AT_STOP = 5.0


class Engine:
    """Runs the registry's jobs from a store until stopped. `start` once, `stop` once."""

    def __init__(
        self,
        store: Store,
        *,
        registry: Registry,
        plugins: PluginManager,
        middleware: Sequence[Middleware],
        settings: Settings,
        targets: Sequence[str] = (),
        crons: Mapping[str, CronSpec] | None = None,
        leader_elector: LeaderElector | None = None,
        child_environment: Mapping[str, str] | None = None,
        prepare: Prepare | None = None,
        guests: Sequence[WorkerService] = (),
        telemetry: Telemetry = OFF,
        on_drain: Callable[[], None] | None = None,
        on_death: Callable[[BaseException], None] | None = None,
        logger: logging.Logger | None = None,
    ) -> None:
        self._prepare = prepare
        self._guests = tuple(guests)
        self.settings = settings
        self._logger = logger or logging.getLogger("dispatch.engine")
        self._store = store
        self._registry = registry
        self._plugins = plugins
        self._targets = tuple(targets)
        self._elector = leader_elector
        self._leading: Leading | None = None
        self._child_environment = dict(child_environment or {})
        self._on_drain = on_drain
        self._death_heard = on_death
        self._pool: ProcessPool | None = None
        self._execution = Execution(middleware=middleware, processes=self._process_pool)
        self._telemetry = telemetry
        self._report = Report(plugins, logger=self._logger, telemetry=telemetry)
        self._lifespans = Lifespans()
        self._services: list[Service] = []
        self._heartbeat: Heartbeat | None = None
        self._worker: Worker | None = None
        self._guard: asyncio.TimerHandle | None = None
        self._touch_lost = False
        self._dying = False
        self._stopping = False
        self._stopped = asyncio.Event()
        self._tasks: set[asyncio.Task[None]] = set()
        self.running = False
        self.info = NewWorker(
            id=WorkerID.new(),
            hostname=socket.gethostname(),
            pid=os.getpid(),
            queues=tuple(settings.queues),
            names=tuple(registry.names()) if settings.queues else (),
            concurrency=settings.concurrency,
            lease=settings.lease,
            version=library_version(),
            labels={**settings.labels, **({"name": settings.name} if settings.name else {})},
        )
        self._introduction = Introduction(self.info, crons or {})

    @property
    def worker_id(self) -> WorkerID:
        """This start's worker id."""
        return self.info.id

    @property
    def tally(self) -> Tally:
        """How many jobs ended how, so far."""
        return self._report.tally

    @property
    def held(self) -> int:
        """Claims whose outcome the store has not acknowledged."""
        return len(self._worker.held) if self._worker else 0

    @property
    def idle(self) -> bool:
        """Whether the latest claim found nothing while nothing was in flight."""
        return self._worker is not None and self._worker.idle_round and not self._worker.held

    def health(self) -> Health:
        """Whether it makes progress, and whether it takes jobs."""
        worker, heartbeat = self._worker, self._heartbeat
        if worker is None or heartbeat is None or not (self.running or self._stopping):
            return STARTING
        now = boot_seconds()
        return judge(
            Vitals(
                loops={service.name: service.lives for service in self._services},
                beating=heartbeat.lives,
                claim_age=now - worker.round_at,
                beat_age=now - heartbeat.renewed_at,
                call_timeout=self.settings.call_timeout,
                lease=self.settings.lease,
                stopping=self._stopping,
            )
        )

    async def start(self, *, patient: bool = True) -> None:
        """Enters the lifespans, registers the worker, begins to beat and claim; `patient`: waits for the store."""
        if self.settings.queues:
            await self._lifespans.enter(self._registry.lifespans.values())
        worker = Worker(
            *(self._store, self.worker_id, self.settings),
            definitions=self._registry.jobs,
            execution=self._execution,
            report=self._report,
            resources=self._lifespans.resources,
            out_of_touch=self._out_of_touch,
            on_death=self._died,
            logger=self._logger,
        )
        if self._registry.workflows:
            worker.runner = self._runner(worker)
        self._worker = worker
        join = partial(self._join, worker)
        heartbeat = self._heartbeat = await (patiently(join, logger=self._logger) if patient else join())
        self.running = True
        common: dict[str, Any] = {"on_death": self._died, "logger": self._logger}
        guests = [Guest(service, **common) for service in self._guests]
        timeout = self.settings.call_timeout
        self._services = [
            *guests,
            worker,
            Listener(self._store, self.worker_id, worker, call_timeout=timeout, others=guests, **common),
            Stealer(self._store, self.settings, may_steal=lambda: heartbeat.settled, report=self._report, **common),
            Quarantine(self._store, self.worker_id, worker, self.settings, **common),
            Sweeper(self._store, self.settings, may_sweep=lambda: heartbeat.settled, **common),
            Pruner(self._store, self.settings, may_prune=lambda: heartbeat.settled, **common),
            ProgressWriter(self._store, self.worker_id, worker, call_timeout=timeout, **common),
        ]
        if self.settings.cron:
            self._leading = Leading(
                *(self._store, self.worker_id, self.settings),
                elector=self._elector,
                plugins=self._plugins,
                telemetry=self._telemetry,
                **common,
            )
            self._services += self._leading.services
        for service in self._services:
            service.start()
        self._check_touch()
        if self._plugins.has("worker_started"):
            self._plugins.background("worker_started", worker=self.info)

    async def _join(self, worker: Worker) -> Heartbeat:
        """Makes itself known to the store and begins to beat; may be done again where it fails."""
        await self._introduction.make(self._store)
        heartbeat = Heartbeat(
            *(self._store.sibling(), self._introduction, self.settings),
            held=worker.held_pairs,
            on_beat=self._on_beat,
            on_death=self._died,
            logger=self._logger,
        )
        await heartbeat.start()
        return heartbeat

    def hold(self) -> None:
        """Stops claiming; what runs goes on."""
        if self._worker is not None:
            self._worker.hold = True

    async def stop(self, grace: float | None = None, *, hurry: asyncio.Event | None = None) -> None:
        """Stops claiming, waits `grace` seconds for handlers (or until `hurry`), gives back the rest, signs off.

        Cancelled, it skips what is left of the wait, but leaves nothing behind.
        """
        worker, heartbeat = self._worker, self._heartbeat
        if worker is None or heartbeat is None or not self.running:
            if self._stopping:
                await self._stopped.wait()
            await self._lifespans.leave(hurry)
            return
        self.running, self._stopping = False, True
        try:
            await self._sign_off(worker, heartbeat, self.settings.grace if grace is None else grace, hurry)
        except asyncio.CancelledError:
            await self._sign_off(worker, heartbeat, 0.0, hurry)
            raise
        finally:
            self._stopped.set()

    async def _sign_off(self, worker: Worker, heartbeat: Heartbeat, grace: float, hurry: asyncio.Event | None) -> None:
        """Every step of a stop; each may be taken again when the first time was cut off."""
        worker.hold = True
        if worker.held:
            wait = f"waiting up to {grace:g} s for" if grace else "giving back"
            self._logger.info("stopping: %s %d running jobs", wait, len(worker.held))
        for service in self._services:
            await service.stop()
        if self._leading is not None:
            await self._say("give up leadership", self._leading.resign())
        await self._say("mark the worker as draining", self._store.cluster.update(self.worker_id, WorkerState.DRAINING))
        await self._wait_for_handlers(worker, grace, hurry)
        for running in list(worker.held.values()):
            worker.stop_job(running, Stopped.GRACE)
        await self._settle(worker)
        if self._guard is not None:
            self._guard.cancel()
        await heartbeat.stop()
        if self._pool is not None:
            await self._pool.close()
        await self._say("retire the worker", self._store.cluster.retire(self.worker_id))
        if self._plugins.has("worker_stopped"):
            self._plugins.background("worker_stopped", worker=self.info)
        await self._plugins.drain(_HOOKS_AT_STOP)
        self._execution.close()
        await self._lifespans.leave(hurry)

    async def _wait_for_handlers(self, worker: Worker, grace: float, hurry: asyncio.Event | None) -> None:
        deadline = boot_seconds() + grace
        while worker.held and boot_seconds() < deadline and not (hurry is not None and hurry.is_set()):
            tasks = [r.task for r in worker.held.values() if r.task is not None and r.executing]
            if not tasks:
                await self._drain_outbox(worker)
                return
            await asyncio.wait(tasks, timeout=min(0.1, max(deadline - boot_seconds(), 0.0)))
        await asyncio.sleep(0)

    async def _settle(self, worker: Worker) -> None:
        """Gives cancelled handlers a moment to unwind, then gives back what holds on (threads cannot be killed)."""
        tasks = [r.task for r in worker.held.values() if r.task is not None and r.executing]
        if tasks:
            await asyncio.wait(tasks, timeout=min(1.0, self.settings.lease / 10))
        await self._drain_outbox(worker)
        left = worker.held_pairs()
        if left:
            await self._say(f"give back {len(left)} jobs", self._store.jobs.release(self.worker_id, left))
            self.tally.released += len(left)
            for running in list(worker.held.values()):
                worker.stop_job(running, Stopped.LOST)

    async def _drain_outbox(self, worker: Worker) -> None:
        try:
            async with asyncio.timeout(self.settings.lease):
                await worker.outbox.drained()
        except TimeoutError:
            self._logger.error("the store did not take the last outcomes within a lease: those jobs will run again")

    async def _say(self, what: str, call: Coroutine[Any, Any, object]) -> None:
        """One of the last words to the store, which may be gone: the leases lapse without it."""
        try:
            async with asyncio.timeout(self.settings.call_timeout):
                await call
        except (StoreError, TimeoutError) as error:
            self._logger.warning("could not %s: %s", what, str(error) or "the store took too long")

    # -- beats ---------------------------------------------------------------------------------------------------

    def _on_beat(self, beat: Beat) -> None:
        if (worker := self._worker) is None:
            return
        if self._touch_lost:
            self._touch_lost = False
            worker.nudge()
        renewed, named = beat.renewed, dict(beat.named)
        for job_id in renewed.lost:
            running = worker.held.get(job_id)
            if running is not None and running.executing and running.job.epoch == named.get(job_id):
                job = running.job
                text = "the lease of %s (%s) was lost; its handler is stopped"
                self._logger.warning(text, job.name, job_id, extra=facts_of("job_lost", job))
                worker.stop_job(running, Stopped.LOST)
        for job_id in renewed.cancel_requested:
            running = worker.held.get(job_id)
            if running is not None:
                worker.stop_job(running, Stopped.REQUESTED)
        orphans = [(job_id, epoch) for job_id, epoch in renewed.unnamed if job_id not in worker.held]
        if orphans and not worker.claiming and self.running:
            self._spawn(self._give_back(orphans))
        if beat.drain and self._on_drain is not None:
            drained, self._on_drain = self._on_drain, None
            drained()

    async def _give_back(self, orphans: list[tuple[JobID, int]]) -> None:
        try:
            async with asyncio.timeout(self.settings.call_timeout):
                replies = await self._store.jobs.release(self.worker_id, orphans)
        except (StoreError, TimeoutError) as error:
            why = str(error) or "too slow"
            self._logger.warning("could not give back %d unnamed claims yet: %s", len(orphans), why)
            return
        freed = sum(reply is Reply.APPLIED for reply in replies)
        if freed:  # the others ended between the beat and its answer
            self._logger.warning("gave back %d claims whose reply was lost", freed)

    def _out_of_touch(self) -> bool:
        return self._heartbeat is not None and self._heartbeat.out_of_touch

    def _check_touch(self) -> None:
        """Stops every handler once the leases may have lapsed without our knowing."""
        if self._out_of_touch() and not self._touch_lost and self._worker is not None:
            self._touch_lost = True
            self._logger.error("the store could not be reached for nearly a lease: stopping all handlers")
            for running in list(self._worker.held.values()):
                self._worker.stop_job(running, Stopped.LOST)
        self._guard = asyncio.get_running_loop().call_later(_GUARD_INTERVAL, self._check_touch)

    def _runner(self, worker: Worker) -> Runner:
        from dispatch.engine.runs.runner import Runner, unprepared

        return Runner(
            *(self._store.workflows, self.worker_id, self.settings),
            definitions=self._registry.drivers,
            execution=self._execution,
            report=self._report,
            plugins=self._plugins,
            resources=self._lifespans.resources,
            prepare=self._prepare or unprepared,
            telemetry=self._telemetry,
            progress=worker.note_progress,
            give_up=self._out_of_touch,
            logger=self._logger,
        )

    def _process_pool(self) -> ProcessPool:
        from dispatch.engine.process_pool import ProcessPool

        if self._pool is None:
            self._pool = ProcessPool(
                limit=self.settings.concurrency,
                targets=self._targets,
                environment=self._child_environment,
                logger=self._logger,
                traceback_limit=self.settings.policy.traceback_limit,
            )
        return self._pool

    def _died(self, error: BaseException) -> None:
        if not self.running or self._dying:
            return
        self._dying = True
        self._logger.critical("a loop of the worker has died, stopping: %r", error)
        if isinstance(error, asyncio.CancelledError):  # raised to whoever runs the worker, it would look like their own
            error = RuntimeError("a task of the worker was cancelled from outside; does a handler cancel all tasks?")
        if self._death_heard is not None:
            self._death_heard(error)
        else:
            self._spawn(self.stop(0.0))

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
