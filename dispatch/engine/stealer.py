"""Takes jobs from workers that stopped renewing, and makes room for those that must run alone."""

from __future__ import annotations

import logging
from collections.abc import Callable

from dispatch.backoff import ExponentialWithJitter
from dispatch.clock import boot_seconds
from dispatch.engine.report import Report
from dispatch.engine.runs.report import RunReport
from dispatch.engine.service import Service
from dispatch.engine.settings import Settings
from dispatch.engine.worker import Worker
from dispatch.entity import Reply
from dispatch.ids import WorkerID
from dispatch.jobs.model import JobState
from dispatch.store import Store
from dispatch.workflows.model import RunState

BATCH = 200
QUARANTINE_SLOT = "dispatch.quarantine"
_SEEN_DUE_FOR = 5.0
_LONGEST_SEEN_DUE = 1.0


class Stealer(Service):
    """One round steals what has lapsed; any worker may do it, any number at once."""

    name = "stealer"

    def __init__(
        self,
        store: Store,
        settings: Settings,
        *,
        may_steal: Callable[[], bool],
        report: Report,
        on_death: Callable[[BaseException], None],
        logger: logging.Logger,
    ) -> None:
        super().__init__(
            interval=settings.heartbeat_interval, limit=settings.call_timeout, logger=logger, on_death=on_death
        )
        self._store = store
        self._settings = settings
        self._may_steal = may_steal
        self._report = report
        self._runs = RunReport(report, report.plugins, logger=logging.getLogger("dispatch.workflow"))
        self._pauses = ExponentialWithJitter(base=min(1.0, settings.lease / 10), max=settings.lease)

    async def run_once(self) -> float | None:
        """Steals up to BATCH lapsed jobs, unless the store was out of reach within the last lease."""
        if not self._may_steal():
            return None
        delays = [self._pauses.delay(n).total_seconds() for n in range(1, self._settings.max_crashes + 2)]
        stolen = await self._store.jobs.steal(limit=BATCH, max_crashes=self._settings.max_crashes, delays=delays)
        for one in stolen:
            self._report.stolen(one)
            if one.job.kind == "workflow" and one.job.state is JobState.FAILED and one.job.run_id is not None:
                # it has cost too many workers while it took back what it did
                run = await self._store.workflows.get(one.job.run_id)
                if run is not None and run.state is RunState.FAILED:
                    self._runs.failed(run)
        return 0.0 if len(stolen) == BATCH else None


class Quarantine(Service):
    """One round looks for a job that must run alone; where one has been due for a while, this worker drains for it."""

    name = "quarantine"

    def __init__(
        self,
        store: Store,
        worker_id: WorkerID,
        worker: Worker,
        settings: Settings,
        *,
        on_death: Callable[[BaseException], None],
        logger: logging.Logger,
    ) -> None:
        interval = min(settings.heartbeat_interval, 1.0)
        super().__init__(interval=interval, limit=settings.call_timeout, logger=logger, on_death=on_death)
        self._store = store
        self._id = worker_id
        self._worker = worker
        self._settings = settings
        self._draining_since: float | None = None
        self._not_before = 0.0

    async def run_once(self) -> float | None:
        """Takes or keeps the one slot and holds claims until the worker has drained; gives up when that takes long."""
        if self._draining_since is not None:
            await self._continue(self._draining_since)
            return None
        if not self._worker.held or boot_seconds() < self._not_before:
            return None
        due_for = min(_SEEN_DUE_FOR, max(self._settings.lease / 5, _LONGEST_SEEN_DUE))
        due = await self._store.jobs.quarantined(
            queues=tuple(self._settings.queues), names=tuple(self._worker.names), due_for=due_for
        )
        if due:
            lease = self._settings.lease
            taken = await self._store.queues.take_slot(QUARANTINE_SLOT, self._id, lease=lease, limit=1)
            if taken is Reply.APPLIED:
                self._draining_since = boot_seconds()
                self._worker.hold = True
        return None

    async def _continue(self, since: float) -> None:
        if not self._worker.held:
            self._worker.hold = False
            self._worker.nudge()
            if self._worker.idle_round:
                await self._leave()
        elif self._worker.alone:
            self._worker.hold = False
            await self._leave()
        elif boot_seconds() - since > self._settings.lease:
            self._worker.hold = False
            self._worker.nudge()
            self._not_before = boot_seconds() + self._settings.lease
            await self._leave()
        elif self._worker.hold:
            await self._store.queues.renew_slot(QUARANTINE_SLOT, self._id, lease=self._settings.lease)
        else:
            await self._leave()

    async def _leave(self) -> None:
        self._draining_since = None
        await self._store.queues.free_slot(QUARANTINE_SLOT, self._id)
