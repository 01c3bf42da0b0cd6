"""Statistics of ended jobs: percentiles, rates, and what the sample was."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from dispatch.clock import ManualClock
from dispatch.ids import JobID, WorkerID
from dispatch.jobs.model import Failure, Job, JobState, NewJob, Transition, Verdict
from dispatch.services.stats import Spread, read_stats, spread, stats_of
from dispatch.stores.memory import MemoryStore

NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)


def ended(name: str, *, wait: float, run: float, at: float = 0.0, state: JobState = JobState.COMPLETED) -> Job:
    end = NOW + timedelta(seconds=at)
    start = end - timedelta(seconds=run)
    due = start - timedelta(seconds=wait)
    basis: dict[str, Any] = {"created_at": due, "updated_at": end, "payload": b"{}", "queue": "default"}
    return Job(id=JobID.new(), name=name, state=state, run_at=due, started_at=start, finished_at=end, **basis)


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([], Spread()),
        ([4.0], Spread(4.0, 4.0, 4.0)),
        ([float(n) for n in range(100, 0, -1)], Spread(50.0, 95.0, 99.0)),
        ([1.0, 2.0, 3.0], Spread(2.0, 3.0, 3.0)),
    ],
)
def test_percentiles_are_values_that_were_measured(values: list[float], expected: Spread) -> None:
    assert spread(values) == expected


def test_waiting_running_failures_and_rates_are_told_by_name() -> None:
    jobs = [ended("send", wait=1, run=2, at=60 * n) for n in range(3)]
    jobs.append(ended("send", wait=5, run=9, state=JobState.FAILED))
    jobs.append(ended("report", wait=0, run=30, state=JobState.CANCELLED))
    send, report = stats_of(jobs, complete=True).names
    assert (send.name, send.count, send.completed, send.failed) == ("send", 4, 3, 1)
    assert (send.failure_rate, send.per_minute) == (0.25, 2.0)
    assert (send.wait, send.run) == (Spread(1, 5, 5), Spread(2, 9, 9))
    assert (report.cancelled, report.failure_rate) == (1, None)


def test_a_job_that_never_started_counts_without_a_time() -> None:
    job = ended("send", wait=0, run=0, state=JobState.CANCELLED)
    job.started_at = None
    (send,) = stats_of([job], complete=True).names
    assert (send.count, send.wait, send.run, send.per_minute) == (1, Spread(), Spread(), None)


async def test_the_sample_is_bounded_newest_first_and_says_what_it_is() -> None:
    clock, worker = ManualClock(), WorkerID.new()
    store = MemoryStore(clock=clock)
    await store.open()
    for number in range(6):
        await store.jobs.enqueue([NewJob(JobID.new(), "old" if number < 3 else "new", b"{}")])
        clock.advance(10)
        (job,) = (await store.jobs.claim(worker, queues={"default": 1}, names=["old", "new"], limit=1, lease=60.0)).jobs
        clock.advance(2)
        boom = Failure("ValueError", "no")
        how = Transition(job.id, job.epoch, Verdict.FAIL, failure=boom) if number == 5 else None
        await store.jobs.finish(worker, [how or Transition(job.id, job.epoch, Verdict.COMPLETE)])
    everything = await read_stats(store)
    assert [(row.name, row.count, row.failed) for row in everything.names] == [("new", 3, 1), ("old", 3, 0)]
    assert (everything.complete, everything.names[0].wait.p50, everything.names[0].run.p50) == (True, 10.0, 2.0)
    few = await read_stats(store, limit=4)
    assert ([(row.name, row.count) for row in few.names], few.sampled, few.complete) == (
        [("new", 3), ("old", 1)],
        4,
        False,
    )
    late = await read_stats(store, since=clock.now() - timedelta(seconds=20))
    assert (late.sampled, late.complete) == (2, True)
    assert [row.name for row in (await read_stats(store, names=["old"])).names] == ["old"]
