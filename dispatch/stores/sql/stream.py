"""The stream part of a SQL store: a short log a channel, kept only while somebody listens."""

from __future__ import annotations

from collections.abc import Sequence

from dispatch.clock import from_micros
from dispatch.stores.sql.plan import Do, Executor, Lock, Many, Plan, Rows, first
from dispatch.stores.sql.rows import names_text, span
from dispatch.streams import StreamEntry, StreamPage

_APPEND = ("channel", "position", "id", "type", "tenant", "now", "data")


class SQLStream:
    """StreamStore over any SQL executor."""

    def __init__(self, executor: Executor) -> None:
        self._executor = executor

    async def append(self, entries: Sequence[StreamEntry]) -> int:
        return await self._executor.run(lambda: _append(entries, self._executor.now())) if entries else 0

    async def read_after(self, channel: str, position: int, *, limit: int = 500) -> StreamPage:
        def plan() -> Plan[StreamPage]:
            last, begins = first((yield Rows("stream_channel", {"channel": channel}))) or (0, 0)
            if position < 0:
                return StreamPage([], last)
            rows = yield Rows("read_after", {"channel": channel, "position": position, "limit": limit})
            entries = [
                StreamEntry(name, id_, kind, b"" if data is None else data, tenant, at, from_micros(moment))
                for name, at, id_, kind, tenant, moment, data in rows
            ]
            return StreamPage(entries, entries[-1].position if entries else max(position, last), position < begins)

        return await self._executor.run(plan, write=False)

    async def listen(self, channel: str, listener: str, *, lease: float) -> None:
        def plan() -> Plan[None]:
            now = self._executor.now()
            known, _ = (yield Rows("listeners", {"channel": channel, "now": now}))[0]
            if not known:
                yield from _note_gap(channel)
            yield Do("listen", {"channel": channel, "listener": listener, "until": now + span(lease)})

        await self._executor.run(plan, durable=False)

    async def unlisten(self, channel: str, listener: str) -> None:
        def plan() -> Plan[None]:
            yield Do("unlisten", {"channel": channel, "listener": listener})

        await self._executor.run(plan, durable=False)

    async def prune(self, *, older_than: float, limit: int = 1000) -> int:
        def plan() -> Plan[int]:
            before = self._executor.now() - span(older_than)
            rows = yield Rows("old_entries", {"before": before, "limit": limit})
            yield Many("delete_entry", ("channel", "position"), [tuple(row) for row in rows])
            furthest: dict[str, int] = {}
            for channel, position in rows:
                furthest[channel] = max(position, furthest.get(channel, 0))
            for channel, position in furthest.items():
                yield Do("raise_floor", {"channel": channel, "position": position})
            return len(rows)

        return await self._executor.run(plan)


def _append(entries: Sequence[StreamEntry], now: int) -> Plan[int]:
    yield Lock("lock_listeners", {"channels": names_text({entry.channel for entry in entries})})
    ends: dict[str, int | None] = {}
    begins: dict[str, int] = {}
    rows = []
    last = 0
    for entry in entries:
        channel = entry.channel
        if channel not in ends:
            known, live = (yield Rows("listeners", {"channel": channel, "now": now}))[0]
            row = first((yield Rows("stream_channel", {"channel": channel}))) or (0, 0)
            begins[channel] = row[1]
            ends[channel] = row[0] if live else None
            last = row[0]
            if known and not live:
                yield Do("drop_listeners", {"channel": channel, "now": now})
                yield from _note_gap(channel)
        end = ends[channel]
        if end is None:
            continue
        ends[channel] = last = end + 1
        rows.append((channel, last, entry.id, entry.type, entry.tenant, now, entry.data))
    if rows:
        yield Many("append_entry", _APPEND, rows)
    for channel, end in ends.items():
        if end is not None:
            yield Do("set_channel", {"channel": channel, "last": end, "from_position": begins[channel]})
    return last


def _note_gap(channel: str) -> Plan[None]:
    """Skips a position, so that whoever was listening before is told that the log does not reach back."""
    row = first((yield Rows("stream_channel", {"channel": channel})))
    if row is not None:
        yield Do("set_channel", {"channel": channel, "last": row[0] + 1, "from_position": row[0] + 1})
