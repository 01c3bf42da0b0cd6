"""The jobs part of a SQL store: each verb is one plan, run as one transaction."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING

from dispatch.clock import from_micros
from dispatch.entity import Page, Reply
from dispatch.ids import DLQID, JobID, WorkerID
from dispatch.jobs.model import (
    Attempt,
    Changed,
    Claimed,
    CountOptions,
    Enqueued,
    Failure,
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
from dispatch.stores.sql import changes, concurrency, leases, listing, prune
from dispatch.stores.sql.claim import Claim
from dispatch.stores.sql.enqueue import enqueue
from dispatch.stores.sql.finish import finish
from dispatch.stores.sql.plan import Each, Executor, Plan, Rows, first
from dispatch.stores.sql.rows import job_of, moment, scope_params, span

if TYPE_CHECKING:
    from builtins import list as List

CANCELLED_AT_ONCE = 200
"""Jobs that one transaction cancels, so that it is over soon."""
_PROGRESS = ("id", "worker_id", "epoch", "progress", "note", "now")


class SQLJobs(ABC):
    """JobStore over any SQL executor."""

    def __init__(self, executor: Executor) -> None:
        self._executor = executor
        self._rotation: dict[str, str] = {}
        self._repaired = ("", "")
        """Queue and key up to which the last repair looked."""
        self._flowing = False
        """The last claim took something, so the next one does not look first."""

    async def enqueue(self, jobs: Sequence[NewJob]) -> List[Enqueued]:
        if not jobs:
            return []
        return await self._executor.run(lambda: enqueue(jobs, self._executor.now()))

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
        def begin() -> Claim:
            return Claim(worker_id, queues, names, limit, lease, self._executor.now(), self._rotation)

        if not self._flowing:
            # an idle worker only reads: it neither takes the write lock nor wakes anybody
            nothing = await self._executor.run(lambda: self._look(begin(), alone), write=False)
            if nothing is not None:
                return nothing
        claimed = await self._executor.run(lambda: begin().run(alone), durable=False, wake=False, late=False)
        self._flowing = bool(claimed.jobs)
        return claimed

    def _look(self, claim: Claim, alone: bool) -> Plan[Claimed | None]:
        """Whether there is something to claim: None, or else the answer of an empty claim."""
        return claim.peek(alone)

    async def renew(self, worker_id: WorkerID, held: Sequence[tuple[JobID, int]], *, lease: float) -> Renewed:
        return await self._executor.run(
            lambda: leases.renew(worker_id, held, lease, self._executor.now()), durable=False, wake=False
        )

    async def finish(self, worker_id: WorkerID, transitions: Sequence[Transition]) -> List[Finished]:
        if not transitions:
            return []
        return await self._executor.run(lambda: self._finish(worker_id, transitions))

    def _finish(self, worker_id: WorkerID, transitions: Sequence[Transition]) -> Plan[List[Finished]]:
        return finish(worker_id, transitions, self._executor.now(), complete=self._complete)

    @abstractmethod
    def _complete(self, worker_id: WorkerID, plain: Sequence[Transition], now: int) -> Plan[set[JobID]]:
        """The dialect's finish.Complete."""

    async def release(self, worker_id: WorkerID, held: Sequence[tuple[JobID, int]]) -> List[Reply]:
        if not held:
            return []
        given = [Transition(job_id, epoch, Verdict.RELEASE) for job_id, epoch in held]
        answers = await self._executor.run(lambda: self._finish(worker_id, given), durable=False)
        return [answer.reply for answer in answers]

    async def steal(self, *, limit: int, max_crashes: int, delays: Sequence[float]) -> List[Stolen]:
        def look() -> Plan[bool]:
            return bool((yield Rows("some_lapsed", {"now": self._executor.now()}))[0][0])

        if limit <= 0 or not await self._executor.run(look, write=False, single=True):
            return []
        # right after an outage, a steal from before it would take what its owners are about to renew
        return await self._executor.run(
            lambda: leases.steal(limit, max_crashes, delays, self._executor.now()), late=False
        )

    async def quarantined(self, *, queues: Collection[str], names: Collection[str], due_for: float) -> bool:
        def plan() -> Plan[bool]:
            now = self._executor.now()
            nobody = WorkerID("")
            return (
                yield from Claim(nobody, dict.fromkeys(queues, 1), names, 1, 0.0, now, {}).quarantined(
                    now - span(due_for)
                )
            )

        return await self._executor.run(plan, write=False)

    async def unblock(self, *, limit: int) -> int:
        def look() -> Plan[bool]:
            return bool((yield Rows("blocked_keys", {"queue": "", "key": "", "limit": 1})))

        if limit <= 0 or not await self._executor.run(look, write=False):
            return 0
        count, self._repaired = await self._executor.run(
            lambda: concurrency.repair(self._repaired, limit, self._executor.now())
        )
        return count

    async def holders(self, key: str, *, limit: int = 100) -> KeyHolders:
        return await self._executor.run(lambda: concurrency.holders(key, limit), write=False)

    async def set_aside(self, *, due_for: float, limit: int) -> int:
        def plan() -> Plan[int]:
            now = self._executor.now()
            return (yield from leases.set_aside(now - span(due_for), limit, now))

        return await self._executor.run(plan) if limit > 0 else 0

    async def bury_unserved(self, *, due_for: float, limit: int) -> List[DLQID]:
        def plan() -> Plan[List[DLQID]]:
            now = self._executor.now()
            return (yield from leases.bury_unserved(now - span(due_for), limit, now))

        return await self._executor.run(plan) if limit > 0 else []

    async def cancel(self, job_id: JobID, *, scope: Scope | None = None, reason: str = "cancelled") -> Changed:
        return await self._executor.run(lambda: changes.cancel(job_id, scope, reason, self._executor.now()))

    async def cancel_many(
        self, job_ids: Sequence[JobID], *, scope: Scope | None = None, reason: str = "cancelled"
    ) -> List[Changed]:
        answers: dict[JobID, Changed] = {}
        ids = sorted({*job_ids})
        for start in range(0, len(ids), CANCELLED_AT_ONCE):
            some = ids[start : start + CANCELLED_AT_ONCE]
            answers |= await self._executor.run(partial(self._cancel_some, some, scope, reason))
        return [answers[job_id] for job_id in job_ids]

    def _cancel_some(self, job_ids: Sequence[JobID], scope: Scope | None, reason: str) -> Plan[dict[JobID, Changed]]:
        return changes.cancel_some(job_ids, scope, reason, self._executor.now())

    async def cancel_requests(self, worker_id: WorkerID) -> List[JobID]:
        def plan() -> Plan[List[JobID]]:
            rows = yield Rows("cancel_requests", {"worker_id": str(worker_id)})
            return [JobID(id_) for (id_,) in rows]

        return await self._executor.run(plan, write=False, single=True)

    async def retry(self, job_id: JobID, *, scope: Scope | None = None) -> Changed:
        return await self._executor.run(lambda: changes.retry(job_id, scope, self._executor.now()))

    async def delete(
        self, job_id: JobID, *, scope: Scope | None = None, states: Collection[JobState] | None = None
    ) -> Reply:
        return await self._executor.run(lambda: prune.delete(job_id, scope, self._executor.now(), states=states))

    async def prune(
        self,
        *,
        completed: float | None,
        failed: float | None,
        cancelled: float | None,
        limit: int,
        dry_run: bool = False,
    ) -> int:
        now = self._executor.now()
        ages = {JobState.COMPLETED: completed, JobState.FAILED: failed, JobState.CANCELLED: cancelled}
        before = {state: now - span(age) for state, age in ages.items() if age is not None}
        if limit <= 0:
            return 0
        found = await self._executor.run(lambda: prune.count(before, limit if dry_run else 1), write=False)
        if dry_run or not found:
            return found
        return await self._executor.run(lambda: prune.prune(before, limit), durable=False, wake=False)

    async def progress(
        self, worker_id: WorkerID, reports: Sequence[tuple[JobID, int, float, str | None]]
    ) -> List[Reply]:
        def plan() -> Plan[List[Reply]]:
            now = self._executor.now()
            rows = [(str(id_), str(worker_id), epoch, share, note, now) for id_, epoch, share, note in reports]
            changed = yield Each("report_progress", _PROGRESS, rows)
            replies = []
            for (job_id, *_), count in zip(reports, changed, strict=True):
                known = count or (yield Rows("job_state", {"id": str(job_id)}))
                replies.append(Reply.APPLIED if count else Reply.STALE if known else Reply.MISSING)
            return replies

        return await self._executor.run(plan, durable=False) if reports else []

    async def get(self, job_id: JobID, *, scope: Scope | None = None) -> Job | None:
        def plan() -> Plan[Job | None]:
            row = first((yield Rows("get_job", {"id": str(job_id), **scope_params(scope)})))
            return None if row is None else job_of(row)

        return await self._executor.run(plan, write=False, single=True)

    async def list(self, options: ListOptions) -> Page[Job]:
        return await self._executor.run(lambda: listing.list_jobs(options), write=False)

    async def count(self, options: CountOptions) -> dict[JobState, int]:
        return await self._executor.run(lambda: listing.count_jobs(options), write=False, single=True)

    async def attempts(self, job_id: JobID) -> List[Attempt]:
        def plan() -> Plan[List[Attempt]]:
            rows = yield Rows("attempts", {"job_id": str(job_id)})
            return [
                Attempt(
                    number,
                    kind,
                    Failure(error, message, traceback),
                    None if worker is None else WorkerID(worker),
                    epoch,
                    moment(started_at),
                    from_micros(ended_at),
                )
                for number, kind, error, message, traceback, worker, epoch, started_at, ended_at in rows
            ]

        return await self._executor.run(plan, write=False, single=True)

    async def ahead(self, job_id: JobID, *, limit: int = 10_000) -> int:
        return await self._executor.run(lambda: listing.ahead(job_id, limit, self._executor.now()), write=False)
