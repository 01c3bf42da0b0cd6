"""What the feed consists of: entries as stores keep them, and what a subscriber of the Broker is given."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

JOB_EVENTS = (
    "job.enqueued",
    "job.started",
    "job.completed",
    "job.failed",
    "job.retrying",
    "job.cancelled",
    "job.dlq",
)
WORKFLOW_EVENTS = (
    "workflow.started",
    "workflow.step_completed",
    "workflow.step_failed",
    "workflow.completed",
    "workflow.failed",
    "workflow.cancelled",
)
CRON_EVENTS = ("cron.fired",)
EVENT_TYPES = (*JOB_EVENTS, *WORKFLOW_EVENTS, *CRON_EVENTS)
"""What stores tell of by themselves, each in the transaction of the state change."""


@dataclass(frozen=True, slots=True)
class StreamEntry:
    """One change, as the feed keeps it."""

    channel: str
    """Whose listeners it is kept for; of a state change, its type."""
    id: str
    """The event's own id, the same for whoever reads it, ever: "<entity id>:<number>"."""
    type: str
    data: bytes
    """A JSON object."""
    tenant: str = ""
    position: int = 0
    """Rises along the feed, over all channels; set by the store."""
    at: datetime | None = None


@dataclass(frozen=True, slots=True)
class StreamPage:
    """Entries after a position."""

    entries: list[StreamEntry]
    position: int
    """Where to go on: that of the last entry of a full page, else the present end."""
    gaps: frozenset[str] = frozenset()
    """Those of the channels asked for whose entries after the position are not all there (any more)."""

    @property
    def reset(self) -> bool:
        """Whether something is missing."""
        return bool(self.gaps)


@dataclass(frozen=True, slots=True)
class Event:
    """One state change, as a subscriber sees it."""

    id: str
    """The same on every delivery."""
    type: str
    ts: datetime
    """When it happened, by the store's clock."""
    topic: str
    """What it is about: "job:<id>", "workflow:<run id>", "cron:<entry name>", or "" for what programs publish."""
    data: dict[str, Any]
    position: int
    """Subscribing with `after=position` goes on behind this event."""
    tenant: str = ""


@dataclass(frozen=True, slots=True)
class Lagged:
    """The subscriber was too slow: so many events between the last one and the next were dropped."""

    missed: int
    position: int
    """Subscribing again with `after=position` gets them, as long as the feed reaches back."""


@dataclass(frozen=True, slots=True)
class Reset:
    """The feed does not reach back to where the subscriber stood: look at the state anew, events are missing."""

    position: int
    """Where the feed goes on."""


Item = Event | Lagged | Reset
