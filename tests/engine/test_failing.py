"""Attempts that fail: retries, backoff, dead letters, and what a handler may raise."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any

import pytest

from dispatch.backoff import Constant
from dispatch.clock import utc_now
from dispatch.errors import (
    Fail,
    JobFailed,
    Retry,
    Snooze,
)
from dispatch.jobs.context import current_job
from dispatch.jobs.model import JobState
from dispatch.registry import Registry

from .conftest import Start
from .facts import enqueued, eventually

AT_ONCE = Constant(0)


async def test_a_failure_is_retried_until_it_works(registry: Registry, start: Start) -> None:
    seen: list[int] = []

    @registry.job(max_retries=5, backoff=AT_ONCE)
    async def work() -> str:
        seen.append(current_job().attempt)
        if len(seen) < 3:
            raise ValueError(f"not yet {len(seen)}")
        return "done"

    app = await start()
    handle = await app.enqueue(work)
    assert await handle.result(timeout=5) == "done"
    assert seen == [1, 2, 3]
    history = await app.jobs.attempts(handle.id)
    assert [(a.number, a.kind, a.failure.message) for a in history] == [
        (1, "failed", "not yet 1"),
        (2, "failed", "not yet 2"),
    ]
    assert history[0].failure.traceback is not None
    assert __file__ in history[0].failure.traceback


async def test_retries_run_out_and_the_job_becomes_a_dead_letter(registry: Registry, start: Start) -> None:
    starts = 0

    @registry.job(max_retries=2, backoff=AT_ONCE)
    async def work(n: int) -> None:
        nonlocal starts
        starts += 1
        raise ValueError("never")

    app = await start()
    handle = await app.enqueue(work, 7)
    with pytest.raises(JobFailed, match="failed: ValueError: never") as caught:
        await handle.result(timeout=5)
    assert caught.value.type == "ValueError"
    assert starts == 3
    (entry,) = (await app.dlq.list()).items
    assert (entry.job_id, entry.reason, entry.failures, entry.payload) == (handle.id, "exhausted", 3, b'{"n":7}')
    job = await handle.job()
    assert (job.state, job.reason, job.failures) == (JobState.FAILED, "exhausted", 3)


async def test_the_pause_between_attempts_is_the_backoff_s(registry: Registry, start: Start) -> None:
    @registry.job(backoff=Constant(3600))
    async def work() -> None:
        raise ValueError

    app = await start()
    handle = await app.enqueue(work)
    job = await eventually(lambda: _in_state(handle, JobState.RETRYING))
    assert timedelta(seconds=3590) < job.run_at - utc_now() < timedelta(seconds=3610)
    assert (job.failures, job.attempt, job.worker_id) == (1, 2, None)


async def _in_state(handle: Any, state: JobState) -> Any:
    job = await handle.job()
    return job if job.state is state else None


@pytest.mark.parametrize("where", ["definition", "row", "app"])
async def test_options_of_every_level_are_honoured(registry: Registry, start: Start, where: str) -> None:
    starts = 0

    async def work() -> None:
        nonlocal starts
        starts += 1
        raise ValueError

    settings: dict[str, Any] = {"max_retries": 1, "backoff": AT_ONCE}
    definition: Any = registry.job(**settings if where == "definition" else {"max_retries": 9})(work)
    if where == "app":
        definition = registry.job(name="other")(work)
    app = await start(max_retries=1 if where == "app" else 3, app={"backoff": AT_ONCE})
    options = settings if where == "row" else {}
    handle = await enqueued(app, definition.options(**options).enqueue())
    with pytest.raises(JobFailed):
        await handle.result(timeout=5)
    assert starts == 2


async def test_retry_counts_and_chooses_its_own_pause(registry: Registry, start: Start) -> None:
    attempts: list[int] = []

    @registry.job(max_retries=2, backoff=Constant(3600))
    def work() -> str:
        attempts.append(current_job().attempt)
        raise Retry("again", delay=0)

    app = await start()
    with pytest.raises(JobFailed, match="Retry: again"):
        await (await app.enqueue(work)).result(timeout=5)
    assert attempts == [1, 2, 3]


async def test_a_snooze_counts_nothing(registry: Registry, start: Start) -> None:
    attempts: list[int] = []

    @registry.job(max_retries=0)
    async def work() -> int:
        attempts.append(current_job().attempt)
        if len(attempts) < 4:
            raise Snooze(0.01)
        return len(attempts)

    app = await start()
    handle = await app.enqueue(work)
    assert await handle.result(timeout=5) == 4
    assert attempts == [1, 1, 1, 1]
    assert await app.jobs.attempts(handle.id) == []
    assert app.engine is not None
    assert app.engine.tally.snoozed == 3


@pytest.mark.parametrize("dead_letter", [True, False])
async def test_fail_ends_a_job_for_good(registry: Registry, start: Start, dead_letter: bool) -> None:
    @registry.job(max_retries=9)
    async def work() -> None:
        raise Fail("no such customer", dead_letter=dead_letter)

    app = await start()
    with pytest.raises(JobFailed, match="no such customer"):
        await (await app.enqueue(work)).result(timeout=5)
    assert await app.dlq.count() == int(dead_letter)


async def test_types_of_errors_decide_where_the_definition_says_so(registry: Registry, start: Start) -> None:
    starts: list[str] = []

    @registry.job(max_retries=1, backoff=AT_ONCE, retry_on=(OSError,), fail_on=(FileNotFoundError,))
    async def work(kind: str) -> None:
        starts.append(kind)
        raise {"os": OSError, "missing": FileNotFoundError, "value": ValueError}[kind]

    app = await start()
    for kind in ("os", "missing", "value"):
        with pytest.raises(JobFailed):
            await (await app.enqueue(work, kind)).result(timeout=5)
    assert starts == ["os", "os", "missing", "value"]


@pytest.mark.parametrize("error", [SystemExit(1), KeyboardInterrupt(), GeneratorExit(), asyncio.CancelledError()])
@pytest.mark.parametrize("plain", [False, True])
async def test_a_handler_cannot_end_its_worker(
    registry: Registry, start: Start, error: BaseException, plain: bool
) -> None:
    def raising() -> None:
        raise error

    async def raising_later() -> None:
        raise error

    @registry.job
    async def fine() -> str:
        return "alive"

    work: Any = registry.job(name="work", max_retries=0)(raising if plain else raising_later)
    app = await start()
    with pytest.raises(JobFailed, match=type(error).__name__):
        await (await app.enqueue(work)).result(timeout=5)
    assert await (await app.enqueue(fine)).result(timeout=5) == "alive"
    assert app.engine is not None
    assert app.engine.running


async def test_odd_errors_do_not_hold_a_slot(registry: Registry, start: Start) -> None:
    class Unprintable(Exception):
        def __str__(self) -> str:
            raise RuntimeError("no text")

    class Broken:
        def delay(self, attempt: int, rng: Any = None) -> Any:
            raise RuntimeError("bug")

    @registry.job(max_retries=1, backoff=Broken())
    async def work() -> None:
        raise Unprintable

    app = await start(concurrency=1)
    handle = await app.enqueue(work)
    await eventually(lambda: _in_state(handle, JobState.RETRYING))
    assert app.engine is not None
    await eventually(lambda: app.engine is not None and app.engine.held == 0)


async def test_a_traceback_is_capped(registry: Registry, start: Start) -> None:
    @registry.job(max_retries=0)
    async def work() -> None:
        raise ValueError("x" * 50_000)

    app = await start(limits={"traceback": 1000})
    handle = await app.enqueue(work)
    with pytest.raises(JobFailed):
        await handle.result(timeout=5)
    error = (await handle.job()).error
    assert error is not None
    assert error.traceback is not None
    assert len(error.traceback) < 1100
    assert len(error.message) == 4096
