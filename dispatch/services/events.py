"""The verbs on events."""

from __future__ import annotations

from contextlib import nullcontext
from typing import Any

from pydantic_core import PydanticSerializationError, to_json

from dispatch.entity import Page
from dispatch.errors import EventNotFound, InvalidArguments, PayloadTooLarge
from dispatch.events.declaration import EventDefinition, key_text
from dispatch.events.model import NAME, Event, ListOptions
from dispatch.ids import EventID, RunID
from dispatch.plugins import PluginManager
from dispatch.rehearsal import non_finite
from dispatch.scope import Scope, capture
from dispatch.store import Store
from dispatch.telemetry import OFF, Telemetry


class EventService:
    """Publish events and look at the log."""

    def __init__(self, store: Store, *, plugins: PluginManager, largest: int, telemetry: Telemetry = OFF) -> None:
        self._store = store
        self._telemetry = telemetry
        self._plugins = plugins
        self._largest = largest

    async def publish(
        self,
        name: str | EventDefinition[Any],
        payload: Any = None,
        *,
        key: str | int | None = None,
        run_id: RunID | None = None,
    ) -> Event:
        """Appends an event durably and wakes the runs that wait for it.

        Args:
            name: a name, or a declaration (`event("payment.cleared", Cleared)`), which the payload is checked against.
            payload: anything that JSON can hold.
            key: which thing the event is about; only waits with exactly this key match.
            run_id: makes it a signal to this run alone.

        Raises InvalidArguments, PayloadTooLarge, RunNotFound, RunEnded, StoreError.
        """
        if isinstance(name, EventDefinition):
            payload, name = name.dump(payload), name.name
        if not NAME.fullmatch(name):
            raise InvalidArguments(f"{name!r} is no event name: 1 to 128 of letters, digits and _ . : -")
        try:
            data = to_json(payload)
        except PydanticSerializationError as error:
            raise InvalidArguments(f"event {name}: the payload cannot be stored as JSON: {error}") from None
        where = non_finite(payload)
        if where is not None:
            raise InvalidArguments(f"event {name}: {where or 'the payload'} is NaN or infinite, which JSON cannot hold")
        if len(data) > self._largest:
            raise PayloadTooLarge(f"event {name}: the payload takes {len(data):,} bytes, more than {self._largest:,}")
        new = Event(name=name, payload=data, key=key_text(key), run_id=run_id, scope=capture())
        spans = self._telemetry.spans
        with nullcontext() if spans is None else spans.publishing(name):
            event = await self._store.events.publish(new)
        if self._plugins.has("event_published"):
            self._plugins.background("event_published", event=event)
        return event

    async def get(self, event_id: EventID, *, scope: Scope | None = None) -> Event:
        """The event; EventNotFound when there is none."""
        event = await self._store.events.get(event_id, scope=scope)
        if event is None:
            raise EventNotFound(f"there is no event {event_id}")
        return event

    async def list(self, options: ListOptions | None = None) -> Page[Event]:
        """Events that match, newest first."""
        return await self._store.events.list(options or ListOptions())
