"""The events part of the memory store."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from dispatch.entity import Page
from dispatch.events.model import Event, ListOptions
from dispatch.ids import EventID
from dispatch.scope import Scope
from dispatch.stores.memory.data import Session, insert_sorted, remove_sorted
from dispatch.stores.memory.pages import newest_first
from dispatch.stores.memory.rows import checked_bytes, checked_text, in_scope


class MemoryEvents:
    """The verbs of EventStore."""

    def __init__(self, session: Session) -> None:
        self._session = session

    async def publish(self, event: Event) -> Event:
        checked_bytes(event.payload, f"the payload of event {event.id}")
        for text in (event.name, event.key, *event.scope):
            checked_text(text, f"event {event.id}")
        with self._session as data:
            known = data.events.get(event.id)
            if known is not None:
                return known
            stored = data.events[event.id] = replace(event, created_at=data.clock.now())
            insert_sorted(data.event_order, event.id)
            data.signal.bump()
            return stored

    async def get(self, event_id: EventID, *, scope: Scope | None = None) -> Event | None:
        with self._session as data:
            event = data.events.get(event_id)
            return event if event is not None and in_scope(event.scope, scope) else None

    async def prune(self, *, older_than: float, limit: int = 1000, dry_run: bool = False) -> int:
        with self._session as data:
            before = data.clock.now() - timedelta(seconds=older_than)
            old = [
                event for event in data.events.values() if event.created_at is not None and event.created_at < before
            ]
            gone = {event.id for event in old[: max(0, limit)]}
            if not dry_run:
                for event_id in gone:
                    del data.events[event_id]
                remove_sorted(data.event_order, gone)
            return len(gone)

    async def list(self, options: ListOptions) -> Page[Event]:
        def matches(event: Event) -> bool:
            return (
                (not options.names or event.name in options.names)
                and (options.key is None or event.key == options.key)
                and in_scope(event.scope, options.scope)
            )

        with self._session as data:
            return newest_first(
                data.event_order, data.events, matches, lambda event: event, limit=options.limit, cursor=options.cursor
            )
