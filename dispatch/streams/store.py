"""The stream part of a Store: the feed of state changes, kept only while somebody listens."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Protocol

from dispatch.streams.model import StreamEntry, StreamPage


class StreamStore(Protocol):
    """The feed. Every verb that changes the state of a job, a run or a cron entry adds one entry a transition, in its
    own transaction, to the channel that is the entry's type, while a listener of that channel has a live lease.

    Positions rise over all channels in the order in which readers see entries: nothing ever appears behind a position
    that somebody has read. Drivers of runs and deliveries are no jobs here, and loading another store's rows is no
    state change.
    """

    async def append(self, entries: Sequence[StreamEntry]) -> int:
        """Adds entries of programs in order and answers the present end; those of channels without a listener are
        dropped."""
        ...

    async def read_after(self, channels: Collection[str], position: int, *, limit: int = 500) -> StreamPage:
        """Entries of the channels with a greater position, in order. Position -1: no entries, only the present end.

        `gaps` names the channels of which entries after `position` were pruned, or dropped while nobody listened; all
        of them where the feed has never come as far as `position`.
        """
        ...

    async def listen(self, channels: Collection[str], listener: str, *, lease: float) -> None:
        """Says that `listener` listens to the channels, for `lease` seconds from now.

        Each channel has a lease of its own; saying it again gives it another end, and leaves the listener's other
        channels as they are.
        """
        ...

    async def unlisten(self, listener: str) -> None:
        """Ends a listener's leases on all channels."""
        ...

    async def prune(self, *, older_than: float, limit: int = 1000, dry_run: bool = False) -> int:
        """Deletes at most `limit` entries older than that many seconds, the oldest first; answers how many.

        With `dry_run` it only counts them. Leases that are over go as well.
        """
        ...
