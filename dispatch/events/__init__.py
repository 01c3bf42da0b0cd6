"""Events: the log that workflows wait on."""

from dispatch.events.model import Event, ListOptions
from dispatch.events.store import EventStore

__all__ = ["Event", "EventStore", "ListOptions"]
