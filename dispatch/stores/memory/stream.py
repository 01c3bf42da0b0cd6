"""The stream part of the memory store."""

from __future__ import annotations

from collections.abc import Collection, Sequence
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
            kept = [entry for entry in entries if data.stream.heard(entry.channel, now)]
            for entry in kept:
                data.stream.append(entry, now)
            if kept:
                data.signal.bump()
            return data.stream.position

    async def read_after(self, channels: Collection[str], position: int, *, limit: int = 500) -> StreamPage:
        with self._session as data:
            return data.stream.read_after(channels, position, limit)

    async def listen(self, channels: Collection[str], listener: str, *, lease: float) -> None:
        with self._session as data:
            now = data.clock.now()
            until = later(now, lease, f"the lease of listener {listener}")
            data.stream.listen(channels, listener, until, now)

    async def unlisten(self, listener: str) -> None:
        with self._session as data:
            data.stream.unlisten(listener)

    async def prune(self, *, older_than: float, limit: int = 1000, dry_run: bool = False) -> int:
        with self._session as data:
            now = data.clock.now()
            count = data.stream.old(now - timedelta(seconds=older_than), limit)
            if not dry_run:
                data.stream.prune(count, now)
            return count
