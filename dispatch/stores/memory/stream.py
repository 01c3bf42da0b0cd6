"""The stream part of the memory store."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

from dispatch.stores.memory.data import Session
from dispatch.stores.memory.rows import checked_bytes, later
from dispatch.streams import StreamEntry, StreamPage


class MemoryStream:
    """The verbs of StreamStore."""

    def __init__(self, session: Session) -> None:
        self._session = session

    async def append(self, entries: Sequence[StreamEntry]) -> int:
        for entry in entries:
            checked_bytes(entry.data, f"stream entry {entry.id}")
        with self._session as data:
            now = data.clock.now()
            kept = [data.streams.append(entry, now) for entry in entries]
            if any(kept):
                data.signal.bump()
            return data.streams.position

    async def read_after(self, channel: str, position: int, *, limit: int = 500) -> StreamPage:
        with self._session as data:
            return data.streams.read_after(channel, position, limit)

    async def listen(self, channel: str, listener: str, *, lease: float) -> None:
        with self._session as data:
            data.streams.listen(channel, listener, later(data.clock.now(), lease, f"the lease of listener {listener}"))

    async def unlisten(self, channel: str, listener: str) -> None:
        with self._session as data:
            data.streams.unlisten(channel, listener)

    async def prune(self, *, older_than: float, limit: int = 1000) -> int:
        with self._session as data:
            now = data.clock.now()
            return data.streams.prune(now - timedelta(seconds=older_than), limit, now)
