"""Moves jobs that nobody alive can run out of the workers' way, and stores what handlers report of their progress."""

from __future__ import annotations

import logging
from collections.abc import Callable

from dispatch.engine.service import Service
from dispatch.engine.settings import Settings
from dispatch.engine.worker import Worker
from dispatch.ids import WorkerID
from dispatch.store import Store

BATCH = 500
_LONGEST_INTERVAL = 10.0
_BETWEEN_REPORTS = 0.25


class Sweeper(Service):
    """One round sets aside jobs due for `unserved_after` whose name no live worker announces."""

    name = "sweeper"

    def __init__(
        self,
        store: Store,
        settings: Settings,
        *,
        may_sweep: Callable[[], bool],
        on_death: Callable[[BaseException], None],
        logger: logging.Logger,
    ) -> None:
        interval = min(settings.unserved_after / 2, _LONGEST_INTERVAL)
        super().__init__(interval=interval, limit=settings.call_timeout, logger=logger, on_death=on_death)
        self._store = store
        self._settings = settings
        self._may_sweep = may_sweep
        self._untold = 0
        """Jobs that were set aside since the log was told of some."""

    async def run_once(self) -> float | None:
        """Sets aside up to BATCH jobs; with `unknown_grace`, buries those that have waited even longer; looks at up to
        BATCH concurrency keys that block jobs. Not while the living may look dead: their beats could be as late as
        ours, or seem so."""
        if not self._may_sweep():
            return None
        moved = await self._store.jobs.set_aside(due_for=self._settings.unserved_after, limit=BATCH)
        self._untold += moved
        if self._untold and moved < BATCH:
            self._logger.warning(
                "%d due jobs were set aside: no live worker announces their names; `dispatch job list --state pending` "
                "shows them",
                self._untold,
            )
            self._untold = 0
        repaired = await self._store.jobs.unblock(limit=BATCH)
        if repaired:
            self._logger.warning("%d blocked jobs were let in: their concurrency keys had room", repaired)
        grace = self._settings.unknown_grace
        if grace is not None:
            buried = await self._store.jobs.bury_unserved(due_for=grace, limit=BATCH)
            for entry in buried:
                self._logger.error("%s became a dead letter: nobody served it for %g s", entry, grace)
        return 0.0 if moved == BATCH else None


class ProgressWriter(Service):
    """One round stores the newest progress of each job that reported some."""

    name = "progress"

    def __init__(
        self,
        store: Store,
        worker_id: WorkerID,
        worker: Worker,
        *,
        call_timeout: float,
        on_death: Callable[[BaseException], None],
        logger: logging.Logger,
    ) -> None:
        super().__init__(interval=_BETWEEN_REPORTS, limit=call_timeout, logger=logger, on_death=on_death)
        self._store = store
        self._id = worker_id
        self._worker = worker

    async def run_once(self) -> float | None:
        """Writes what was reported since the last round."""
        reports = self._worker.take_progress()
        if reports:
            await self._store.jobs.progress(self._id, reports)
        return None
