"""Wake-ups within one process, for databases that tell nobody: what other processes change is found by polling."""

from __future__ import annotations

import asyncio


class PolledWakeups:
    """The wakeups part of one store, used on one loop."""

    def __init__(self) -> None:
        self._version = 0
        self._waiters: set[asyncio.Future[None]] = set()

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
        """Says that something changed: wakes who waits."""
        self._version += 1
        waiters, self._waiters = self._waiters, set()
        for waiter in waiters:
            if not waiter.done():
                waiter.set_result(None)
