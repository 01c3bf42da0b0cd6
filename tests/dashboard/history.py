"""An hour of a shop's work, played into a store before anybody looks."""

from __future__ import annotations

from datetime import datetime, timedelta

from dispatch.clock import utc_now
from dispatch.ids import JobID, WorkerID
from dispatch.jobs.model import Failure, NewJob, Transition, Verdict
from dispatch.store import Store

_NAMES = ("send_receipt", "send_receipt", "daily_report", "settle")
_SECONDS = 3600


class Behind:
    """A clock that is so many seconds behind, until it has caught up."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def now(self) -> datetime:
        """The moment."""
        return utc_now() - timedelta(seconds=self.seconds)


async def an_hour(store: Store, clock: Behind) -> None:
    """Jobs of the last hour, more of them at some times than at others, of which a few failed."""
    worker = WorkerID.new()
    for minute in range(60):
        clock.seconds = _SECONDS - 60 * minute
        jobs = [
            NewJob(JobID.new(), _NAMES[at % 4], b'{"order": 1}', queue="past")
            for at in range(6 + (minute * 7) % 11 + (minute // 20) * 4)
        ]
        await store.jobs.enqueue(jobs)
        clock.seconds -= 0.2 + (minute % 9) / 6
        claimed = await store.jobs.claim(worker, queues={"past": 500}, names=list(_NAMES), limit=500, lease=600)
        for at, job in enumerate(claimed.jobs):
            clock.seconds -= 0.05 + (at * minute) % 5 / 40
            bad = job.name == "settle" and (minute + at) % 5 == 0
            failure = Failure("ConnectionError", "the bank does not answer") if bad else None
            verdict = Verdict.FAIL if bad else Verdict.COMPLETE
            done = Transition(job.id, job.epoch, verdict, failure=failure, dead_letter=bad)
            await store.jobs.finish(worker, [done])
    clock.seconds = 0.0
