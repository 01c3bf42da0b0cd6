"""How a worker learns whether it leads; the store's own election is one, a Kubernetes Lease can be another."""

from __future__ import annotations

from typing import Protocol

from dispatch.ids import WorkerID


class LeaderElector(Protocol):
    """Decides who leads. Uncertain means not leader."""

    async def campaign(self, worker_id: WorkerID) -> int | None:
        """Tries to become or stay leader; answers the term, or None when another leads or nobody can tell."""
        ...

    async def resign(self, worker_id: WorkerID) -> None:
        """Gives leadership up, if held."""
        ...
