"""The Broker's listener leases: for exactly the event types that somebody subscribes to, and a while longer."""

from __future__ import annotations

import asyncio
from collections.abc import Collection

from dispatch.clock import boot_seconds
from dispatch.ids import WorkerID
from dispatch.streams.store import StreamStore


class Leases:
    """Says to the store what this process listens to."""

    def __init__(self, stream: StreamStore, *, lease: float, linger: float) -> None:
        self._stream = stream
        self._lease = lease
        self._linger = linger
        self._listener = f"broker:{WorkerID.new()}"
        self._held: dict[str, float] = {}
        """The types listened to, and until when (seconds since boot) their lease surely lasts."""
        self._lingering: set[str] = set()
        self._lock = asyncio.Lock()

    @property
    def interval(self) -> float:
        """Seconds between two renewals."""
        return self._lease / 3

    async def hold(self, kinds: Collection[str]) -> None:
        """Returns once the store keeps what happens of these types."""
        async with self._lock:
            now = boot_seconds()
            soon = now + self.interval
            lacking = {kind for kind in kinds if self._held.get(kind, 0.0) < soon}
            if lacking:
                await self._listen(lacking, self._lease, now)
            self._lingering.difference_update(kinds)

    async def renew(self, wanted: Collection[str]) -> None:
        """Extends the leases of the types that are wanted; the others linger and are then forgotten."""
        async with self._lock:
            now = boot_seconds()
            if wanted:
                await self._listen(wanted, self._lease, now)
                self._lingering.difference_update(wanted)
            await self._linger_on(self._held.keys() - wanted - self._lingering, now)
            for kind in [kind for kind in self._lingering if self._held[kind] <= now]:
                self._lingering.discard(kind)
                del self._held[kind]

    async def let_go(self) -> None:
        """Nobody subscribes here any more: all that is held lingers."""
        async with self._lock:
            await self._linger_on(self._held.keys() - self._lingering, boot_seconds())
            self._held.clear()
            self._lingering.clear()

    async def _linger_on(self, kinds: Collection[str], now: float) -> None:
        if kinds:
            await self._listen(kinds, self._linger, now)
            self._lingering.update(kinds)

    async def _listen(self, kinds: Collection[str], lease: float, now: float) -> None:
        await self._stream.listen(sorted(kinds), self._listener, lease=lease)
        self._held.update(dict.fromkeys(kinds, now + lease))
