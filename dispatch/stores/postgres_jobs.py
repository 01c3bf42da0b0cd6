"""The jobs part on PostgreSQL: the busy verbs as one statement each, everything else as the plans of all SQL stores."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import datetime
from functools import partial
from operator import attrgetter
from typing import Any

from asyncpg import UniqueViolationError

from dispatch.clock import boot_seconds, from_micros
from dispatch.entity import Reply
from dispatch.errors import DataRejected, NotTransactional, StoreError
from dispatch.ids import JobID, WorkerID
from dispatch.jobs.alike import ids_of, patterns, payloads_of
from dispatch.jobs.model import (
    Changed,
    Claimed,
    Enqueued,
    Finished,
    Job,
    JobState,
    NewJob,
    Renewed,
    Transition,
    Verdict,
)
from dispatch.scope import Scope
from dispatch.stores.inside.connections import Inside, inside, inside_here, refuse_async
from dispatch.stores.inside.postgres import run_inside, run_inside_here
from dispatch.stores.postgres_executor import PostgresExecutor, Request
from dispatch.stores.postgres_watermark import Place, Watermark
from dispatch.stores.server_jobs import ServerJobs, complete
from dispatch.stores.sql.enqueue import enqueue, is_plain, run_at
from dispatch.stores.sql.plan import Do, Plan, Rows
from dispatch.stores.sql.rows import job_of, parsed, span, to_text

_ALL = 1 << 40
_likeness = attrgetter("queue", "name", "kind", "lane", "priority", "run_at", "delay", "scope", "metadata_text")


class PostgresJobs(ServerJobs):
    """JobStore and EnqueuesInside over an executor on PostgreSQL."""

    def __init__(self, executor: PostgresExecutor) -> None:
        super().__init__(executor)
        self._own = executor
        self._request: Request | None = None
        self._watermark = Watermark()

    async def prepare_inside(self) -> None:
        self._request = await self._own.request()

    async def enqueue_inside(self, connection: object, jobs: Sequence[NewJob]) -> list[Enqueued]:
        found = await inside(connection)
        self._refuse_kind(found)
        answers = await run_inside(found, self._prepared, lambda: self._plan(jobs))
        return self._told(found, answers)

    def enqueue_inside_here(self, connection: object, jobs: Sequence[NewJob]) -> list[Enqueued]:
        found = inside_here(connection)
        self._refuse_kind(found)
        refuse_async(found, connection)
        return self._told(found, run_inside_here(found, self._prepared, lambda: self._plan(jobs)))

    @property
    def _prepared(self) -> Request:
        if self._request is None:
            raise RuntimeError("prepare_inside was not awaited")
        return self._request

    def _plan(self, jobs: Sequence[NewJob]) -> Plan[list[Enqueued]]:
        now = self._executor.now()
        return _insert(jobs, now) if all(map(_is_free, patterns(jobs))) else enqueue(jobs, now)

    def _refuse_kind(self, found: Inside) -> None:
        if found.driver not in ("asyncpg", "psycopg", "psycopg async"):
            raise NotTransactional(
                f"connection is one of {found.driver}, but the store is {self._own.place.shown}: a transaction spans "
                "one database. Give a connection to the store's database, or enqueue without connection= after the "
                "commit"
            )

    def _told(self, found: Inside, answers: list[Enqueued]) -> list[Enqueued]:
        if found.hook is not None:
            found.hook(self._own.wake_soon)
        return answers

    async def enqueue(self, jobs: Sequence[NewJob]) -> list[Enqueued]:
        try:
            return await self._enqueue(jobs)
        finally:
            self._watermark.forget()

    async def _enqueue(self, jobs: Sequence[NewJob]) -> list[Enqueued]:
        if not jobs or not all(map(_is_free, patterns(jobs))):
            return await super().enqueue(jobs)
        if _are_alike(jobs):
            try:
                if self._own.wakeups.take_turn():
                    return await self._enqueue_and_tell(jobs)
                return await self._executor.run(lambda: _insert_new(jobs, self._executor.now()), single=True)
            except DataRejected as error:
                if not isinstance(error.__cause__, UniqueViolationError):
                    raise
        return await self._executor.run(lambda: _insert(jobs, self._executor.now()), single=True)

    async def _enqueue_and_tell(self, jobs: Sequence[NewJob]) -> list[Enqueued]:
        wakeups, channel = self._own.wakeups, self._own.place.channel

        def plan() -> Plan[tuple[list[Enqueued], bool]]:
            return _insert_and_tell(jobs, self._own.now(), channel, wakeups.sender)

        try:
            return (await self._own.run(plan, single=True, then=lambda answer: wakeups.brought(answer[1])))[0]
        except StoreError:
            wakeups.brought(False)  # it may have been written all the same
            raise

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
        left = {queue: share for queue, share in queues.items() if share > 0}
        if limit <= 0 or not names or not left:
            return Claimed([], [], None, from_micros(self._executor.now()))
        known = list(map(str, names))
        taken: list[Job] = []

        def ask(shares: Mapping[str, int], places: Mapping[str, Place] | None = None) -> Callable[[], Plan[_Round]]:
            return partial(
                _claim,
                worker_id,
                shares,
                places,
                known,
                limit - len(taken),
                lease,
                alone and not taken,
                self._executor.now,
            )

        places = {} if alone else self._watermark.places(left)
        if places:
            most = max(1, limit // len(places))
            shares = {queue: min(left[queue], most) for queue in places}
            found = await self._executor.run(ask(shares, places), durable=False, wake=False, late=False, single=True)
            taken = found.jobs(list(shares))
            if len(taken) >= min(limit, sum(shares.values())):
                self._watermark.went_on(taken)
                return Claimed(taken, [], None, from_micros(found.now))
            self._watermark.forget()
            left = {queue: share for queue, share in _less(left, taken).items() if share > 0}

        rounds: list[_Round] = []
        asked = left
        for most in (max(1, limit // len(left)), _ALL):
            shares = {queue: min(share, most) for queue, share in asked.items()}
            began, turn = boot_seconds(), self._watermark.turn
            found = await self._executor.run(ask(shares), durable=False, wake=False, late=False, single=True)
            rounds.append(found)
            jobs = found.jobs(list(shares))
            if turn == self._watermark.turn:
                self._watermark.looked(jobs, met=found.met, limit=limit, took=boot_seconds() - began)
            taken += jobs
            gave = Counter(job.queue for job in jobs)
            left = _less(left, jobs)
            if found.special:
                rest = await super().claim(
                    worker_id,
                    queues=left,
                    names=names,
                    limit=limit - len(taken),
                    lease=lease,
                    alone=alone and not taken,
                )
                return Claimed([*taken, *rest.jobs], rest.expired, rest.next_due, rest.now)
            # a queue that gave less than asked has nothing more to give in the second round
            asked = {queue: left[queue] for queue, share in shares.items() if gave[queue] == share and left[queue]}
            if len(taken) >= limit or not asked:
                break
        due = rounds[0].next_due([queue for queue, share in left.items() if share]) if len(taken) < limit else None
        return Claimed(taken, [], due, from_micros(rounds[0].now))

    async def renew(self, worker_id: WorkerID, held: Sequence[tuple[JobID, int]], *, lease: float) -> Renewed:
        def plan() -> Plan[Renewed]:
            rows = yield Rows(
                "renew_jobs",
                {
                    "worker_id": str(worker_id),
                    "ids": [str(id_) for id_, _ in held],
                    "epochs": [epoch for _, epoch in held],
                    "lease_until": self._executor.now() + span(lease),
                },
            )
            running = {(id_, epoch): cancel for id_, epoch, cancel, renewed in rows if renewed}
            return Renewed(
                held=[id_ for id_, epoch in held if (id_, epoch) in running],
                lost=[id_ for id_, epoch in held if (id_, epoch) not in running],
                cancel_requested=[id_ for id_, epoch in held if running.get((id_, epoch))],
                unnamed=[(JobID(id_), epoch) for id_, epoch, _, renewed in rows if not renewed],
            )

        return await self._executor.run(plan, durable=False, wake=False, single=True)

    async def finish(self, worker_id: WorkerID, transitions: Sequence[Transition]) -> list[Finished]:
        plain = len({said.job_id for said in transitions}) == len(transitions) and all(map(_is_plain, transitions))
        if not plain or not transitions:
            try:
                return await super().finish(worker_id, transitions)
            finally:
                self._watermark.forget()

        changed = await self._executor.run(lambda: complete(worker_id, transitions, self._executor.now()), single=True)
        done = Finished(Reply.APPLIED, JobState.COMPLETED)
        left = [said for said, count in zip(transitions, changed, strict=True) if not count]
        if not left:
            return [done] * len(transitions)
        # stale, repeated, or with a unique key: what becomes of these takes more than one statement
        others = iter(await self._executor.run(lambda: self._finish(worker_id, left)))
        return [done if count else next(others) for count in changed]

    async def release(self, worker_id: WorkerID, held: Sequence[tuple[JobID, int]]) -> list[Reply]:
        try:
            return await super().release(worker_id, held)
        finally:
            self._watermark.forget()

    async def retry(self, job_id: JobID, *, scope: Scope | None = None) -> Changed:
        try:
            return await super().retry(job_id, scope=scope)
        finally:
            self._watermark.forget()


class _Round:
    """What one claim statement answered: the same three facts in every row, and a job or NULLs."""

    def __init__(self, rows: list[tuple[Any, ...]], now: int) -> None:
        self.now = now
        self.special, self._due, self.met = rows[0][:3]
        self._rows = [row[3:] for row in rows] if rows[0][3] is not None else []

    def jobs(self, queues: list[str]) -> list[Job]:
        """The jobs in claim order."""
        places = {queue: place for place, queue in enumerate(queues)}
        jobs = [job_of(row) for row in self._rows]
        jobs.sort(key=lambda job: (places[job.queue], -job.priority, job.run_at, job.id))
        return jobs

    def next_due(self, queues: list[str]) -> datetime | None:
        """When the first job of these queues is due that was not yet."""
        known = parsed(self._due, {})
        return min((from_micros(known[queue]) for queue in queues if queue in known), default=None)


def _claim(
    worker_id: WorkerID,
    shares: Mapping[str, int],
    places: Mapping[str, Place] | None,
    names: list[str],
    limit: int,
    lease: float,
    alone: bool,
    clock: Callable[[], int],
) -> Plan[_Round]:
    now = clock()
    after = [places[queue] for queue in shares] if places else []
    rows = yield Rows(
        "claim_jobs_after" if places else "claim_jobs",
        {
            "lanes": [place.lane for place in after],
            "priorities": [place.priority for place in after],
            "run_ats": [place.run_at for place in after],
            "ids": [place.id for place in after],
            "queues": list(shares),
            "shares": list(shares.values()),
            "names": names,
            "limit": limit,
            "alone": alone,
            "now": now,
            "worker_id": str(worker_id),
            "epoch_floor": now // 1000,
            "lease_until": now + span(lease),
        },
    )
    return _Round(rows, now)


def _is_free(job: NewJob) -> bool:
    return job.unique is None and job.idempotency is None and is_plain(job)


def _less(shares: Mapping[str, int], jobs: Sequence[Job]) -> dict[str, int]:
    """What is left of the shares once these jobs are taken."""
    gave = Counter(job.queue for job in jobs)
    return {queue: share - gave[queue] for queue, share in shares.items()}


def _is_plain(said: Transition) -> bool:
    return said.verdict is Verdict.COMPLETE and said.failure is None and not said.then


def _insert_new(jobs: Sequence[NewJob], now: int) -> Plan[list[Enqueued]]:
    """As `_insert` for jobs that are alike; a UniqueViolationError where one of the ids was written before."""
    if len(jobs) == 1:
        yield Do("insert_new_job", _columns(jobs[0], now))
    else:
        yield Do("insert_new_jobs", _shared_columns(jobs, now))
    return [Enqueued(id_, True) for id_ in ids_of(jobs)]


def _insert_and_tell(jobs: Sequence[NewJob], now: int, channel: str, sender: str) -> Plan[tuple[list[Enqueued], bool]]:
    """As `_insert_new`, with whether a notification went with it."""
    one = len(jobs) == 1
    values = {**(_columns(jobs[0], now) if one else _shared_columns(jobs, now)), "channel": channel, "sender": sender}
    ((told,),) = yield Rows("insert_new_job_and_tell" if one else "insert_new_jobs_and_tell", values)
    return [Enqueued(id_, True) for id_ in ids_of(jobs)], told


def _insert(jobs: Sequence[NewJob], now: int) -> Plan[list[Enqueued]]:
    """All of them in one statement; the lanes are chosen there, where the queues' settings are."""
    if _are_alike(jobs):
        ((new,),) = yield Rows("insert_same_jobs", _shared_columns(jobs, now))
        if new is None:
            return [Enqueued(id_, True) for id_ in ids_of(jobs)]
    else:
        rows = [_columns(job, now) for job in jobs]
        found = yield Rows("insert_jobs", {name: [row[name] for row in rows] for name in rows[0]})
        new = [id_ for (id_,) in found]
    added = set(new)
    answers = []
    for id_ in ids_of(jobs):
        answers.append(Enqueued(id_, id_ in added))
        added.discard(id_)
    return answers


def _are_alike(jobs: Sequence[NewJob]) -> bool:
    """Whether these jobs differ in id and payload only."""
    first, *others = map(_likeness, patterns(jobs))
    return all(map(first.__eq__, others))


def _shared_columns(jobs: Sequence[NewJob], now: int) -> dict[str, Any]:
    """What jobs that are alike share, with their ids and payloads."""
    return {
        **_columns(jobs[0], now),
        "id": list(map(str, ids_of(jobs))),
        "payload": list(payloads_of(jobs)),
    }


def _columns(job: NewJob, now: int) -> dict[str, Any]:
    return {
        "id": str(job.id),
        "queue": job.queue,
        "name": job.name,
        "kind": job.kind,
        "lane": job.lane,
        "tenant": job.scope.tenant,
        "priority": job.priority,
        "run_at": now if job.delay is None and job.run_at is None else run_at(job, now),
        "now": now,
        "app_id": job.scope.app_id,
        "org_id": job.scope.org_id,
        "metadata": to_text(job.metadata) if job.metadata else None,
        "payload": job.payload,
    }
