"""The memory app in synchronous tests."""

from __future__ import annotations

from datetime import timedelta

import pytest

from dispatch import testing
from dispatch.backoff import Constant
from dispatch.errors import SyncInAsync
from dispatch.jobs.context import current_job
from dispatch.jobs.model import JobState
from dispatch.registry import Registry
from dispatch.testing import WorkDone


def test_a_synchronous_test_enqueues_runs_and_travels(registry: Registry) -> None:
    @registry.job(max_retries=1, backoff=Constant(3600))
    def flaky(n: int) -> int:
        if current_job().attempt == 1:
            raise ValueError("once")
        return n

    with testing.app(registry) as app:
        handle = flaky.sync.enqueue(3)
        start = app.sync.now()
        assert app.sync.run_until_idle() == WorkDone(retried=1)
        assert app.sync.travel("1d") == WorkDone(completed=1)
        assert handle.result() == 3
        assert app.sync.clock.now() - start == timedelta(days=1)
        assert [call.arguments for call in app.sync.enqueued(flaky)] == [{"n": 3}]
        assert app.sync.jobs.get(handle.id).state is JobState.COMPLETED
        assert app.sync.enqueue(flaky, 4).status() is JobState.PENDING


def test_errors_are_raised_here_too(registry: Registry) -> None:
    @registry.job
    def broken() -> None:
        raise KeyError("here")

    with testing.app(registry) as app:
        broken.sync.enqueue()
        with pytest.raises(KeyError, match="here"):
            app.sync.run_until_idle(raise_errors=True)


def test_waiting_for_a_result_runs_what_is_due(registry: Registry) -> None:
    @registry.job
    def add(a: int, b: int) -> int:
        return a + b

    with testing.app(registry):
        assert add.sync.enqueue(1, 2).result() == 3


async def test_the_synchronous_twin_is_refused_where_a_loop_runs(registry: Registry) -> None:
    async with testing.app(registry) as app:
        with pytest.raises(SyncInAsync):
            app.sync.run_until_idle()
