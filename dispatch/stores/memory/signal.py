"""Wake-ups of the memory store: a version that rises with writes, and whoever waits for it on any loop."""

from __future__ import annotations

import asyncio
import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from dispatch.stores.memory.data import Session


class Signal:
    """The version, and the futures of those who wait; safe to use from any thread."""

    def __init__(self) -> None:
        self.version = 0
        self.waiters: dict[asyncio.Future[None], None] = {}
        """In the order in which they came."""
        self._lock = threading.Lock()

    def bump(self) -> None:
        """Says that something may have changed."""
        with self._lock:
            self.version += 1
            waiters, self.waiters = self.waiters, {}
        for future in waiters:
            try:
                future.get_loop().call_soon_threadsafe(_wake, future)
            except RuntimeError:  # its loop was closed before it could stop waiting
                continue

    def join(self, seen: int) -> asyncio.Future[None] | None:
        """A future for the next bump; None when the version is another already."""
        with self._lock:
            if self.version != seen:
                return None
            future = asyncio.get_running_loop().create_future()
            self.waiters[future] = None
            return future

    def leave(self, future: asyncio.Future[None]) -> None:
        """Stops waiting."""
        with self._lock:
            self.waiters.pop(future, None)
        future.cancel()


def _wake(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)


class MemoryWakeups:
    """The wakeups part of a MemoryStore."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._signal = session.data.signal

    @property
    def version(self) -> int:
        return self._signal.version

    async def wait(self, seen: int, timeout: float) -> int:
        with self._session:
            future = self._signal.join(seen)
        if future is not None:
            try:
                await asyncio.wait((future,), timeout=max(0.0, timeout))
            finally:
                self._signal.leave(future)
        return self._signal.version
