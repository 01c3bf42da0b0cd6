"""The events part of the Redis store."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from dispatch.clock import from_micros
from dispatch.entity import LARGEST_PAGE, Page
from dispatch.errors import DataRejected, RunEnded, RunNotFound
from dispatch.events.model import Event, ListOptions
from dispatch.ids import EventID, RunID
from dispatch.scope import Scope
from dispatch.stores.redis.client import RedisClient
from dispatch.stores.redis.rows import filters, scope_of, span, table, text
from dispatch.stores.redis.run_rows import RUN_STATES

if TYPE_CHECKING:
    from builtins import list as List

_AT_ONCE = 200


class RedisEvents:
    """The verbs of EventStore."""

    def __init__(self, client: RedisClient) -> None:
        self._client = client

    async def publish(self, event: Event) -> Event:
        if type(event.payload) is not bytes:
            raise DataRejected(
                f"the payload of event {event.id} is {type(event.payload).__name__}, not bytes; nothing was written"
            )
        reply, *rest = await self._client.run(
            "publish",
            event.id,
            event.name,
            event.run_id or "",
            "" if event.key is None else f"={event.key}",
            *event.scope,
            "p",
            event.payload,
        )
        if reply == b"missing":
            raise RunNotFound(f"There is no run {event.run_id} to signal {event.name!r} to; nothing was written")
        if reply == b"ended":
            raise RunEnded(
                f"{event.run_id} is {RUN_STATES[rest[0]].value}: the signal {event.name!r} was not written. Retry "
                "the run first, or start another one"
            )
        flat, more = rest
        while more:
            more = await self._client.run("wake_waiting")
        return event_of(flat, event.id)

    async def get(self, event_id: EventID, *, scope: Scope | None = None) -> Event | None:
        flat = await self._client.command("HGETALL", f"{self._client.prefix}e:{event_id}")
        if isinstance(flat, dict):
            flat = [part for field in flat.items() for part in field]
        event = event_of(flat, event_id) if flat else None
        return event if event is not None and (scope is None or event.scope == scope) else None

    async def list(self, options: ListOptions) -> Page[Event]:
        limit = max(1, min(options.limit, LARGEST_PAGE))
        names = options.names and list(dict.fromkeys(options.names))
        wanted = filters(options.scope, names=names, key=options.key)
        items: List[Event] = []
        cursor = options.cursor or ""
        while len(items) <= limit:
            rows, after = await self._client.run("list_events", cursor, limit + 1 - len(items), wanted)
            items += map(event_of, rows)
            if not after:
                break
            cursor = after.decode()
        return Page(items[:limit], str(items[limit - 1].id) if len(items) > limit else None)

    async def prune(self, *, older_than: float, limit: int = 1000, dry_run: bool = False) -> int:
        removed = passed = 0
        more = 1
        while more and removed < limit:
            most = min(_AT_ONCE, limit - removed)
            count, passed, full = await self._client.run("prune_events", span(older_than), most, int(dry_run), passed)
            removed += int(count)
            more = full or count == most
        return removed


def event_of(flat: Sequence[bytes], event_id: EventID | None = None) -> Event:
    """The event in a hash, which may hold its id."""
    row = table(flat)
    run_id = row.get(b"ri")
    return Event(
        name=row[b"n"].decode(),
        payload=row[b"p"],
        key=text(row.get(b"key")),
        id=EventID(row[b"id"].decode()) if event_id is None else event_id,
        created_at=from_micros(int(row[b"c"])),
        run_id=None if run_id is None else RunID(run_id.decode()),
        scope=scope_of(row),
    )
