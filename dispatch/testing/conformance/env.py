"""What a case works with: an empty store, a clock it can move, two workers, and short words for the common steps."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from dispatch.clock import ManualClock
from dispatch.cluster import NewWorker
from dispatch.dlq import DLQEntry, DLQState
from dispatch.dlq import ListOptions as DLQOptions
from dispatch.entity import LARGEST_PAGE, Reply
from dispatch.ids import DLQID, JobID, WorkerID
from dispatch.jobs.model import (
    Claimed,
    Enqueued,
    Failure,
    Finished,
    Job,
    ListOptions,
    NewJob,
    Stolen,
    Transition,
    Verdict,
)
from dispatch.store import Store

MakeStore = Callable[[ManualClock], Awaitable[Store]]
"""Answers an empty store that is not open yet and takes its time from the clock given."""

BOOM = Failure("builtins.ValueError", "boom", "Traceback …")


def new(name: str = "work", payload: bytes = b"{}", **options: Any) -> NewJob:
    """A job to enqueue, with an id of its own."""
    return NewJob(id=options.pop("id", None) or JobID.new(), name=name, payload=payload, **options)


def pairs(*jobs: Job) -> list[tuple[JobID, int]]:
    """The fences of claimed jobs, as renew and release want them."""
    return [(job.id, job.epoch) for job in jobs]


@contextmanager
def raises(kind: type[BaseException]) -> Iterator[list[BaseException]]:
    """Fails unless the block raises `kind`; yields a list that will hold the error."""
    caught: list[BaseException] = []
    try:
        yield caught
    except kind as error:
        caught.append(error)
    else:
        raise AssertionError(f"{kind.__name__} was not raised")


@dataclass
class Env:
    """One case's world."""

    store: Store
    clock: ManualClock
    worker: WorkerID = field(default_factory=WorkerID.new)
    other: WorkerID = field(default_factory=WorkerID.new)
    opened: list[Store] = field(default_factory=list)

    async def sibling(self) -> Store:
        """A second client on the same data, open."""
        sibling = self.store.sibling()
        await sibling.open()
        self.opened.append(sibling)
        return sibling

    def after(self, seconds: float) -> datetime:
        """The time `seconds` from now."""
        return self.clock.now() + timedelta(seconds=seconds)

    async def enqueue(self, *jobs: NewJob) -> list[Enqueued]:
        return await self.store.jobs.enqueue(jobs)

    async def add(self, name: str = "work", payload: bytes = b"{}", **options: Any) -> JobID:
        """Enqueues one job and answers its id."""
        job = new(name, payload, **options)
        (answer,) = await self.store.jobs.enqueue([job])
        assert answer.created, f"{job.id} was not created but resolved to {answer.id}"
        assert answer.id == job.id
        return job.id

    async def claimed(
        self,
        limit: int = 1,
        *,
        by: WorkerID | None = None,
        queues: Sequence[str] | Mapping[str, int] = ("default",),
        names: Sequence[str] = ("work",),
        lease: float = 30.0,
        alone: bool = False,
        via: Store | None = None,
    ) -> Claimed:
        """One claim, with everything it answered."""
        shares = queues if isinstance(queues, Mapping) else dict.fromkeys(queues, 1000)
        return await (via or self.store).jobs.claim(
            by or self.worker, queues=shares, names=names, limit=limit, lease=lease, alone=alone
        )

    async def claim(self, limit: int = 1, **options: Any) -> list[Job]:
        """The jobs of one claim."""
        return (await self.claimed(limit, **options)).jobs

    async def take(self, **options: Any) -> Job:
        """Claims exactly one job."""
        jobs = await self.claim(1, **options)
        assert len(jobs) == 1, "there was no job to claim"
        return jobs[0]

    async def start(
        self, name: str = "work", *, by: WorkerID | None = None, lease: float = 30.0, **options: Any
    ) -> Job:
        """Enqueues a job and claims it."""
        job_id = await self.add(name, **options)
        job = await self.take(by=by, lease=lease, queues=[options.get("queue", "default")], names=[name])
        assert job.id == job_id, f"the claim took {job.id} instead of {job_id}"
        return job

    async def finish(
        self, job: Job, verdict: Verdict, *, by: WorkerID | None = None, via: Store | None = None, **fields: Any
    ) -> Finished:
        """Ends a claim in the worker's name."""
        (answer,) = await (via or self.store).jobs.finish(
            by or self.worker, [Transition(job.id, fields.pop("epoch", job.epoch), verdict, **fields)]
        )
        return answer

    async def bury(self, name: str = "work", *, failure: Failure = BOOM, **options: Any) -> tuple[JobID, DLQID]:
        """Enqueues a job and lets it fail for good; answers it and its dead letter."""
        job = await self.start(name, **options)
        answer = await self.finish(job, Verdict.FAIL, failure=failure, dead_letter=True, reason="exhausted")
        assert answer.reply is Reply.APPLIED
        assert answer.dead_letter is not None, "FAIL with dead_letter=True answered no dead letter"
        return job.id, answer.dead_letter

    async def steal(self, *, limit: int = 100, max_crashes: int = 3, delays: Sequence[float] = (0.0,)) -> list[Stolen]:
        return await self.store.jobs.steal(limit=limit, max_crashes=max_crashes, delays=delays)

    async def crash(self, job: Job, *, delays: Sequence[float] = (0.0,), max_crashes: int = 3) -> Stolen:
        """Lets the job's lease lapse and steals it."""
        current = await self.job(job.id)
        assert current.lease_until is not None, f"{job.id} is running without a lease"
        self.clock.advance(max(current.lease_until - self.clock.now(), timedelta()) + timedelta(seconds=1))
        (stolen,) = await self.steal(delays=delays, max_crashes=max_crashes)
        assert stolen.job.id == job.id
        return stolen

    async def job(self, job_id: JobID) -> Job:
        """The row, which must be there."""
        job = await self.store.jobs.get(job_id)
        assert job is not None, f"{job_id} is not in the store"
        return job

    async def letter(self, entry_id: DLQID) -> DLQEntry:
        """The dead letter, which must be there."""
        entry = await self.store.dlq.get(entry_id)
        assert entry is not None, f"{entry_id} is not in the store"
        return entry

    async def register(
        self, *, queues: Sequence[str] = ("default",), names: Sequence[str] = ("work",), **options: Any
    ) -> int:
        """Registers `worker` (default: this case's first)."""
        return await self.store.cluster.register(
            NewWorker(
                id=options.pop("id", self.worker),
                hostname="host",
                pid=7,
                queues=tuple(queues),
                names=tuple(names),
                concurrency=options.pop("concurrency", 5),
                lease=options.pop("lease", 30.0),
                **options,
            )
        )

    async def jobs(self) -> list[Job]:
        """Every job of every kind, newest id first."""
        return await all_jobs(self.store)

    async def dump(self) -> dict[str, Any]:
        """All jobs, attempts, dead letters: equal dumps mean that nothing changed in between."""
        jobs = await self.jobs()
        return {
            "jobs": jobs,
            "attempts": {job.id: await self.store.jobs.attempts(job.id) for job in jobs},
            "dlq": (await self.store.dlq.list(DLQOptions(states=tuple(DLQState), limit=LARGEST_PAGE))).items,
        }

    @asynccontextmanager
    async def unchanged(self, what: str) -> AsyncIterator[None]:
        """Fails when the block changed any job, attempt or dead letter."""
        before = await self.dump()
        yield
        assert await self.dump() == before, f"{what} changed something"


async def all_jobs(store: Store) -> list[Job]:
    """Every job of every kind in the store, newest id first."""
    jobs: list[Job] = []
    cursor: str | None = None
    while True:
        page = await store.jobs.list(
            ListOptions(kinds=("job", "workflow", "delivery"), limit=LARGEST_PAGE, cursor=cursor)
        )
        jobs += page.items
        cursor = page.next_cursor
        if cursor is None:
            return jobs
