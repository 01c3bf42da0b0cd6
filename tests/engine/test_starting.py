"""A worker that starts while its store is away, or loses it half-way through its start, waits and goes on."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Any

import pytest

from dispatch.app import Dispatch
from dispatch.cluster.model import WorkerState
from dispatch.config import Config
from dispatch.engine.run import RunOptions, run_worker
from dispatch.errors import StoreAway, StoreBusy, StoreError, StoreTimeout, StoreUnreachable
from dispatch.registry import Registry
from dispatch.stores.memory import MemoryStore

from .conftest import PATIENT
from .facts import eventually

STEPS = ("open", "announce", "register", "sibling opens")


class CutAt(MemoryStore):
    """A memory store whose `step` raises some errors first."""

    def __init__(self, step: str, *errors: StoreError) -> None:
        super().__init__()
        self.errors = list(errors)
        self._step = step
        cluster: Any = self.cluster
        cluster.announce = self._after("announce", cluster.announce)
        cluster.register = self._after("register", cluster.register)
        self.open = self._after("open", self.open)  # type: ignore[method-assign]

    def sibling(self) -> MemoryStore:
        sibling = super().sibling()
        sibling.open = self._after("sibling opens", sibling.open)  # type: ignore[method-assign]
        return sibling

    def _after(self, step: str, act: Callable[..., Any]) -> Callable[..., Any]:
        async def fails_first(*args: Any, **more: Any) -> Any:
            if step == self._step and self.errors:
                raise self.errors.pop(0)
            return await act(*args, **more)

        return fails_first


@pytest.fixture(autouse=True)
def short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dispatch.engine.opening._FIRST_PAUSE", 0.001)


@pytest.fixture
def known(registry: Registry) -> Registry:
    @registry.job
    async def work() -> int:
        return 1

    return registry


@pytest.mark.parametrize("step", STEPS)
async def test_a_worker_in_an_app_waits_for_a_store_that_is_away_at_any_step_of_its_start(
    step: str, known: Registry, caplog: pytest.LogCaptureFixture
) -> None:
    store = CutAt(step, StoreAway("the session was cut"), StoreTimeout("no answer"), StoreBusy("others write"))
    app = Dispatch(store, registry=known, config=Config(**PATIENT))
    with caplog.at_level(logging.WARNING):
        await app.start()
    assert caplog.text.count("the store is away, the next attempt is in") == 3
    assert await (await app.enqueue(known.jobs["work"])).result(timeout=10) == 1
    assert [worker.state for worker in await store.cluster.list()] == [WorkerState.ACTIVE]
    await app.close()


@pytest.mark.parametrize("step", STEPS)
async def test_what_does_not_pass_by_itself_ends_the_start(step: str, known: Registry) -> None:
    app = Dispatch(CutAt(step, StoreUnreachable("a wrong password")), registry=known, config=Config(**PATIENT))
    with pytest.raises(StoreUnreachable, match="a wrong password"):
        await app.start()
    await app.close()


@pytest.mark.parametrize("step", ["register", "sibling opens"])
async def test_a_worker_that_runs_waits_as_well_but_not_at_the_start_of_a_burst(step: str, known: Registry) -> None:
    store = CutAt(step, StoreAway("the session was cut"))
    async with Dispatch(store, registry=known, config=Config(**PATIENT)) as app:
        with pytest.raises(StoreAway, match="the session was cut"):
            await run_worker(app, RunOptions(signals=False, burst=True))
        store.errors = [StoreAway("the session was cut")]
        ready, stop = asyncio.Event(), asyncio.Event()
        options = RunOptions(signals=False, on_ready=lambda _: ready.set())
        running = asyncio.create_task(run_worker(app, options, stop=stop))
        await asyncio.wait_for(ready.wait(), 10)
        stop.set()
        assert (await running).reason == "stopped"


async def test_a_worker_that_waits_for_its_store_stops_when_it_is_told_to(
    known: Registry, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("dispatch.engine.opening._FIRST_PAUSE", 600.0)
    monkeypatch.setattr("dispatch.engine.opening._LONGEST_PAUSE", 600.0)
    async with Dispatch(CutAt("register", StoreAway("cut")), registry=known, config=Config(**PATIENT)) as app:
        stop = asyncio.Event()
        running = asyncio.create_task(run_worker(app, RunOptions(signals=False), stop=stop))
        await eventually(lambda: "the store is away" in caplog.text)
        stop.set()
        assert (await asyncio.wait_for(running, 10)).reason == "stopped"


@pytest.mark.parametrize("step", ["open", "register"])
@pytest.mark.parametrize("end", ["close", "stop"])
async def test_closing_an_app_ends_its_starts_that_wait_for_the_store(
    step: str, end: str, known: Registry, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("dispatch.engine.opening._FIRST_PAUSE", 600.0)
    monkeypatch.setattr("dispatch.engine.opening._LONGEST_PAUSE", 600.0)
    store = CutAt(step, StoreAway("cut"))
    app = Dispatch(store, registry=known, config=Config(**PATIENT))
    starts = [asyncio.create_task(app.start()) for _ in range(2)]
    await eventually(lambda: "the store is away" in caplog.text)
    await asyncio.wait_for(app.close() if end == "close" else app.stop(), 20)
    for start in starts:
        with pytest.raises(StoreAway, match="before the worker had started"):
            await start
    await app.start()
    assert await (await app.enqueue(known.jobs["work"])).result(timeout=10) == 1
    await app.close()
