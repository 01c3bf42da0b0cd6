"""Supervised loops: they go on after failures, and one that dies says so."""

from __future__ import annotations

import asyncio
import gc
import logging
import weakref
from collections.abc import Awaitable, Callable

import pytest

from dispatch.engine.service import Service
from dispatch.errors import StoreBusy

from .facts import eventually


class Loop(Service):
    name = "loop"

    def __init__(
        self, *rounds: Callable[[], Awaitable[float | None]], interval: float = 60.0, limit: float | None = None
    ):
        self.deaths: list[BaseException] = []
        super().__init__(
            interval=interval, logger=logging.getLogger("test.service"), on_death=self.deaths.append, limit=limit
        )
        self.rounds = list(rounds)
        self.done = 0

    async def run_once(self) -> float | None:
        self.done += 1
        return await self.rounds.pop(0)() if self.rounds else None


async def at_once() -> float:
    return 0.0


def raising(error: BaseException) -> Callable[[], Awaitable[float | None]]:
    async def fail() -> float | None:
        raise error

    return fail


@pytest.fixture(autouse=True)
def short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dispatch.engine.service._FIRST_PAUSE", 0.001)


async def test_a_round_says_how_long_to_pause() -> None:
    loop = Loop(at_once, at_once)
    loop.start()
    await eventually(lambda: loop.done == 3)
    await asyncio.sleep(0)
    assert loop.done == 3
    await loop.stop()


async def test_a_nudge_ends_the_pause() -> None:
    loop = Loop()
    loop.start()
    await eventually(lambda: loop.done == 1)
    loop.nudge()
    await eventually(lambda: loop.done == 2)
    await loop.stop()
    assert loop.deaths == []


async def test_a_nudge_during_a_round_is_not_forgotten() -> None:
    loop = Loop()

    async def nudged() -> None:
        loop.nudge()

    loop.rounds.append(nudged)
    loop.start()
    await eventually(lambda: loop.done == 2)
    await loop.stop()


async def test_failures_are_logged_and_the_loop_goes_on(caplog: pytest.LogCaptureFixture) -> None:
    loop = Loop(raising(StoreBusy("locked by another")), raising(ValueError("a bug")), at_once)
    loop.start()
    await eventually(lambda: loop.done == 4)
    await loop.stop()
    assert "loop: locked by another (try 1)" in caplog.text
    assert "loop failed (try 2)" in caplog.text
    assert "ValueError: a bug" in caplog.text
    assert loop.deaths == []


async def test_a_round_that_hangs_is_cut_off(caplog: pytest.LogCaptureFixture) -> None:
    async def hang() -> None:
        await asyncio.Event().wait()

    loop = Loop(hang, limit=0.01)
    loop.start()
    await eventually(lambda: loop.done == 2)
    await loop.stop()
    assert "loop: the store took too long (try 1)" in caplog.text


@pytest.mark.parametrize("failures", [1, 5, 1000])
def test_pauses_after_failures_grow_and_stay_bounded(failures: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    pauses = [Service._backoff(failures) for _ in range(50)]
    longest = min(10.0, 0.1 * 2 ** min(failures, 10))
    assert all(longest / 2 <= pause <= longest for pause in pauses)
    assert len(set(pauses)) > 1


async def test_a_loop_that_dies_is_reported() -> None:
    class Fatal(BaseException):
        pass

    loop = Loop(raising(Fatal()))
    loop.start()
    task = loop._task
    assert task is not None
    with pytest.raises(Fatal):
        await task
    assert [type(death) for death in loop.deaths] == [Fatal]
    await loop.stop()


async def test_of_a_loop_that_has_died_asyncio_does_not_complain_once_more() -> None:
    class Fatal(BaseException):
        pass

    async def live_and_die() -> weakref.ref[asyncio.Task[None]]:
        loop = Loop(raising(Fatal()))
        loop.start()
        await eventually(lambda: loop.deaths)
        await loop.stop()
        assert loop._task is not None
        return weakref.ref(loop._task)

    complaints: list[object] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: complaints.append(context))
    task = await live_and_die()
    gc.collect()
    assert task() is None
    assert complaints == []


async def test_stopping_waits_for_the_round_and_starts_no_other() -> None:
    going, finish = asyncio.Event(), asyncio.Event()

    async def slow() -> float:
        going.set()
        await finish.wait()
        return 0.0

    loop = Loop(slow)
    loop.start()
    await going.wait()
    stopping = asyncio.create_task(loop.stop())
    await asyncio.sleep(0)
    assert not stopping.done()
    finish.set()
    await stopping
    assert loop.done == 1


async def test_a_loop_that_never_began_stops_at_once() -> None:
    await Loop().stop()


async def test_nudges_do_not_shorten_the_rest_after_a_failure_but_stopping_does(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("dispatch.engine.service._FIRST_PAUSE", 60.0)
    monkeypatch.setattr("dispatch.engine.service._LONGEST_PAUSE", 60.0)
    monkeypatch.setattr("dispatch.engine.service._REST", 60.0)
    loop = Loop(raising(StoreBusy("locked by another")), at_once)
    loop.start()
    await eventually(lambda: loop.done == 1)
    for _ in range(20):
        loop.nudge()
        await asyncio.sleep(0)
    assert loop.done == 1
    async with asyncio.timeout(10):
        await loop.stop()
    assert loop.done == 1


async def test_a_nudge_during_the_rest_after_a_failure_is_not_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dispatch.engine.service._FIRST_PAUSE", 60.0)
    monkeypatch.setattr("dispatch.engine.service._LONGEST_PAUSE", 60.0)
    monkeypatch.setattr("dispatch.engine.service._REST", 0.01)
    loop = Loop(raising(StoreBusy("locked by another")), at_once)
    loop.start()
    await eventually(lambda: loop.done == 1)
    loop.nudge()
    await eventually(lambda: loop.done >= 2)
    await loop.stop()
