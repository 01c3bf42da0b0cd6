"""The jobs part of the memory store: each verb takes the lock, asks the clock once and delegates."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from dispatch.entity import Page, Reply
from dispatch.ids import DLQID, JobID, WorkerID
from dispatch.jobs.model import (
    WAITING,
    Attempt,
    Changed,
    Claimed,
    CountOptions,
    Enqueued,
    Finished,
    Job,
    JobState,
    KeyHolders,
    ListOptions,
    NewJob,
    Renewed,
    Stolen,
    Transition,
    Verdict,
)
from dispatch.scope import Scope
from dispatch.stores.memory import aside, changes, finish, leases, prune
from dispatch.stores.memory.claim import Claim
from dispatch.stores.memory.data import Session, tally_of
from dispatch.stores.memory.enqueue import enqueue
from dispatch.stores.memory.pages import newest_first
from dispatch.stores.memory.rows import Row, copy_job, in_scope


class MemoryJobs:
    """The verbs of JobStore."""

    def __init__(self, session: Session) -> None:
        self._session = session

    async def enqueue(self, jobs: Sequence[NewJob]) -> list[Enqueued]:
        with self._session as data:
            return enqueue(data, jobs, data.clock.now())

    async def claim(
        self,
        worker_id: WorkerID,
        *,
        queues: Mapping[str, int],
        names: Collection[str],
        limit: int,
        lease: float,
        alone: bool = False,
    ) -> Claimed:
        with self._session as data:
            claimed = Claim(data, worker_id, names, lease, data.clock.now()).run(queues, limit, alone=alone)
            if claimed.expired:
                data.signal.bump()
            return claimed

    async def renew(self, worker_id: WorkerID, held: Sequence[tuple[JobID, int]], *, lease: float) -> Renewed:
        with self._session as data:
            return leases.renew(data, worker_id, held, lease, data.clock.now())

    async def finish(self, worker_id: WorkerID, transitions: Sequence[Transition]) -> list[Finished]:
        with self._session as data:
            return finish.finish(data, worker_id, transitions, data.clock.now())

    async def release(self, worker_id: WorkerID, held: Sequence[tuple[JobID, int]]) -> list[Reply]:
        transitions = [Transition(job_id, epoch, Verdict.RELEASE) for job_id, epoch in held]
        return [finished.reply for finished in await self.finish(worker_id, transitions)]

    async def steal(self, *, limit: int, max_crashes: int, delays: Sequence[float]) -> list[Stolen]:
        with self._session as data:
            return finish.steal(data, limit, max_crashes, delays, data.clock.now())

    async def quarantined(self, *, queues: Collection[str], names: Collection[str], due_for: float) -> bool:
        with self._session as data:
            return aside.quarantined(data, queues, names, due_for, data.clock.now())

    async def unblock(self, *, limit: int) -> int:
        with self._session as data:
            now = data.clock.now()
            return sum(data.unblock(key, now) for key in list(data.concurrency.keys)[:limit])

    async def holders(self, key: str, *, limit: int = 100) -> KeyHolders:
        with self._session as data:
            found = data.concurrency.keys.get(key)
            return KeyHolders(None, []) if found is None else KeyHolders(found.most, sorted(found.running)[:limit])

    async def set_aside(self, *, due_for: float, limit: int) -> int:
        with self._session as data:
            return aside.set_aside(data, due_for, limit, data.clock.now())

    async def bury_unserved(self, *, due_for: float, limit: int) -> Sequence[DLQID]:
        with self._session as data:
            return aside.bury_unserved(data, due_for, limit, data.clock.now())

    async def cancel(self, job_id: JobID, *, scope: Scope | None = None, reason: str = "cancelled") -> Changed:
        with self._session as data:
            return changes.cancel(data, job_id, scope, reason, data.clock.now())

    async def cancel_many(
        self, job_ids: Sequence[JobID], *, scope: Scope | None = None, reason: str = "cancelled"
    ) -> list[Changed]:
        return [await self.cancel(job_id, scope=scope, reason=reason) for job_id in job_ids]

    async def cancel_requests(self, worker_id: WorkerID) -> list[JobID]:
        with self._session as data:
            return sorted(row.id for row in data.cancelling.values() if row.worker_id == worker_id)

    async def retry(self, job_id: JobID, *, scope: Scope | None = None) -> Changed:
        with self._session as data:
            return changes.retry(data, job_id, scope, data.clock.now())

    async def delete(
        self, job_id: JobID, *, scope: Scope | None = None, states: Collection[JobState] | None = None
    ) -> Reply:
        with self._session as data:
            return prune.delete(data, job_id, scope, data.clock.now(), states=states)

    async def prune(
        self,
        *,
        completed: float | None,
        failed: float | None,
        cancelled: float | None,
        limit: int,
        dry_run: bool = False,
    ) -> int:
        ages = {JobState.COMPLETED: completed, JobState.FAILED: failed, JobState.CANCELLED: cancelled}
        with self._session as data:
            return prune.prune(data, ages, limit, dry_run, data.clock.now())

    async def progress(
        self, worker_id: WorkerID, reports: Sequence[tuple[JobID, int, float, str | None]]
    ) -> list[Reply]:
        with self._session as data:
            return leases.progress(data, worker_id, reports, data.clock.now())

    async def get(self, job_id: JobID, *, scope: Scope | None = None) -> Job | None:
        with self._session as data:
            row = data.rows.get(job_id)
            return copy_job(row) if row is not None and in_scope(row.scope, scope) else None

    async def count(self, options: CountOptions) -> dict[JobState, int]:
        with self._session as data:
            total = dict.fromkeys(JobState, 0)
            for tally in data.tallies.values():
                if (
                    _among(tally.queue.name, options.queues)
                    and _among(tally.name, options.names)
                    and _among(tally.kind, options.kinds)
                    and in_scope(tally.scope, options.scope)
                ):
                    for state, number in tally.counts.items():
                        total[state] += number
            return total

    async def attempts(self, job_id: JobID) -> list[Attempt]:
        with self._session as data:
            return list(data.attempts.get(job_id, ()))

    async def ahead(self, job_id: JobID, *, limit: int = 10_000) -> int:
        with self._session as data:
            row = data.rows.get(job_id)
            if row is None or row.state not in WAITING:
                return 0
            now = data.clock.now()
            ready = tally_of(row).queue.ready
            ready.promote(list(ready.scheduled), now)
            mine = (-row.priority, row.run_at, row.id)
            count = 0
            for heap in ready.due_heaps():
                for other in heap.rows():
                    before = other.lane == row.lane and (-other.priority, other.run_at, other.id) < mine
                    count += before and other.run_at <= now
            return min(count, limit)

    async def list(self, options: ListOptions) -> Page[Job]:
        tags = frozenset(options.tags)

        def matches(row: Row) -> bool:
            return (
                _among(row.state, options.states)
                and _among(row.queue, options.queues)
                and _among(row.name, options.names)
                and _among(row.kind, options.kinds)
                and in_scope(row.scope, options.scope)
                and tags.issubset(row.tags)
                and (options.created_after is None or row.created_at > options.created_after)
                and (options.created_before is None or row.created_at < options.created_before)
            )

        with self._session as data:
            return newest_first(
                data.row_order, data.rows, matches, copy_job, limit=options.limit, cursor=options.cursor
            )


def _among(value: str, wanted: Sequence[str]) -> bool:
    return not wanted or value in wanted
