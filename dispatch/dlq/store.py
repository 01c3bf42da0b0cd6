"""What a store promises about dead letters (they are made by jobs.finish and jobs.steal)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from dispatch.dlq.model import DLQEntry, DLQGroup, DLQState, ListOptions, Replayed
from dispatch.entity import Page, Reply
from dispatch.ids import DLQID, JobID
from dispatch.scope import Scope


class DLQStore(Protocol):
    """The dlq part of a Store."""

    async def replay(
        self, entry_id: DLQID, new_id: JobID, *, scope: Scope | None = None, payload: bytes | None = None
    ) -> Replayed:
        """Makes one new job with the entry's payload, options, effect_key and scope, due now, and marks the entry
        replayed, in one transaction. An entry is replayed once, under any concurrency; the same `new_id` again
        answers APPLIED again. A unique key it carried is taken again; held by a live job: CONFLICT, entry stays open.
        The new job has the entry's concurrency key; its maximum is stored only where the key has none.
        `payload`: what the new job carries instead of the entry's, which keeps its own.
        """
        ...

    async def discard(self, entry_id: DLQID, *, scope: Scope | None = None) -> Reply:
        """Decides that nothing happens; CONFLICT when it was decided before."""
        ...

    async def purge(
        self, *, older_than: float = 0.0, states: Sequence[DLQState] = (), scope: Scope | None = None, limit: int = 1000
    ) -> int:
        """Deletes at most `limit` entries that died more than `older_than` seconds ago (`states`: only those; empty:
        all), oldest first; answers how many. Call again until it answers 0."""
        ...

    async def get(self, entry_id: DLQID, *, scope: Scope | None = None) -> DLQEntry | None:
        """The entry, or None."""
        ...

    async def groups(self, *, scope: Scope | None = None) -> list[DLQGroup]:
        """Open entries by job name and error type, largest group first."""
        ...

    async def count(self, options: ListOptions) -> int:
        """How many entries match (limit and cursor aside)."""
        ...

    async def list(self, options: ListOptions) -> Page[DLQEntry]:
        """Entries that match, newest id first; stable under concurrent changes."""
        ...
