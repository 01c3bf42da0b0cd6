"""Fills a store with jobs in every state and their history, by its verbs; tells what a store holds as one digest."""

from __future__ import annotations

import hashlib
from itertools import count

from dispatch.events import Event
from dispatch.ids import JobID, WorkerID
from dispatch.jobs.model import Failure, Idempotency, NewJob, Transition, Unique, Verdict
from dispatch.queues import QueueConfig
from dispatch.store import Store
from dispatch.transfer import KINDS

_AT_ONCE = 500
_VERDICTS = (
    (Verdict.COMPLETE, False),
    (Verdict.FAIL, True),
    (Verdict.COMPLETE, False),
    (Verdict.CANCEL, False),
    (Verdict.RETRY, False),
    (Verdict.FAIL, False),
    (Verdict.COMPLETE, False),
    (Verdict.SNOOZE, False),
)


async def populate(store: Store, jobs: int) -> None:
    """About three quarters of the jobs get a history, the others wait; each hundredth holds a key."""
    await store.queues.configure(QueueConfig("default", max_concurrency=100_000, rate_limit=1e9))
    await store.queues.pause("still", by="ada", reason="the disk is full")
    await store.events.publish(Event("paid", b'{"order": 7}', key="7"))
    await store.records.put("endpoints", "a", b"{}")
    numbers = count()
    for start in range(0, jobs, _AT_ONCE):
        batch = [_new(next(numbers)) for _ in range(min(_AT_ONCE, jobs - start))]
        await store.jobs.enqueue(batch)
    worker = WorkerID.new()
    done = 0
    while done < jobs * 3 // 4:
        claimed = await store.jobs.claim(
            worker, queues={"default": _AT_ONCE}, names=["work"], limit=_AT_ONCE, lease=3600
        )
        if not claimed.jobs:
            break
        said = []
        for number, job in enumerate(claimed.jobs[:-1], done):
            verdict, dead = _VERDICTS[number % len(_VERDICTS)]
            failure = (
                Failure("ValueError", f"no {number}", "Traceback …") if verdict.name in ("FAIL", "RETRY") else None
            )
            result = b"[1, 2]" if verdict is Verdict.COMPLETE else None
            said.append(Transition(job.id, job.epoch, verdict, result, 86400.0, failure, dead))
        await store.jobs.finish(worker, said)
        done += len(claimed.jobs)
    await store.jobs.cancel((await _some(store))[0], reason="enough")


async def _some(store: Store) -> list[JobID]:
    return [JobID(document["id"]) for document in (await store.transfer.export("jobs", limit=1)).items]


def _new(number: int) -> NewJob:
    keyed = number % 100 == 7
    return NewJob(
        JobID.new(),
        "work",
        b'{"number": %d, "text": "\xc3\xbc"}' % number,
        priority=number % 3,
        delay=3600.0 if number % 50 == 0 else None,
        tags=("even",) if number % 2 == 0 else (),
        metadata={"n": number} if number % 5 == 0 else {},
        unique=Unique(f"work:{number}", hold_for=7200.0 if number % 200 == 7 else None) if keyed else None,
        idempotency=Idempotency(f"i{number}", "print", 86400.0) if keyed else None,
    )


async def digest(store: Store) -> str:
    """The same for stores that hold the same."""
    found = hashlib.sha256()
    for kind in KINDS:
        after: str | None = None
        while True:
            page = await store.transfer.export(kind, after=after)
            for document in page.items:
                found.update(repr(sorted(document.items())).encode())
            if page.next_cursor is None:
                break
            after = page.next_cursor
    return found.hexdigest()
