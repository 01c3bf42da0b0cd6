"""Wake-ups within one process, for databases that tell nobody: what other processes change is found by polling."""

from __future__ import annotations

import asyncio
import threading
from contextlib import suppress

_lock = threading.Lock()
_open: dict[str, set[PolledWakeups]] = {}
"""The open stores of this process by where their data is: the heartbeat's is another one than the workers'."""


class PolledWakeups:
    """The wakeups part of one store, used on one loop.

    Args:
        place: where the data is; all stores of this process that say the same hear of each other's writes.
    """

    def __init__(self, place: str) -> None:
        self._place = place
        self._loop: asyncio.AbstractEventLoop | None = None
        self._version = 0
        self._waiters: set[asyncio.Future[None]] = set()

    def open(self) -> None:
        """Begins to hear of the others."""
        self._loop = asyncio.get_running_loop()
        with _lock:
            _open.setdefault(self._place, set()).add(self)

    def close(self) -> None:
        """Wakes who waits, and hears no more; idempotent."""
        with _lock:
            others = _open.get(self._place, set())
            others.discard(self)
            if not others:
                _open.pop(self._place, None)
        self._raise()

    @property
    def version(self) -> int:
        """Rises whenever this process has changed the store."""
        return self._version

    async def wait(self, seen: int, timeout: float) -> int:
        """Waits until `version` differs from `seen`, at most `timeout` seconds; answers the version now."""
        if self._version == seen and timeout > 0:
            waiter = asyncio.get_running_loop().create_future()
            self._waiters.add(waiter)
            try:
                await asyncio.wait([waiter], timeout=timeout)
            finally:
                self._waiters.discard(waiter)
        return self._version

    def bump(self) -> None:
        """Says that something changed: wakes who waits, on the other stores too."""
        self._raise()
        with _lock:
            others = _open.get(self._place, set()) - {self}
        for other in others:
            if other._loop is not None:
                with suppress(RuntimeError):  # its loop has ended: nobody waits there any more
                    other._loop.call_soon_threadsafe(other._raise)

    def _raise(self) -> None:
        self._version += 1
        waiters, self._waiters = self._waiters, set()
        for waiter in waiters:
            if not waiter.done():
                waiter.set_result(None)
