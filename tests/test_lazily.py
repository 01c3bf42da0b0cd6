"""Attributes that are computed once: what threads and forks see of them."""

from __future__ import annotations

import inspect
import os
import select
import signal
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from dispatch.app import Dispatch
from dispatch.config import Config
from dispatch.lazily import lazily
from dispatch.stores.memory import MemoryStore

DEADLINE = 20.0


class Box:
    """Something with a part that is made by whatever the test says."""

    def __init__(self, make: Callable[[], object] = object) -> None:
        self._make = make

    @lazily
    def part(self) -> object:
        """What is in the box."""
        return self._make()


class Elsewhere:
    """Makes objects, and gets no further on a thread of its own until the test says so."""

    def __init__(self) -> None:
        self._inside, self._go_on = threading.Event(), threading.Event()
        self._thread: threading.Thread | None = None

    def make(self) -> object:
        """A new object."""
        if threading.current_thread() is self._thread:
            self._inside.set()
            assert self._go_on.wait(DEADLINE)
        return object()

    def begin(self, act: Callable[[], Any]) -> None:
        """Does so on the thread, up to the point where it makes an object."""
        self._thread = threading.Thread(target=act)
        self._thread.start()
        assert self._inside.wait(DEADLINE)

    def end(self) -> None:
        """Lets the thread come to its end."""
        self._go_on.set()
        if self._thread is not None:
            self._thread.join(DEADLINE)


class SlowStore(MemoryStore):
    """A store whose jobs are at hand when that has made something."""

    elsewhere: Elsewhere | None = None

    def __getattribute__(self, name: str) -> Any:
        if name == "jobs" and self.elsewhere is not None:
            self.elsewhere.make()
        return super().__getattribute__(name)


@pytest.fixture
def elsewhere() -> Iterator[Elsewhere]:
    made = Elsewhere()
    yield made
    made.end()


def fork_reaches(act: Callable[[], Any]) -> bool:
    """Whether a fork comes to the end of that."""
    read, write = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            act()
            os.write(write, b"done")
        finally:
            os._exit(0)
    os.close(write)
    try:
        ready, _, _ = select.select([read], [], [], DEADLINE / 2)
        return bool(ready) and os.read(read, 4) == b"done"
    finally:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        os.close(read)


def test_it_is_computed_once_for_each_object() -> None:
    first, second = Box(), Box()
    assert first.part is first.part
    assert first.part is not second.part


def test_what_failed_is_computed_again_by_the_next_who_asks() -> None:
    results = iter([KeyError("gone"), "made"])

    def make() -> object:
        result = next(results)
        if isinstance(result, Exception):
            raise result
        return result

    box = Box(make)
    with pytest.raises(KeyError):
        _ = box.part
    assert box.part == "made"


def test_on_the_class_it_tells_what_it_is() -> None:
    assert inspect.getdoc(Box.part) == "What is in the box."


def test_threads_that_compute_at_once_get_the_same(elsewhere: Elsewhere) -> None:
    box, got = Box(elsewhere.make), []
    elsewhere.begin(lambda: got.append(box.part))
    kept = box.part
    elsewhere.end()
    assert got == [kept]
    assert box.part is kept


@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_a_fork_during_a_computation_computes_for_itself(elsewhere: Elsewhere) -> None:
    box = Box(elsewhere.make)
    elsewhere.begin(lambda: box.part)
    assert fork_reaches(lambda: box.part)
    assert fork_reaches(lambda: Box().part)


@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_a_fork_while_an_app_makes_its_services_makes_its_own(elsewhere: Elsewhere) -> None:
    store = SlowStore()
    config = Config(store="memory://", auto_open=False)
    first, second = Dispatch(store, config=config), Dispatch("memory://", config=config)
    store.elsewhere = elsewhere
    elsewhere.begin(lambda: first.jobs)
    assert fork_reaches(lambda: first.jobs)
    assert fork_reaches(lambda: second.jobs)
