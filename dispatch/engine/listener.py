"""Turns the store's wake-ups into rounds of the worker (and of plugins' loops) and looks for cancel requests."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence

from dispatch.clock import boot_seconds
from dispatch.engine.service import Service
from dispatch.engine.stopped import Stopped
from dispatch.engine.worker import Worker
from dispatch.ids import WorkerID
from dispatch.store import Store, TellsAtOnce

_LONGEST_WAIT = 30.0
_BETWEEN_LOOKS = 0.05


class Listener(Service):
    """One round is one wake-up."""

    name = "listener"

    def __init__(
        self,
        store: Store,
        worker_id: WorkerID,
        worker: Worker,
        *,
        call_timeout: float,
        on_death: Callable[[BaseException], None],
        logger: logging.Logger,
        others: Sequence[Service] = (),
    ) -> None:
        super().__init__(interval=0.0, logger=logger, on_death=on_death)
        self._store = store
        self._id = worker_id
        self._worker = worker
        self._others = others
        self._call_timeout = call_timeout
        self._seen = store.wakeups.version
        self._looked_at = 0.0
        self._owes_look = False
        """A wake-up came too soon after the last look at the cancel requests."""
        self._waiting = False
        self._hush: Callable[[], object] | None = None
        """Where the store tells the worker itself: what ends that."""

    def start(self) -> None:
        """Begins to listen; where the store can, it tells the worker without a way through here."""
        wakeups = self._store.wakeups
        self._hush = wakeups.tell(self._worker.nudge) if isinstance(wakeups, TellsAtOnce) else None
        super().start()

    async def run_once(self) -> float | None:
        """Waits for the store to change, wakes the worker, and cancels what somebody asked to cancel."""
        patience = _BETWEEN_LOOKS if self._owes_look else _LONGEST_WAIT
        self._waiting = True
        try:
            version = await self._store.wakeups.wait(self._seen, patience)
        except asyncio.CancelledError:
            if self._stopping:
                return None
            raise
        finally:
            self._waiting = False
        if version != self._seen:
            self._seen = version
            self._owes_look = True
            if self._hush is None:
                self._worker.nudge()
            for service in self._others:
                service.nudge()
        if self._owes_look and boot_seconds() - self._looked_at >= _BETWEEN_LOOKS:
            self._owes_look = False
            await self._look()
        return 0.0

    async def _look(self) -> None:
        if not self._worker.held:
            return
        self._looked_at = boot_seconds()
        async with asyncio.timeout(self._call_timeout):
            requests = await self._store.jobs.cancel_requests(self._id)
        for job_id in requests:
            running = self._worker.held.get(job_id)
            if running is not None:
                self._worker.stop_job(running, Stopped.REQUESTED)

    async def stop(self) -> None:
        """Ends the wait, then the loop."""
        self._stopping = True
        if self._hush is not None:
            self._hush()
        if self._waiting and self._task is not None:
            self._task.cancel()
        await super().stop()
