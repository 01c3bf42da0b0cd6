"""travel: the clock stops at every moment at which something becomes due."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from dispatch import hookimpl, testing
from dispatch.backoff import Exponential
from dispatch.errors import JobExpired, Retry, Snooze, UsageError
from dispatch.jobs.context import current_job
from dispatch.jobs.model import Job
from dispatch.queues import QueueConfig
from dispatch.registry import Registry
from dispatch.testing import WorkDone

START = datetime(2026, 3, 1, 12, tzinfo=UTC)


async def test_retries_happen_at_their_real_times(registry: Registry) -> None:
    at: list[float] = []

    @registry.job(max_retries=4, backoff=Exponential(base=60, max=3600))
    async def flaky() -> None:
        at.append((app.now() - START).total_seconds())
        raise ValueError("again")

    async with testing.app(registry, start=START) as app:
        await flaky.enqueue()
        assert await app.travel(timedelta(days=3)) == WorkDone(failed=1, retried=4)
        assert app.now() == START + timedelta(days=3)
    assert at == [0, 60, 180, 420, 900]


async def test_jobs_run_in_the_order_in_which_they_become_due(registry: Registry) -> None:
    seen: list[tuple[str, float]] = []

    @registry.job
    async def note(name: str) -> None:
        seen.append((name, (app.now() - START).total_seconds()))
        if name == "first":
            await note.options(delay="30s").enqueue("child")

    async with testing.app(registry, start=START) as app:
        await note.options(delay="2m").enqueue("last")
        await note.options(run_at=START + timedelta(minutes=1)).enqueue("first")
        await app.travel("2m")
    assert seen == [("first", 60), ("child", 90), ("last", 120)]


async def test_what_is_due_at_the_very_end_runs_and_what_is_due_after_it_does_not(registry: Registry) -> None:
    @registry.job
    async def note() -> None: ...

    async with testing.app(registry) as app:
        await note.options(delay=10).enqueue()
        await note.options(delay=timedelta(seconds=10, microseconds=1)).enqueue()
        assert await app.travel(10) == WorkDone(completed=1)
        assert await app.travel(0.000001) == WorkDone(completed=1)


async def test_the_end_of_a_pause_is_such_a_moment(registry: Registry) -> None:
    at: list[datetime] = []

    @registry.job
    async def note() -> None:
        at.append(app.now())

    async with testing.app(registry, start=START) as app:
        await app.queues.pause("default", duration=3600)
        await note.enqueue()
        await app.travel("1d")
    assert at == [START + timedelta(hours=1)]


async def test_a_rate_limit_spreads_jobs_over_the_time(registry: Registry) -> None:
    at: list[float] = []

    @registry.job(queue="slow")
    async def note() -> None:
        at.append((app.now() - START).total_seconds())

    async with testing.app(registry, start=START, queue_config=[QueueConfig("slow", rate_limit=0.5)]) as app:
        await note.enqueue_many([note.call() for _ in range(3)])
        await app.travel(60)
    assert at == [0, 2, 4]


async def test_snoozes_and_chosen_delays_are_kept(registry: Registry) -> None:
    at: list[float] = []

    @registry.job
    async def picky() -> None:
        at.append((app.now() - START).total_seconds())
        if len(at) == 1:
            raise Snooze("1h")
        if len(at) == 2:
            raise Retry(delay="2h")
        assert current_job().attempt == 2

    async with testing.app(registry, start=START) as app:
        await picky.enqueue()
        assert await app.travel("1d") == WorkDone(completed=1, retried=1, snoozed=1)
    assert at == [0, 3600, 10800]


async def test_a_job_that_was_not_started_in_time_has_expired(registry: Registry) -> None:
    @registry.job
    async def note() -> None: ...

    async with testing.app(registry) as app:
        await app.queues.pause("default", duration=60)
        handle = await note.options(expires_in=10).enqueue()
        assert await app.travel(60) == WorkDone(cancelled=1)
        with pytest.raises(JobExpired):
            await handle.result()


async def test_the_first_failure_stops_the_journey_where_it_happened(registry: Registry) -> None:
    @registry.job(max_retries=1, backoff=Exponential(base=60))
    async def note() -> None:
        raise ValueError(f"attempt {current_job().attempt}")

    async with testing.app(registry, start=START) as app:
        await note.options(delay=60).enqueue()
        with pytest.raises(ValueError, match="attempt 1"):
            await app.travel("1h", raise_errors=True)
        assert app.now() == START + timedelta(seconds=60)


async def test_the_clock_can_also_be_moved_by_hand(registry: Registry) -> None:
    @registry.job
    async def note() -> None: ...

    async with testing.app(registry) as app:
        await note.options(delay=60).enqueue()
        app.clock.advance(60)
        assert await app.run_until_idle() == WorkDone(completed=1)


async def test_time_does_not_run_backwards(registry: Registry) -> None:
    async with testing.app(registry) as app:
        with pytest.raises(UsageError, match="leads back in time"):
            await app.travel(-1)
    with pytest.raises(UsageError, match="no time zone"):
        testing.app(registry, start=datetime(2026, 1, 1))


async def test_the_clock_begins_now_unless_told_otherwise(registry: Registry) -> None:
    assert abs(testing.app(registry).now() - datetime.now(UTC)) < timedelta(minutes=1)


async def test_a_hook_hears_of_the_next_attempt_by_the_clock_of_the_test(registry: Registry) -> None:
    told: list[tuple[datetime, datetime]] = []

    class Plugin:
        @hookimpl
        def job_retrying(self, job: Job, next_run_at: datetime) -> None:
            told.append((next_run_at, job.run_at))

    @registry.job(max_retries=1, backoff=Exponential(base=60))
    async def flaky() -> None:
        raise ValueError("again")

    async with testing.app(registry, start=START, plugins=[Plugin()]) as app:
        handle = await flaky.enqueue()
        await app.run_until_idle()
        due = START + timedelta(minutes=1)
        assert told == [(due, due)]
        assert "due in 1.0 min" in (await app.jobs.explain(handle.id)).summary
