"""The worker: claims jobs, runs each in a task, and tells the outbox how they ended."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from dispatch.clock import utc_now
from dispatch.engine.execution import Execution
from dispatch.engine.outbox import Outbox
from dispatch.engine.outcome import decide, invalid_payload, not_storable, observe, returned
from dispatch.engine.report import Report
from dispatch.engine.service import Service
from dispatch.engine.settings import Settings
from dispatch.engine.stopped import Stopped
from dispatch.entity import Reply
from dispatch.errors import DataRejected, InvalidArguments, StoreTimeout
from dispatch.ids import JobID, WorkerID
from dispatch.jobs.context import JobContext, enter_job
from dispatch.jobs.definition import JobDefinition
from dispatch.jobs.model import QUARANTINE_FROM, Claimed, Finished, Job, Transition, Verdict
from dispatch.store import Store

if TYPE_CHECKING:
    from dispatch.engine.runs.activation import Activation
    from dispatch.engine.runs.runner import Runner

_LINGER = 0.001
_SHORTEST_PAUSE = 0.001
_AFTER_A_BREAK = 1.0


@dataclass(slots=True, eq=False)
class Running:
    """A claim that this worker holds, from the claim's reply to the outcome's."""

    job: Job
    definition: JobDefinition[..., Any] | None
    """None: it drives a workflow run."""
    context: JobContext
    activation: Activation | None = None
    task: asyncio.Task[None] | None = None
    started: bool = False
    executing: bool = True
    began: float = 0.0
    stopped: Stopped | None = None
    after: Running | None = None
    """An older execution of the same job, which must have ended first."""


class Worker(Service):
    """One round is one claim; between rounds it waits for a free slot, a wake-up, or the next due job."""

    name = "worker"

    def __init__(
        self,
        store: Store,
        worker_id: WorkerID,
        settings: Settings,
        *,
        definitions: Mapping[str, JobDefinition[..., Any]],
        execution: Execution,
        report: Report,
        resources: Sequence[object],
        out_of_touch: Callable[[], bool],
        on_death: Callable[[BaseException], None],
        logger: logging.Logger,
    ) -> None:
        super().__init__(interval=settings.poll_interval, logger=logger, on_death=on_death)
        self._store = store
        self._id = worker_id
        self._settings = settings
        self._definitions = definitions
        self._execution = execution
        self._report = report
        self._resources = resources
        self._out_of_touch = out_of_touch
        self._queues = list(settings.queues)
        self._executing_in: dict[str, int] = dict.fromkeys(self._queues, 0)
        self.runner: Runner | None = None
        """Plays the runs whose drivers are claimed; set before the first claim."""
        self.held: dict[JobID, Running] = {}
        """Claims whose outcome the store has not acknowledged."""
        self.executing = 0
        self.claiming = False
        self.hold = False
        """True: claim nothing (draining for a quarantined job, or stopping)."""
        self.idle_round = False
        """True once a claim found nothing while nothing was in flight."""
        self._hungry = False
        self._was_alone = False
        """True after a quarantined job: the next claim is an ordinary one, so that neither kind starves the other."""
        self._progress: dict[JobID, tuple[int, float, str | None]] = {}
        self.outbox = Outbox(
            store.jobs,
            worker_id,
            settled=self._settled,
            culprit=self._culprit,
            give_up=out_of_touch,
            call_timeout=settings.call_timeout,
            logger=logger,
        )

    # -- claiming ------------------------------------------------------------------------------------------------

    async def run_once(self) -> float | None:
        """Claims as many jobs as there are free slots and starts them; answers how long to wait for the next round."""
        room = self._room()
        if self.hold or room <= 0 or self.alone or self._out_of_touch():
            self._hungry = room <= 0
            return None
        if self._hungry and room < self._settings.concurrency // 8:
            await asyncio.sleep(_LINGER)  # under load: let more slots come free and take them together
            room = self._room()
        # half of the slots at once, so that the store ends one half while it hands out the other
        asked = min(room, (self._settings.concurrency + 1) // 2)
        queues = self._rooms(asked)
        if not queues:
            self._hungry = True
            return None
        alone = not self.held and not self._was_alone
        self.claiming = True
        try:
            async with asyncio.timeout(self._settings.call_timeout):
                claimed = await self._store.jobs.claim(
                    self._id,
                    queues=queues,
                    names=self.names,
                    limit=asked,
                    lease=self._settings.lease,
                    alone=alone,
                )
        except TimeoutError:
            raise StoreTimeout(
                "a claim took too long; what it may have claimed is given back at a later beat"
            ) from None
        finally:
            self.claiming = False
        after_one_alone, self._was_alone = self._was_alone, False
        for job in claimed.jobs:
            self._start(job)
            self._was_alone = job.crashes >= QUARANTINE_FROM
        for job in claimed.expired:
            self._report.cancelled(job)
        more = len(claimed.jobs) >= asked
        self._hungry = more and room <= asked
        self.idle_round = not claimed.jobs and not self.held
        if claimed.jobs:
            if self._hungry:
                return None
            return 0.0 if more or len(queues) < len(self._queues) else self._until(claimed)
        return 0.0 if after_one_alone else self._until(claimed)

    def held_pairs(self) -> list[tuple[JobID, int]]:
        """(job, epoch) of every claim held; called from the heartbeat's thread."""
        return [(running.job.id, running.job.epoch) for running in list(self.held.values())]

    def _room(self) -> int:
        """How many jobs it may claim now: a slot is free once its outcome is stored, so that the loss of a worker
        repeats no more jobs than it has slots."""
        room = self._settings.concurrency - len(self.held)
        most = self._settings.max_jobs
        return room if most is None else min(room, most - self._report.tally.ended - len(self.held))

    @property
    def names(self) -> Collection[str]:
        """The job names it can run."""
        drivers = () if self.runner is None else self.runner.names
        return [*self._definitions, *drivers] if drivers else self._definitions.keys()

    @property
    def alone(self) -> bool:
        """Whether a quarantined job is in flight, which must stay alone."""
        return len(self.held) == 1 and next(iter(self.held.values())).job.crashes >= QUARANTINE_FROM

    def _rooms(self, room: int) -> dict[str, int]:
        """Queue → free slots, starting with another queue each time."""
        self._queues = [*self._queues[1:], *self._queues[:1]]
        rooms = {}
        for queue in self._queues:
            cap = self._settings.queues[queue]
            left = min(room, cap - self._executing_in[queue]) if cap else room
            if left > 0:
                rooms[queue] = left
        return rooms

    def _until(self, claimed: Claimed) -> float:
        """Seconds until the next job is due, by the store's clock."""
        if claimed.next_due is None:
            return self.interval
        wait = (claimed.next_due - (claimed.now or utc_now())) / timedelta(seconds=1)
        return min(max(wait, _SHORTEST_PAUSE), self.interval)

    # -- running -------------------------------------------------------------------------------------------------

    def _start(self, job: Job) -> None:
        activation = self.runner.activation(job) if self.runner is not None and job.kind == "workflow" else None
        definition = self._definitions[job.name] if activation is None else None
        if job.timeout is None and definition is not None and definition.settings.timeout is not None:
            job.timeout = definition.settings.timeout  # type: ignore[assignment]
        context = JobContext(job, resources=self._resources, progress=self.note_progress)
        running = Running(job, definition, context, activation, after=self.held.get(job.id))
        if running.after is not None and running.after.activation is None:
            self._logger.warning("%s was claimed again while it still ran here; stopping the older run", job.id)
        if running.after is not None:
            self.stop_job(running.after, Stopped.LOST)
        self.held[job.id] = running
        self.executing += 1
        self._executing_in[job.queue] = self._executing_in.get(job.queue, 0) + 1
        running.task = asyncio.get_running_loop().create_task(self._run(running))

    async def _run(self, running: Running) -> None:
        job = running.job
        running.started = True
        enter_job(running.context)
        transition: Transition | None
        try:
            if running.after is not None and running.after.task is not None:
                await asyncio.wait([running.after.task])
            running.after = None
            if running.stopped is not None:
                transition = self._stopped(running)
            elif running.activation is not None:
                transition = await running.activation.run()
            else:
                transition = await self._attempt(running)
        except asyncio.CancelledError as error:
            if running.stopped is None:
                transition = self._failed(running, RuntimeError(f"the handler ended with {error!r}"))
            else:
                transition = self._stopped(running)
        except Exception as error:
            transition = self._failed(running, error)
        running.executing = False
        self.executing -= 1
        self._executing_in[job.queue] -= 1
        if transition is None:
            self._forget(running)
        else:
            self.outbox.add(transition)
        if self._hungry or self._settings.queues.get(job.queue):
            self.nudge()

    async def _attempt(self, running: Running) -> Transition:
        job, definition = running.job, running.definition
        assert definition is not None
        try:
            running.context.arguments = definition.signature.load(job.payload)
        except InvalidArguments as error:
            return invalid_payload(job, error)
        self._report.started(job)
        running.began = time.perf_counter()
        value = await self._execution.handler(definition)(job)
        return returned(job, definition, value, limit=self._settings.result_limit)

    def _failed(self, running: Running, error: BaseException) -> Transition:
        policy = self._settings.policy
        if running.activation is not None:
            self._logger.error("the activation of %s (%s) broke", running.job.name, running.job.id, exc_info=error)
            self._report.raised(running.job, error)
            return Transition(running.job.id, running.job.epoch, Verdict.SNOOZE, delay=_AFTER_A_BREAK)
        raised = observe(error, running.definition, limit=policy.traceback_limit)
        return decide(raised, running.job, running.definition, policy)

    def _stopped(self, running: Running) -> Transition | None:
        job = running.job
        if running.stopped is Stopped.REQUESTED and running.activation is None:
            return Transition(job.id, job.epoch, Verdict.CANCEL, reason="cancelled")
        if running.stopped is Stopped.LOST:
            return None
        return Transition(job.id, job.epoch, Verdict.RELEASE)

    def stop_job(self, running: Running, why: Stopped) -> None:
        """Stops a handler; what is written for it follows from `why`."""
        if not running.executing or running.stopped is Stopped.LOST:
            return
        first = running.stopped is None
        running.stopped = why
        running.context.cancel()
        if running.activation is not None:
            running.activation.stop(why)
        elif first and running.started and running.task is not None:
            running.task.cancel()

    # -- after ---------------------------------------------------------------------------------------------------

    def _settled(self, transition: Transition, finished: Finished) -> None:
        running = self.held.get(transition.job_id)
        if running is None or running.job.epoch != transition.epoch:
            return
        self._forget(running)
        job = running.job
        if finished.reply is not Reply.APPLIED:
            self._report.stale(job)
            return
        job.state = finished.state or job.state
        job.run_at = finished.run_at or job.run_at
        elapsed = time.perf_counter() - running.began if running.began else 0.0
        self._report.ended(job, transition, elapsed=elapsed)

    def _culprit(self, transition: Transition, error: DataRejected) -> Transition:
        running = self.held.get(transition.job_id)
        if running is None or transition.reason == "result_not_storable":
            return transition
        return not_storable(running.job, f"the store refused the outcome of {running.job.name}: {error}")

    def _forget(self, running: Running) -> None:
        if self.held.get(running.job.id) is running:
            del self.held[running.job.id]
        self._progress.pop(running.job.id, None)
        if self._hungry or not self.held or self._settings.max_jobs is not None:
            self.nudge()

    def note_progress(self, job: Job, fraction: float, note: str | None) -> None:
        """Keeps what a handler reports of its progress, to be written soon."""
        self._progress[job.id] = (job.epoch, fraction, note)

    def take_progress(self) -> list[tuple[JobID, int, float, str | None]]:
        """What handlers reported since the last call, the newest report of each job."""
        if not self._progress:
            return []
        reports, self._progress = self._progress, {}
        return [(job_id, *report) for job_id, report in reports.items()]
