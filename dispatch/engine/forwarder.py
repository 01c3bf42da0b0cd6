"""Moves jobs from an outbox to their store, each once; every worker does it, and two at once share the rows."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from datetime import datetime

from dispatch.clock import utc_now
from dispatch.errors import Conflict, DataRejected, InvalidArguments
from dispatch.ids import WorkerID
from dispatch.jobs.model import Failure, Job, NewJob, Transition, Verdict
from dispatch.store import Store
from dispatch.stores.outbox_rows import NAME, QUEUE, due_from, job_in

_AT_ONCE = 100
_LEASE = 10.0
"""Seconds after which another worker takes over what one that died was moving."""
_EVER = 1 << 30


class Forwarder:
    """A loop among a worker's own. A row is claimed, its job enqueued under the same id, the row deleted: whoever dies
    in between leaves a row that the next one moves again, and the store knows the id.

    Args:
        store: where jobs live. outbox: the store that keeps them until then.
        poll: seconds between two looks where nobody is told of commits.
        lease: seconds for which rows are this worker's.
    """

    name = "outbox"

    def __init__(
        self,
        store: Store,
        outbox: Store,
        *,
        poll: float,
        lease: float = _LEASE,
        logger: logging.Logger | None = None,
    ) -> None:
        self._store = store
        self._outbox = outbox
        self._poll = poll
        self._lease = lease
        self._worker = WorkerID.new()
        self._logger = logger or logging.getLogger("dispatch.outbox")

    async def run_once(self) -> float:
        """Moves what is there; answers 0 while there may be more, else waits until something may be."""
        jobs = self._outbox.jobs
        seen = self._outbox.wakeups.version
        claimed = await jobs.claim(
            self._worker, queues={QUEUE: _AT_ONCE}, names=[NAME], limit=_AT_ONCE, lease=self._lease, alone=True
        )
        if claimed.jobs:
            await self._move(claimed.jobs, claimed.now or utc_now())
            return 0.0
        if await jobs.steal(limit=_AT_ONCE, max_crashes=_EVER, delays=[0.0]) or await self._delete_moved():
            return 0.0
        await self._outbox.wakeups.wait(seen, self._poll)
        return 0.0

    async def _move(self, rows: Sequence[Job], now: datetime) -> None:
        """Enqueues the jobs in their store, then deletes the rows; a store that does not answer leaves them due."""
        try:
            said = await self._enqueued(rows, now)
        except BaseException:
            await self._outbox.jobs.release(self._worker, [(row.id, row.epoch) for row in rows])
            raise
        await self._outbox.jobs.finish(self._worker, said)
        await self._delete_moved()

    async def _delete_moved(self) -> int:
        """Deletes rows whose jobs are in their store, those too that somebody else did not come to delete."""
        return await self._outbox.jobs.prune(completed=0.0, failed=None, cancelled=None, limit=2 * _AT_ONCE)

    async def _enqueued(self, rows: Sequence[Job], now: datetime) -> list[Transition]:
        found: list[tuple[Job, NewJob]] = []
        said: list[Transition] = []
        for row in rows:
            try:
                found.append((row, due_from(job_in(row), row.created_at, now)))
            except DataRejected as error:
                said.append(self._refused(row, error))
        try:
            await self._store.jobs.enqueue([job for _, job in found])
        except (Conflict, DataRejected, InvalidArguments):
            for row, job in found:
                said.append(await self._alone(row, job))
        else:
            said += [Transition(row.id, row.epoch, Verdict.COMPLETE) for row, _ in found]
        return said

    async def _alone(self, row: Job, job: NewJob) -> Transition:
        """Enqueues one job, as one of those that came with it is refused."""
        try:
            await self._store.jobs.enqueue([job])
        except Conflict as error:
            self._logger.warning("outbox: %s was not enqueued: %s", job.id, error)
        except (DataRejected, InvalidArguments) as error:
            return self._refused(row, error)
        return Transition(row.id, row.epoch, Verdict.COMPLETE)

    def _refused(self, row: Job, error: Exception) -> Transition:
        """Keeps the row as a dead letter of the outbox, for people to look at."""
        self._logger.error("outbox: %s can not be enqueued and is kept as a dead letter there: %s", row.id, error)
        failure = Failure(type(error).__name__, str(error))
        return Transition(row.id, row.epoch, Verdict.FAIL, failure=failure, dead_letter=True, reason="not_forwarded")
