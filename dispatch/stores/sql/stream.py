"""The stream part of a SQL store: the feed of state changes, which triggers write while somebody listens."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from dispatch.clock import from_micros
from dispatch.stores.sql.plan import Do, Executor, Lock, Many, Plan, Rows
from dispatch.stores.sql.rows import names_text, span
from dispatch.streams import StreamEntry, StreamPage

_APPEND = ("channel", "id", "type", "tenant", "now", "data")
_NUMBER_AT_ONCE = 5000


class SQLStream:
    """StreamStore over any SQL executor."""

    def __init__(self, executor: Executor) -> None:
        self._executor = executor

    async def append(self, entries: Sequence[StreamEntry]) -> int:
        return await self._executor.run(lambda: _append(entries, self._executor.now())) if entries else 0

    async def read_after(self, channels: Collection[str], position: int, *, limit: int = 500) -> StreamPage:
        ((last, _, waiting),) = await self._executor.run(_state, write=False, single=True)
        if waiting:
            # what a reader has seen must not be another's position after a crash of the server: made durable first
            last = await self._executor.run(_number, wake=False)
        if position < 0 or position == last:
            return StreamPage([], last)
        return await self._executor.run(lambda: _read(channels, position, limit), write=False)

    async def listen(self, channels: Collection[str], listener: str, *, lease: float) -> None:
        await self._executor.run(
            lambda: self._listen(channels, listener, self._executor.now(), span(lease)), wake=False
        )

    async def unlisten(self, listener: str) -> None:
        def plan() -> Plan[None]:
            yield Do("unlisten", {"listener": listener})

        await self._executor.run(plan, durable=False, wake=False)

    async def prune(self, *, older_than: float, limit: int = 1000, dry_run: bool = False) -> int:
        if limit <= 0:
            return 0

        def look() -> Plan[tuple[int, bool]]:
            now = self._executor.now()
            params = {"before": now - span(older_than), "limit": limit if dry_run else 1}
            count = (yield Rows("count_old_entries", params))[0][0]
            return count, bool((yield Rows("count_lapsed_listeners", {"now": now}))[0][0])

        def act() -> Plan[int]:
            now = self._executor.now()
            count = yield from _prune(now - span(older_than), limit)
            yield Do("drop_listeners", {"now": now})
            yield from self._keep_quiet()
            return count

        count, lapsed = await self._executor.run(look, write=False)
        if dry_run or not (count or lapsed):
            return count
        return await self._executor.run(act, durable=False, wake=False)

    def _listen(self, channels: Collection[str], listener: str, now: int, lease: int) -> Plan[bool]:
        """The plan of `listen`; answers whether nobody has listened to one of the channels before."""
        yield Lock("lock_stream", {})
        wanted = sorted(set(channels))
        heard = {name for (name,) in (yield Rows("heard", {"channels": names_text(wanted), "now": now}))}
        unheard = [channel for channel in wanted if channel not in heard]
        if unheard:
            last = (yield Rows("stream_state", {}))[0][0] + 1
            yield Do("move_end", {"last": last})
            yield from self._tell()
            yield Many("begin_channel", ("channel", "begins"), [(channel, last) for channel in unheard])
        rows = [(channel, listener, now + lease) for channel in wanted]
        yield Many("listen", ("channel", "listener", "until"), rows)
        return bool(unheard)

    def _tell(self) -> Plan[None]:
        """Sees to it that state changes are told, once somebody listens."""
        yield from ()

    def _keep_quiet(self) -> Plan[None]:
        """Nobody may listen any more."""
        yield from ()


def _state() -> Plan[list[tuple[int, int, int]]]:
    rows: list[tuple[int, int, int]] = yield Rows("stream_state", {})
    return rows


def _number() -> Plan[int]:
    """Gives entries that lack one a position, where many write at once; answers the present end."""
    yield Lock("lock_stream", {})
    yield Lock("number_entries", {"limit": _NUMBER_AT_ONCE})
    last: int = (yield Rows("stream_state", {}))[0][0]
    return last


def _read(channels: Collection[str], position: int, limit: int) -> Plan[StreamPage]:
    ((last, pruned, _),) = yield Rows("stream_state", {})
    names = names_text(channels)
    params = {"channels": names, "position": position}
    most = max(0, limit)
    rows = yield Rows("read_after", {**params, "limit": most})
    entries = [
        StreamEntry(name, id_, kind, b"" if data is None else data, tenant, at, from_micros(moment))
        for name, at, id_, kind, tenant, moment, data in rows
    ]
    if len(entries) == most:
        end = entries[-1].position if entries else position
    else:
        end = last
    if position > last or position < pruned:
        return StreamPage(entries, min(end, last), frozenset(channels))
    missing = yield Rows("missing_after", {**params, "last": last})
    return StreamPage(entries, end, frozenset(name for (name,) in missing))


def _append(entries: Sequence[StreamEntry], now: int) -> Plan[int]:
    names = names_text({entry.channel for entry in entries})
    heard = {name for (name,) in (yield Rows("heard", {"channels": names, "now": now}))}
    rows = [
        (entry.channel, entry.id, entry.type, entry.tenant, now, entry.data)
        for entry in entries
        if entry.channel in heard
    ]
    if rows:
        yield Many("append_entry", _APPEND, rows)
    return (yield from _number())


def _prune(before: int, limit: int) -> Plan[int]:
    yield from _number()
    rows = yield Rows("old_entries", {"before": before, "limit": limit})
    if rows:
        yield Many("delete_entry", ("position",), rows)
        yield Do("note_pruned", {"position": max(position for (position,) in rows)})
    return len(rows)
