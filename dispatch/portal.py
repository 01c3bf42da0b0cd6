"""One background event loop a process, for synchronous callers and for the implicit app."""

from __future__ import annotations

import asyncio
import atexit
import os
import threading
from collections.abc import Awaitable, Callable
from concurrent.futures import Future
from typing import TypeVar

from dispatch.errors import SyncInAsync

T = TypeVar("T")
_PATIENCE = 5.0
"""Seconds that the interpreter's end waits for a closer."""


class Portal:
    """A daemon thread that runs an event loop; started on first use, and anew in a forked child."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._closers: list[Callable[[], Awaitable[None]]] = []

    @property
    def loop(self) -> asyncio.AbstractEventLoop:
        """The running background loop."""
        with self._lock:
            if self._loop is None:
                self._loop = self._start()
            return self._loop

    def at_exit(self, closer: Callable[[], Awaitable[None]]) -> None:
        """Awaits `closer` on the loop before the interpreter ends."""
        self._closers.append(closer)

    def forget(self) -> None:
        """Drops the loop without stopping it: in a forked child its thread does not exist."""
        self._lock = threading.Lock()
        self._loop = None
        self._closers.clear()

    def close(self) -> None:
        """Runs the closers and ends the loop."""
        loop, thread = self._loop, self._thread
        if loop is None or thread is None:
            return
        try:
            for closer in self._closers:
                run_on(loop, closer).result(timeout=_PATIENCE)
        finally:
            self._closers.clear()
            self._loop = self._thread = None
            loop.call_soon_threadsafe(loop.stop)
            thread.join(_PATIENCE)

    def _start(self) -> asyncio.AbstractEventLoop:
        loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=_run, args=(loop,), name="dispatch-portal", daemon=True)
        self._thread.start()
        return loop


def _run(loop: asyncio.AbstractEventLoop) -> None:
    try:
        loop.run_forever()
    finally:
        loop.close()


portal = Portal()
atexit.register(portal.close)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=portal.forget)


def run_on(loop: asyncio.AbstractEventLoop, make: Callable[[], Awaitable[T]]) -> Future[T]:
    """Schedules what `make` returns on another thread's loop."""

    async def run() -> T:
        return await make()

    return asyncio.run_coroutine_threadsafe(run(), loop)


def run_sync(loop: asyncio.AbstractEventLoop, make: Callable[[], Awaitable[T]]) -> T:
    """Runs what `make` returns on `loop` and waits for it here; SyncInAsync where that would block a running loop."""
    refuse_in_loop()
    return run_on(loop, make).result()


def refuse_in_loop() -> None:
    """Raises SyncInAsync on a thread whose event loop is running."""
    if asyncio._get_running_loop() is not None:
        raise SyncInAsync(
            ".sync was used where an event loop is running, which would block it; await the verb without .sync"
        )


async def bridge(loop: asyncio.AbstractEventLoop, make: Callable[[], Awaitable[T]]) -> T:
    """Awaits what `make` returns on `loop`, whichever loop the caller runs on."""
    if asyncio.get_running_loop() is loop:
        return await make()
    return await asyncio.wrap_future(run_on(loop, make))
