"""Jobs for the process executor's tests: a subprocess imports this module by name."""

from __future__ import annotations

import asyncio
import ctypes
import os
import signal
import subprocess
import sys
import threading
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from dispatch.errors import Fail, Retry, Snooze
from dispatch.jobs.context import current_job
from dispatch.registry import Registry
from dispatch.scope import capture

registry = Registry()
broken = Registry()


class Counter:
    """A resource: how often it was made, in which process."""

    made = 0

    def __init__(self) -> None:
        Counter.made += 1
        self.pid = os.getpid()


class Point(BaseModel):
    x: int
    y: int


@registry.lifespan
async def counters() -> AsyncIterator[Counter]:
    yield Counter()
    farewell = os.environ.get("TEST_FAREWELL")
    if farewell:
        Path(farewell).write_text("left")


@broken.lifespan
async def no_database() -> AsyncIterator[int]:
    raise ConnectionError("the database is away")
    yield 1


@registry.job(executor="process")
def add(a: int, b: int) -> int:
    return a + b


@registry.job(executor="process")
async def shift(point: Point, *, by: int = 1) -> Point:
    await asyncio.sleep(0)
    return Point(x=point.x + by, y=point.y + by)


@registry.job(executor="process")
def who() -> int:
    return os.getpid()


@registry.job(executor="process")
async def who_async() -> int:
    return os.getpid()


@registry.job(executor="process")
def about() -> dict[str, Any]:
    context = current_job()
    scope = capture()
    return {
        "id": context.id,
        "attempt": context.attempt,
        "epoch": context.epoch,
        "scope": [context.scope.app_id, context.scope.org_id],
        "captured": [scope.app_id, scope.org_id],
        "metadata": context.metadata,
        "effect_key": context.effect_key,
        "cancelled": context.cancelled,
        "main_thread": threading.current_thread() is threading.main_thread(),
    }


@registry.job(executor="process")
def a_loop_of_its_own() -> str:
    return asyncio.run(asyncio.sleep(0, "ran"))


@registry.job(executor="process")
async def counter() -> list[int]:
    found = current_job().resources(Counter)
    return [found.pid, os.getpid(), Counter.made]


@registry.job(executor="process")
def steps() -> None:
    for number in range(1, 5):
        current_job().progress(number / 4, f"step {number}")


@registry.job(executor="process", retry_on=(ConnectionError,), fail_on=(KeyError,))
async def trouble(kind: str) -> None:
    match kind:
        case "connection":
            raise ConnectionError("try again")
        case "value":
            raise ValueError("not worth it")
        case "retry":
            raise Retry("later", delay="90s")
        case "snooze":
            raise Snooze(30)
        case "fail":
            raise Fail("declined", dead_letter=False)
        case "exit":
            sys.exit(4)
    raise KeyError(kind)


@registry.job(executor="process")
def bare_trouble() -> None:
    sys.exit(5)


@registry.job(executor="process")
def unstorable() -> Any:
    return object()


@registry.job(executor="process", keep_result=False)
def unstorable_but_unkept() -> Any:
    return object()


@registry.job(executor="process")
def large(size: int) -> str:
    return "x" * size


@registry.job(executor="process")
def leave(code: int) -> None:
    os._exit(code)


@registry.job(executor="process")
def crash() -> None:
    os.kill(os.getpid(), signal.SIGSEGV)


@registry.job(executor="process")
def hang(path: str) -> None:
    """Tells where it and its own child are, then never ends: not for the asking, not by an exception."""
    helper = subprocess.Popen([sys.executable, "-c", "import signal; signal.pause()"])
    tell(path, f"{os.getpid()} {helper.pid}")
    while True:
        try:
            signal.pause()
        except BaseException:
            continue


@registry.job(executor="process")
def death_signal(forget: bool) -> int:
    """The signal that Linux sends this process when its worker dies; `forget` turns that off."""
    number = ctypes.c_int()
    ctypes.CDLL(None).prctl(2, ctypes.byref(number), 0, 0, 0)
    if forget:
        ctypes.CDLL(None).prctl(1, 0, 0, 0, 0)
    return number.value


@registry.job(executor="process")
def outlive(path: str) -> str:
    """Ends when the worker's side answers through a file, whatever signals come."""
    tell(path, str(os.getpid()))
    while not Path(path + ".go").exists():
        signal.sigtimedwait([], 0.01)
    return "finished"


@registry.job(executor="process")
def forked(path: str) -> list[int]:
    """How a process that a handler forks sees SIGTERM, and whether it can stop the handler's own talk."""
    forked = os.fork()
    if not forked:
        tell(path, str(os.getpid()))
        while True:
            signal.pause()
    wait_for(Path(path))
    os.kill(forked, signal.SIGTERM)
    return [os.WTERMSIG(os.waitpid(forked, 0)[1])]


@registry.job(executor="process")
def die_before_the_fork(path: str) -> None:
    """Leaves behind, in a session of its own, a fork that lives on."""
    if not os.fork():
        os.setsid()
        tell(path, str(os.getpid()))
        while True:
            signal.pause()
    wait_for(Path(path))
    os._exit(7)


@broken.job(executor="process")
def never() -> None:
    return None


def local_job() -> Any:
    """A job that no fresh import of this module makes."""

    @Registry().job(executor="process")
    def hidden() -> None:
        return None

    return hidden


def tell(path: str, text: str) -> None:
    """Writes a file that is complete once it is there."""
    Path(path + ".part").write_text(text)
    Path(path + ".part").rename(path)


def wait_for(path: Path) -> None:
    """Blocks until the file is there."""
    while not path.exists():
        signal.sigtimedwait([], 0.005)
