"""The events part of the Redis store."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from dispatch.clock import from_micros
from dispatch.entity import LARGEST_PAGE, Page
from dispatch.errors import DataRejected, RunNotFound
from dispatch.events.model import Event, ListOptions
from dispatch.ids import EventID, RunID
from dispatch.scope import Scope
from dispatch.stores.redis.client import RedisClient
from dispatch.stores.redis.rows import filters, scope_of, span, table, text

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
        if event.run_id is not None:
            raise RunNotFound(f"there is no run {event.run_id}; the signal {event.name!r} was not written")
        fields: List[Any] = ["p", event.payload]
        if event.key is not None:
            fields += ("key", event.key)
        if event.scope:
            fields += ("ap", event.scope.app_id, "og", event.scope.org_id)
        return _event(await self._client.run("publish", event.id, event.name, *fields), event.id)

    async def get(self, event_id: EventID, *, scope: Scope | None = None) -> Event | None:
        flat = await self._client.command("HGETALL", f"{self._client.prefix}e:{event_id}")
        if isinstance(flat, dict):
            flat = [part for field in flat.items() for part in field]
        event = _event(flat, event_id) if flat else None
        return event if event is not None and (scope is None or event.scope == scope) else None

    async def list(self, options: ListOptions) -> Page[Event]:
        limit = max(1, min(options.limit, LARGEST_PAGE))
        names = options.names and list(dict.fromkeys(options.names))
        wanted = filters(options.scope, names=names, key=options.key)
        items: List[Event] = []
        cursor = options.cursor or ""
        while len(items) <= limit:
            rows, after = await self._client.run("list_events", cursor, limit + 1 - len(items), wanted)
            items += map(_event, rows)
            if not after:
                break
            cursor = after.decode()
        return Page(items[:limit], str(items[limit - 1].id) if len(items) > limit else None)

    async def prune(self, *, older_than: float, limit: int = 1000, dry_run: bool = False) -> int:
        removed = 0
        while removed < limit:
            most = limit if dry_run else min(_AT_ONCE, limit - removed)
            count: int = await self._client.run("prune_events", span(older_than), most, int(dry_run))
            removed += count
            if dry_run or count < most:
                break
        return removed


def _event(flat: Sequence[bytes], event_id: EventID | None = None) -> Event:
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
