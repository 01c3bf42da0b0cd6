"""State changes as others see them: the feed that stores keep, and the Broker that hands it on to subscribers."""

from __future__ import annotations

from dispatch.streams.broker import Broker, Hints
from dispatch.streams.model import (
    CRON_EVENTS,
    EVENT_TYPES,
    JOB_EVENTS,
    WORKFLOW_EVENTS,
    Event,
    Item,
    Lagged,
    Reset,
    StreamEntry,
    StreamPage,
)
from dispatch.streams.store import StreamStore
from dispatch.streams.subscription import Subscription
from dispatch.streams.topics import Topic, topic_of

__all__ = [
    "CRON_EVENTS",
    "EVENT_TYPES",
    "JOB_EVENTS",
    "WORKFLOW_EVENTS",
    "Broker",
    "Event",
    "Hints",
    "Item",
    "Lagged",
    "Reset",
    "StreamEntry",
    "StreamPage",
    "StreamStore",
    "Subscription",
    "Topic",
    "topic_of",
]
