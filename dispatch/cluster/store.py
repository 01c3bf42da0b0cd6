"""What a store promises about the fleet."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from dispatch.cluster.model import Announcement, Leadership, NewWorker, Worker, WorkerState
from dispatch.entity import Reply
from dispatch.ids import WorkerID


class ClusterStore(Protocol):
    """The cluster part of a Store. A worker is live while it is not retired and beat within its own `lease`."""

    async def register(self, worker: NewWorker) -> int:
        """Adds the worker (active) and brings back jobs set aside that it serves; answers how many."""
        ...

    async def beat(self, worker_id: WorkerID, *, running: int) -> Reply:
        """Says the worker lives and how many jobs it runs. MISSING: not registered (any more): register again."""
        ...

    async def update(self, worker_id: WorkerID, state: WorkerState) -> Reply:
        """Sets the worker's own state (active, draining)."""
        ...

    async def drain(self, worker_id: WorkerID) -> Reply:
        """Asks the worker to finish what it runs and stop; it sees the request at its next beat."""
        ...

    async def drain_requested(self, worker_id: WorkerID) -> bool:
        """Whether `drain` was asked of this worker."""
        ...

    async def retire(self, worker_id: WorkerID) -> Reply:
        """Says that the worker has come to its end: it is stopped for good. MISSING: not registered (any more)."""
        ...

    async def prune(self, *, older_than: float, limit: int = 1000, dry_run: bool = False) -> int:
        """Removes at most `limit` ended workers last seen more than `older_than` seconds ago; answers how many.

        With `dry_run` nothing is removed: answers how many (up to `limit`) would be.
        """
        ...

    async def get(self, worker_id: WorkerID) -> Worker | None:
        """The worker, or None."""
        ...

    async def announce(self, definitions: Sequence[Announcement]) -> None:
        """Stores definitions; one that has the (name, kind, version) of a stored one replaces it."""
        ...

    async def definition(self, name: str) -> Announcement | None:
        """The announced job or workflow (newest version) of that name."""
        ...

    async def definitions(self) -> list[Announcement]:
        """Everything announced, by name."""
        ...

    async def acquire_leadership(self, worker_id: WorkerID, *, lease: float) -> Leadership:
        """Makes the worker leader in a new term if nobody's term runs; answers whoever leads then. Durable.

        The present leader asking again gets its running term back.
        """
        ...

    async def renew_leadership(self, worker_id: WorkerID, term: int, *, lease: float) -> Reply:
        """Extends the term; STALE when it lapsed and another began."""
        ...

    async def resign(self, worker_id: WorkerID, term: int) -> Reply:
        """Ends the term now; STALE when it is not this worker's."""
        ...

    async def leadership(self) -> Leadership | None:
        """Who leads, or None when no term runs."""
        ...

    async def list(self, *, live: bool = False) -> list[Worker]:
        """Workers, newest first; with `live` only those that are alive."""
        ...
