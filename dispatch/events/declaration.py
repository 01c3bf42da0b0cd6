"""Typed declarations of events: `event("payment.cleared", Cleared)`, checked where it is published and waited for."""

from __future__ import annotations

from typing import Any, Generic, TypeVar, cast, overload

from pydantic import TypeAdapter, ValidationError
from pydantic_core import PydanticSerializationError

from dispatch.current import app_for_blocking, on_app
from dispatch.errors import InvalidArguments, InvalidDefinition
from dispatch.events.model import NAME, Event
from dispatch.lazily import lazily
from dispatch.portal import run_sync

M = TypeVar("M")


class EventDefinition(Generic[M]):
    """An event's name and what its payload is; without a model the payload is any JSON and waits answer the Event."""

    def __init__(self, name: str, model: type[M] | None = None) -> None:
        if not NAME.fullmatch(name):
            raise InvalidDefinition(f"{name!r} is no event name: 1 to 128 of letters, digits and _ . : -")
        self.name = name
        self.model = model

    async def publish(self, payload: M, *, key: str | int | None = None) -> Event:
        """Publishes the event durably; every run that waits for it, with this key, wakes.

        Raises InvalidArguments, PayloadTooLarge, NoOpenApp, StoreError.
        """
        data = self.dump(payload)
        return await on_app(lambda app: app.publish_event(self.name, data, key_text(key)))

    @property
    def sync(self) -> SyncEventDefinition[M]:
        """The same for synchronous code."""
        return SyncEventDefinition(self)

    def dump(self, payload: M) -> Any:
        """The payload as plain JSON values; InvalidArguments names what does not fit the model."""
        if self.model is None:
            return payload
        try:
            checked = self._adapter.validate_python(payload)
            return self._adapter.dump_python(checked, mode="json", by_alias=False)
        except ValidationError as error:
            raise InvalidArguments(f"event {self.name}: {_problems(error)}") from None
        except PydanticSerializationError as error:
            raise InvalidArguments(f"event {self.name}: the payload cannot be stored as JSON: {error}") from None

    def read(self, event: Event) -> M | Event:
        """The event's payload as the model (without one: the Event itself); InvalidArguments when it does not fit."""
        if self.model is None:
            return event
        try:
            return self._adapter.validate_json(event.payload, by_alias=True, by_name=True)
        except ValidationError as error:
            raise InvalidArguments(f"event {self.name}: {_problems(error)}") from None

    @lazily
    def _adapter(self) -> TypeAdapter[M]:
        return TypeAdapter(cast("type[M]", self.model))

    def __repr__(self) -> str:
        return f"<event {self.name}>"


class SyncEventDefinition(Generic[M]):
    """`publish` for code that runs on no event loop; SyncInAsync where one is running."""

    def __init__(self, definition: EventDefinition[M]) -> None:
        self._definition = definition

    def publish(self, payload: M, *, key: str | int | None = None) -> Event:
        """As EventDefinition.publish, blocking."""
        app = app_for_blocking()
        data, name = self._definition.dump(payload), self._definition.name
        return run_sync(app.loop, lambda: app.publish_event(name, data, key_text(key)))


@overload
def event(name: str) -> EventDefinition[Any]: ...
@overload
def event(name: str, model: type[M]) -> EventDefinition[M]: ...
def event(name: str, model: type[Any] | None = None) -> EventDefinition[Any]:
    """Declares an event: its name and (optionally) the type of its payload, a pydantic model or anything it can read.

    >>> cleared = event("payment.cleared", dict)
    >>> cleared
    <event payment.cleared>
    """
    return EventDefinition(name, model)


def key_text(key: str | int | None) -> str | None:
    """A key as events carry it."""
    return None if key is None else str(key)


def _problems(error: ValidationError) -> str:
    found = []
    for item in error.errors(include_url=False, include_context=False, include_input=False):
        path = ".".join(str(part) for part in item["loc"])
        found.append(f"{path}: {item['msg']}" if path else item["msg"])
    return "; ".join(found)
