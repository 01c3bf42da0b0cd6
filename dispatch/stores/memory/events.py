"""The events part of the memory store."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

from dispatch.entity import Page
from dispatch.errors import RunEnded, RunNotFound
from dispatch.events.model import Event, ListOptions
from dispatch.ids import EventID
from dispatch.scope import Scope
from dispatch.stores.memory.data import Data, Session, insert_sorted, remove_sorted
from dispatch.stores.memory.pages import newest_first
from dispatch.stores.memory.rows import checked_bytes, checked_text, in_scope
from dispatch.stores.memory.runs import RunRow
from dispatch.stores.memory.wakes import wake


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
            now = data.clock.now()
            stored = data.events[event.id] = replace(event, created_at=now, scope=_scope(data, event))
            insert_sorted(data.event_order, event.id)
            data.channels.add(stored)
            for run in _waiting(data, stored, now):
                wake(data, run, now)
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
                event
                for event in data.events.values()
                if event.created_at is not None and event.created_at < before and not _mail(data, event)
            ]
            gone = {event.id for event in old[: max(0, limit)]}
            if not dry_run:
                for event_id in gone:
                    data.channels.remove(data.events.pop(event_id))
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


def _scope(data: Data, event: Event) -> Scope:
    """The scope that the event is stored with; a signal's is that of its run, which must be live."""
    if event.run_id is None:
        return event.scope
    run = data.runs.rows.get(event.run_id)
    if run is None or (event.scope and event.scope != run.scope):
        raise RunNotFound(f"There is no run {event.run_id} to signal {event.name!r} to; nothing was written")
    if run.state.terminal:
        raise RunEnded(
            f"{run.id} is {run.state.value}: the signal {event.name!r} was not written. Retry the run first, or "
            "start another one"
        )
    return run.scope


def _waiting(data: Data, event: Event, now: datetime) -> list[RunRow]:
    """The runs with an open wait that takes the event, each once."""
    if event.run_id is not None:
        run = data.runs.rows[event.run_id]
        return [run] if any(event.name in wait.events for wait in run.waits.values()) else []
    found = data.runs.waiting.get((event.name, event.key, event.scope), {})
    return [
        run
        for run_id, names in found.items()
        if (run := data.runs.rows[run_id])
        and any((since := run.waits[name].since) is None or since <= now for name in names)
    ]


def _mail(data: Data, event: Event) -> bool:
    """Whether it is a signal that a live run has not consumed."""
    run = data.runs.rows.get(event.run_id) if event.run_id is not None else None
    return run is not None and not run.state.terminal and data.channels.unread(event)
