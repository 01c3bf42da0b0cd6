"""The stream part of the Redis store: the feed of state changes, kept only while somebody listens."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from dispatch.clock import from_micros
from dispatch.errors import DataRejected
from dispatch.stores.redis.client import RedisClient
from dispatch.stores.redis.rows import span, table
from dispatch.streams import StreamEntry, StreamPage

_AT_ONCE = 200


class RedisStream:
    """The verbs of StreamStore."""

    def __init__(self, client: RedisClient) -> None:
        self._client = client

    async def append(self, entries: Sequence[StreamEntry]) -> int:
        for entry in entries:
            if type(entry.data) is not bytes:
                raise DataRejected(f"stream entry {entry.id} holds no bytes; nothing was written")
        given = [(entry.channel, entry.id, entry.type, entry.tenant, entry.data) for entry in entries]
        last = 0
        for at in range(0, len(given), _AT_ONCE):
            last = await self._client.run("append", *(part for one in given[at : at + _AT_ONCE] for part in one))
        return last

    async def read_after(self, channels: Collection[str], position: int, *, limit: int = 500) -> StreamPage:
        names = sorted(set(channels))
        entries: list[StreamEntry] = []
        missing: set[str] = set()
        end, more = position, 1
        while more:
            left = max(0, limit) - len(entries)
            rows, end, gaps, more = await self._client.run("read_after", end, left, *names)
            entries += [_entry(entry_id, fields) for entry_id, fields in rows]
            missing.update(name.decode() for name in gaps)
        return StreamPage(entries, end, frozenset(missing))

    async def listen(self, channels: Collection[str], listener: str, *, lease: float) -> None:
        await self._client.run("listen", listener, span(lease), *sorted(set(channels)))

    async def unlisten(self, listener: str) -> None:
        await self._client.run("unlisten", listener)

    async def prune(self, *, older_than: float, limit: int = 1000, dry_run: bool = False) -> int:
        if dry_run:
            found: int = await self._client.run("prune_stream", span(older_than), max(0, limit), "1")
            return found
        removed = 0
        while removed < limit:
            most = min(_AT_ONCE, limit - removed)
            count: int = await self._client.run("prune_stream", span(older_than), most, "")
            removed += count
            if count < most:
                break
        return removed


def _entry(entry_id: bytes, fields: Sequence[bytes]) -> StreamEntry:
    row = table(fields)
    return StreamEntry(
        row[b"c"].decode(),
        row[b"i"].decode(),
        row[b"t"].decode(),
        row[b"d"],
        row[b"n"].decode(),
        int(entry_id.partition(b"-")[0]),
        from_micros(int(row[b"a"])),
    )
