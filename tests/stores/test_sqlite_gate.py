"""The gate before a SQLite file: a writer that is alone asks little, and whoever waits is let in."""

from __future__ import annotations

import fcntl
import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from dispatch.stores.sqlite_gate import Gate

DEADLINE = 30.0


@pytest.fixture
def path(tmp_path: Path) -> str:
    return str(tmp_path / "jobs.db")


@contextmanager
def gate_on(path: str, *, first: bool = False) -> Iterator[Gate]:
    """A gate with descriptors of its own, as another process has them."""
    gate = Gate(path, timeout=DEADLINE, first=first)
    try:
        yield gate
    finally:
        gate.close()


def asked(monkeypatch: pytest.MonkeyPatch, gate: Gate) -> list[int]:
    """What one passage through the gate asks of the system."""
    kinds: list[int] = []
    flock = fcntl.flock

    def noted(file: int, kind: int) -> None:
        kinds.append(kind)
        flock(file, kind)

    with monkeypatch.context() as patched:
        patched.setattr(fcntl, "flock", noted)
        gate.acquire()
        gate.release()
    return kinds


SHORT = [fcntl.LOCK_EX | fcntl.LOCK_NB, fcntl.LOCK_UN]


def until(happened: Callable[[], bool]) -> None:
    end = time.monotonic() + DEADLINE
    while not happened():
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.001)


def open_files() -> list[str]:
    return [str(link.resolve()) for link in Path("/proc/self/fd").iterdir()]


def is_awaited(path: str) -> bool:
    return Path(path + ".gate.turn").read_bytes() == b"\1"


@pytest.mark.parametrize("first", [False, True], ids=["writer", "beat"])
def test_who_is_alone_asks_for_the_gate_only(path: str, first: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    with gate_on(path, first=first) as gate:
        assert asked(monkeypatch, gate) == SHORT
        assert asked(monkeypatch, gate) == SHORT


@pytest.mark.parametrize("first", [False, True], ids=["writer", "beat"])
def test_who_waits_is_let_in_before_the_one_that_comes_again(path: str, first: bool) -> None:
    order: list[str] = []

    def waiter() -> None:
        with gate_on(path, first=first) as theirs:
            theirs.acquire()
            order.append("who waited")
            theirs.release()

    with gate_on(path) as mine:
        mine.acquire()
        thread = threading.Thread(target=waiter)
        thread.start()
        until(lambda: is_awaited(path))
        mine.release()
        mine.acquire()
        order.append("who came again")
        mine.release()
        thread.join(DEADLINE)
    assert order == ["who waited", "who came again"]


def test_a_waiter_that_was_killed_costs_the_long_way_once(path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with gate_on(path) as gate:
        gate.open()
        with Path(path + ".gate.turn").open("r+b") as file:
            file.write(b"\1")
        assert len(asked(monkeypatch, gate)) > len(SHORT)
        assert asked(monkeypatch, gate) == SHORT


def test_lock_files_of_an_older_library_are_taken_over(path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    Path(path + ".gate.turn").touch(mode=0o600)
    with gate_on(path) as gate, gate_on(path) as other:
        other.open()
        assert asked(monkeypatch, gate) == SHORT
        assert Path(path + ".gate.turn").read_bytes() == b"\0"


def test_a_file_that_is_emptied_in_use_changes_nothing(path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with gate_on(path) as gate:
        gate.open()
        os.truncate(path + ".gate.turn", 0)
        assert asked(monkeypatch, gate) == SHORT


def test_a_gate_that_cannot_be_opened_leaves_no_descriptor_behind(tmp_path: Path) -> None:
    path = str(tmp_path / "jobs.db")
    Path(path + ".gate.beat").mkdir()
    with gate_on(path) as gate:
        for _ in range(2):
            with pytest.raises(IsADirectoryError):
                gate.acquire()
        assert [name for name in open_files() if name.startswith(path)] == []
        Path(path + ".gate.beat").rmdir()
        gate.acquire()
        assert len([name for name in open_files() if name.startswith(path)]) == 3


def test_a_closed_gate_is_no_longer_held_and_opens_again(path: str) -> None:
    with gate_on(path) as one, gate_on(path) as other:
        one.acquire()
        one.close()
        other.acquire(time.monotonic())
        other.release()
        one.acquire(time.monotonic())
        one.release()
