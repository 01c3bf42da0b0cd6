"""The watchdog: a loop that does not answer is noticed, and the line that blocks it is named."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Iterator

import pytest

from dispatch.engine import watchdog as module
from dispatch.engine.watchdog import TICK, TOLERATED, Watchdog


class Time:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def time(monkeypatch: pytest.MonkeyPatch) -> Time:
    made = Time()
    monkeypatch.setattr(module, "boot_seconds", made)
    return made


@pytest.fixture
def blocked() -> Iterator[tuple[asyncio.AbstractEventLoop, int, threading.Event]]:
    """A loop on another thread that stands in a function until it is let go."""
    loop, inside, go = asyncio.new_event_loop(), threading.Event(), threading.Event()

    def hold_everything_up() -> None:
        inside.set()
        go.wait(10)

    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    loop.call_soon_threadsafe(hold_everything_up)
    assert inside.wait(5)
    assert thread.ident is not None
    yield loop, thread.ident, go
    go.set()
    loop.call_soon_threadsafe(loop.stop)
    thread.join(5)
    loop.close()


async def test_a_loop_that_answers_is_not_stalled(time: Time, caplog: pytest.LogCaptureFixture) -> None:
    dog = Watchdog(asyncio.get_running_loop(), threading.get_ident(), logger=logging.getLogger("test.watchdog"))
    for _ in range(20):
        dog.tick()
        time.now += TICK
        await asyncio.sleep(0)
        assert dog.stalled_for == 0.0
    assert caplog.records == []


def test_a_blocked_loop_is_told_once_with_the_line_that_blocks_it(
    blocked: tuple[asyncio.AbstractEventLoop, int, threading.Event], time: Time, caplog: pytest.LogCaptureFixture
) -> None:
    loop, thread_id, go = blocked
    dog = Watchdog(loop, thread_id, logger=logging.getLogger("test.watchdog"))
    for _ in range(int((TOLERATED + 2) / TICK)):
        dog.tick()
        time.now += TICK
    assert dog.stalled_for > TOLERATED
    (record,) = caplog.records
    text = record.getMessage()
    assert "the event loop has been blocked for 1." in text
    assert "in wait" in text or "in hold_everything_up" in text
    assert f'File "{__file__}"' in text
    assert "Make the handler a plain function" in text
    go.set()
    answered = threading.Event()
    loop.call_soon_threadsafe(answered.set)
    assert answered.wait(5)
    assert dog.stalled_for == 0.0


def test_a_watcher_that_was_stopped_itself_blames_nobody(
    blocked: tuple[asyncio.AbstractEventLoop, int, threading.Event], time: Time, caplog: pytest.LogCaptureFixture
) -> None:
    loop, thread_id, _ = blocked
    dog = Watchdog(loop, thread_id, logger=logging.getLogger("test.watchdog"))
    dog.tick()
    time.now += 3600
    dog.tick()
    assert dog.stalled_for == 0.0
    assert caplog.records == []


def test_a_closed_loop_is_not_watched(time: Time) -> None:
    loop = asyncio.new_event_loop()
    loop.close()
    dog = Watchdog(loop, threading.get_ident(), logger=logging.getLogger("test.watchdog"))
    dog.tick()
    time.now += TICK
    assert dog.stalled_for == 0.0
