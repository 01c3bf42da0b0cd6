"""Events: the log that workflows wait on."""

from dispatch.events.declaration import EventDefinition, event
from dispatch.events.model import Event, ListOptions
from dispatch.events.store import EventStore

__all__ = ["Event", "EventDefinition", "EventStore", "ListOptions", "event"]
