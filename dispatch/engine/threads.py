"""Daemon threads for plain functions: as many as there are slots, never in the way of the interpreter's exit."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from contextlib import suppress
from contextvars import copy_context
from queue import SimpleQueue
from typing import Any

_Work = tuple[asyncio.AbstractEventLoop, "asyncio.Future[Any]", Callable[[], Any]]


class ThreadPool:
    """Starts a thread when none is idle; idle ones are used again."""

    def __init__(self) -> None:
        self._work: SimpleQueue[_Work | None] = SimpleQueue()
        self._lock = threading.Lock()
        self._idle = 0
        self._threads = 0
        self._awaited: set[asyncio.Future[Any]] = set()

    def submit(self, function: Callable[[], Any]) -> asyncio.Future[Any]:
        """Runs `function` in a thread under the caller's context; the future belongs to the running loop."""
        loop = asyncio.get_running_loop()
        future: asyncio.Future[Any] = loop.create_future()
        context = copy_context()
        with self._lock:
            if self._idle > 0:
                self._idle -= 1
            else:
                self._threads += 1
                threading.Thread(target=self._run, name=f"dispatch-job-{self._threads}", daemon=True).start()
        self._awaited.add(future)
        future.add_done_callback(self._awaited.discard)
        self._work.put((loop, future, lambda: context.run(function)))
        return future

    def close(self) -> None:
        """Lets idle threads end; busy ones end with their work or with the process, and nobody waits for them."""
        for future in list(self._awaited):
            with suppress(RuntimeError):  # its loop is closed
                future.cancel()
        for _ in range(self._threads):
            self._work.put(None)
        self._threads = 0

    def _run(self) -> None:
        while (work := self._work.get()) is not None:
            loop, future, function = work
            try:
                value = function()
            except BaseException as error:
                self._answer(loop, future, error=error)
                del error
            else:
                self._answer(loop, future, value=value)
            del work, loop, future, function
            with self._lock:
                self._idle += 1

    @staticmethod
    def _answer(
        loop: asyncio.AbstractEventLoop,
        future: asyncio.Future[Any],
        *,
        value: Any = None,
        error: BaseException | None = None,
    ) -> None:
        def deliver() -> None:
            if future.done():
                return
            if error is None:
                future.set_result(value)
            elif isinstance(error, StopIteration):
                future.set_exception(RuntimeError(f"the handler raised StopIteration: {error}"))
            else:
                future.set_exception(error)

        try:
            loop.call_soon_threadsafe(deliver)
        except RuntimeError:
            return  # the loop is closed: the worker was stopped and has given the job back
