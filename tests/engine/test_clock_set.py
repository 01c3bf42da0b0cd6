"""When somebody sets the machine's clock, the living are not robbed and what waits for them is not put away (I29)."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from dispatch.clock import wall_offset
from dispatch.engine import heartbeat
from dispatch.jobs.model import JobState, ListOptions
from dispatch.registry import Registry
from dispatch.stores.memory import MemoryStore

from .conftest import Start
from .facts import eventually


class SetClock:
    """The machine's clock, which somebody sets."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.off = 0.0
        monkeypatch.setattr(heartbeat, "wall_offset", lambda: wall_offset() + self.off)

    def now(self) -> datetime:
        return datetime.now(UTC) + timedelta(seconds=self.off)


async def test_i29_a_clock_set_forward_robs_nobody_and_sets_nothing_aside(
    registry: Registry, start: Start, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    begun, go = asyncio.Event(), asyncio.Event()

    @registry.job
    async def work() -> None:
        begun.set()
        await go.wait()

    clock = SetClock(monkeypatch)
    store = MemoryStore(clock=clock)
    timing: dict[str, Any] = {"heartbeat_interval": 0.4, "lease": 2, "poll_interval": 0.1, "unserved_after": 1}
    app = await start(store=store, app={"concurrency": 1}, **timing)
    await work.enqueue()
    await work.enqueue()
    await begun.wait()
    engine = app.engine
    assert engine is not None
    clock.off = 3600
    for service in engine._services:  # their rounds may come before the next beat
        if service.name in ("stealer", "sweeper"):
            await service.run_once()
    jobs = (await store.jobs.list(ListOptions())).items
    assert {job.state for job in jobs} == {JobState.RUNNING, JobState.PENDING}
    assert not any(job.crashes or job.set_aside for job in jobs)
    await eventually(lambda: "the clock of this machine was set" in caplog.text)
    go.set()
    for job in jobs:
        assert (await app.jobs.wait(job.id, timeout=5)).state is JobState.COMPLETED


async def test_what_others_set_aside_meanwhile_comes_back_with_the_next_beat(
    registry: Registry, start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    go, begun = asyncio.Event(), asyncio.Event()

    @registry.job
    async def work() -> None:
        begun.set()
        await go.wait()

    clock = SetClock(monkeypatch)
    store = MemoryStore(clock=clock)
    app = await start(store=store, app={"concurrency": 1}, heartbeat_interval=0.4, lease=2, poll_interval=0.1)
    await work.enqueue()
    await begun.wait()
    waiting = await work.enqueue()
    clock.off = 3600
    assert await store.jobs.set_aside(due_for=1, limit=9) == 1
    go.set()
    assert (await app.jobs.wait(waiting.id, timeout=5)).state is JobState.COMPLETED
