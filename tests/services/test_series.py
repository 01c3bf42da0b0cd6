"""What ended over time: every ended job in the part in which it ended, and none outside of the time."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from dispatch.clock import ManualClock
from dispatch.ids import JobID
from dispatch.jobs.model import Job, JobState, NewJob
from dispatch.services.series import read_series, series_of
from dispatch.stores.memory import MemoryStore

START = datetime(2026, 1, 1, tzinfo=UTC)


async def sample() -> Job:
    store = MemoryStore(clock=ManualClock())
    await store.open()
    id_ = JobID.new()
    await store.jobs.enqueue([NewJob(id_, "add", b"{}")])
    found = await store.jobs.get(id_)
    assert found is not None
    return found


async def test_a_job_counts_in_the_part_in_which_it_ended() -> None:
    job = await sample()

    def ended(minute: float, state: JobState, *, ran: float = 2.0) -> Job:
        at = START + timedelta(minutes=minute)
        began = at - timedelta(seconds=ran)
        return replace(job, state=state, run_at=began - timedelta(seconds=1), started_at=began, finished_at=at)

    jobs = [
        ended(-0.1, JobState.COMPLETED),
        ended(0, JobState.COMPLETED),
        ended(9.99, JobState.FAILED, ran=4.0),
        ended(10, JobState.CANCELLED),
        ended(20, JobState.COMPLETED),
        replace(job, finished_at=None),
    ]
    found = series_of(jobs, since=START, until=START + timedelta(minutes=20), parts=2, complete=True)
    assert [(one.completed, one.failed, one.cancelled) for one in found.slices] == [(1, 1, 0), (0, 0, 1)]
    assert found.slices[1].at == START + timedelta(minutes=10)
    assert (found.slices[0].run.p50, found.slices[0].run.p95, found.slices[0].wait.p95) == (2.0, 4.0, 1.0)
    assert found.step == timedelta(minutes=10)


async def test_only_the_newest_are_looked_at_and_it_says_so() -> None:
    clock = ManualClock()
    store = MemoryStore(clock=clock)
    await store.open()
    for _ in range(4):
        id_ = JobID.new()
        await store.jobs.enqueue([NewJob(id_, "add", b"{}")])
        await store.jobs.cancel(id_, reason="no")
    until = clock.now() + timedelta(seconds=1)
    since = until - timedelta(minutes=1)
    some = await read_series(store, since=since, until=until, parts=1, limit=3)
    whole = await read_series(store, since=since, until=until, parts=1)
    assert (some.slices[0].cancelled, some.complete) == (3, False)
    assert (whole.slices[0].cancelled, whole.complete) == (4, True)
