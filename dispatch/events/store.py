"""What a store promises about events."""

from __future__ import annotations

from typing import Protocol

from dispatch.entity import Page
from dispatch.events.model import Event, ListOptions
from dispatch.ids import EventID
from dispatch.scope import Scope


class EventStore(Protocol):
    """The events part of a Store: an append-only log with retention."""

    async def publish(self, event: Event) -> Event:
        """Appends the event durably and answers it with its `created_at`; the same id again changes nothing.

        In the same transaction every run that has an open wait for it is woken (WorkflowStore.wait says what matches).
        A signal (`run_id` is set) takes on the scope of its run.

        Raises:
            RunNotFound: there is no such run (in the event's scope, if it has one); nothing was written.
            RunEnded: the run has ended; nothing was written.
            DataRejected: the store cannot hold the event; nothing was written.
        """
        ...

    async def get(self, event_id: EventID, *, scope: Scope | None = None) -> Event | None:
        """The event, or None."""
        ...

    async def list(self, options: ListOptions) -> Page[Event]:
        """Events that match, newest id first."""
        ...

    async def prune(self, *, older_than: float, limit: int = 1000, dry_run: bool = False) -> int:
        """Deletes at most `limit` events older than that many seconds; answers how many. A signal that its run has not
        consumed is kept until the run ends.

        With `dry_run` nothing is deleted: answers how many (up to `limit`) would be.
        """
        ...
