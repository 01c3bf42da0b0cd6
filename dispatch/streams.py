"""The short log behind wide channels: state changes that listeners of any process read in order."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol


@dataclass(frozen=True, slots=True)
class StreamEntry:
    """One change, as a listener sees it."""

    channel: str
    id: str
    """The event's own id, the same on every delivery: "<entity id>:<rev>"."""
    type: str
    data: bytes
    """JSON, opaque to the store."""
    tenant: str = ""
    position: int = 0
    """Rises along a channel; set by the store."""
    at: datetime | None = None


@dataclass(frozen=True, slots=True)
class StreamPage:
    """Entries after a position; `reset` when the log no longer reaches back that far."""

    entries: list[StreamEntry]
    position: int
    reset: bool = False


class StreamStore(Protocol):
    """The stream part of a Store."""

    async def append(self, entries: Sequence[StreamEntry]) -> int:
        """Appends in order and answers the last position; entries of channels without a listener are dropped."""
        ...

    async def read_after(self, channel: str, position: int, *, limit: int = 500) -> StreamPage:
        """Entries of the channel with a greater position, in order. Position -1: no entries, only the present end."""
        ...

    async def listen(self, channel: str, listener: str, *, lease: float) -> None:
        """Says that somebody listens, for `lease` seconds; again extends it."""
        ...

    async def unlisten(self, channel: str, listener: str) -> None:
        """Ends a listener's lease."""
        ...

    async def prune(self, *, older_than: float, limit: int = 1000) -> int:
        """Deletes at most `limit` entries older than that many seconds; answers how many."""
        ...
