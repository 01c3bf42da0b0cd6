"""Group commit: a worker's outcomes are written together, at once when idle, else when the last flush is done."""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Callable, Sequence

from dispatch.entity import Reply
from dispatch.errors import DataRejected, StoreError
from dispatch.ids import WorkerID
from dispatch.jobs.model import Finished, Transition
from dispatch.jobs.store import JobStore

BATCH = 500
_FIRST_PAUSE = 0.05
_LONGEST_PAUSE = 2.0
Settled = Callable[[Transition, Finished], None]
Culprit = Callable[[Transition, DataRejected], Transition]


class Outbox:
    """Collects transitions and flushes them; `settled` hears of each once the store has answered."""

    def __init__(
        self,
        jobs: JobStore,
        worker_id: WorkerID,
        *,
        settled: Settled,
        culprit: Culprit,
        give_up: Callable[[], bool],
        call_timeout: float,
        logger: logging.Logger,
    ) -> None:
        self._jobs = jobs
        self._worker_id = worker_id
        self._settled = settled
        self._culprit = culprit
        self._give_up = give_up
        self._call_timeout = call_timeout
        self._logger = logger
        self._waiting: list[Transition] = []
        self._flusher: asyncio.Task[None] | None = None
        self._idle = asyncio.Event()
        self._idle.set()

    def add(self, transition: Transition) -> None:
        """Takes a transition; it is written with whatever else has come by the end of this turn of the loop."""
        self._waiting.append(transition)
        if self._flusher is None:
            self._idle.clear()
            self._flusher = asyncio.get_running_loop().create_task(self._flush(), name="dispatch outbox")

    async def drained(self) -> None:
        """Waits until nothing is left to write."""
        await self._idle.wait()

    async def _flush(self) -> None:
        try:
            while self._waiting:
                batch, self._waiting = self._waiting[:BATCH], self._waiting[BATCH:]
                await self._write(batch)
        finally:
            self._flusher = None
            self._idle.set()

    async def _write(self, batch: list[Transition]) -> None:
        pause = _FIRST_PAUSE
        while True:
            try:
                async with asyncio.timeout(self._call_timeout):
                    answers = await self._jobs.finish(self._worker_id, batch)
                break
            except DataRejected as error:
                await self._bisect(batch, error)
                return
            except Exception as error:  # whatever it is, the outcomes must not be lost with it
                if self._give_up():
                    self._logger.error("gave up on %d outcomes, their leases are lost: %r", len(batch), error)
                    answers = [Finished(Reply.STALE)] * len(batch)
                    break
                unexpected = not isinstance(error, StoreError | TimeoutError)
                self._logger.warning("%d outcomes wait for the store: %r", len(batch), error, exc_info=unexpected)
            await asyncio.sleep(pause * (0.5 + random.random() / 2))
            pause = min(pause * 2, _LONGEST_PAUSE)
        self._tell(batch, answers)

    async def _bisect(self, batch: list[Transition], error: DataRejected) -> None:
        """Halves a refused batch until the row at fault stands alone, and lets that one fail."""
        if len(batch) == 1:
            replacement = self._culprit(batch[0], error)
            if replacement is batch[0]:
                self._logger.error("the store refuses to end %s: %s", batch[0].job_id, error)
                self._tell(batch, [Finished(Reply.STALE)])
            else:
                await self._write([replacement])
            return
        middle = len(batch) // 2
        await self._write(batch[:middle])
        await self._write(batch[middle:])

    def _tell(self, batch: Sequence[Transition], answers: Sequence[Finished]) -> None:
        for transition, answer in zip(batch, answers, strict=True):
            try:
                self._settled(transition, answer)
            except Exception:
                self._logger.exception("after the end of %s", transition.job_id)
