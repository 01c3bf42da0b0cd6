"""How a worker learns whether it leads; the store's own election is one, a Kubernetes Lease can be another."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

from dispatch.cluster.model import Leadership
from dispatch.ids import WorkerID


class LeaderElector(Protocol):
    """Decides who leads. Uncertain means not leader."""

    async def campaign(self, worker_id: WorkerID) -> int | None:
        """Tries to become or stay leader; answers the term, or None when another leads or nobody can tell."""
        ...

    async def resign(self, worker_id: WorkerID) -> None:
        """Gives leadership up, if held by that worker."""
        ...


@runtime_checkable
class OpenElector(LeaderElector, Protocol):
    """An elector that tells anybody who leads, and lets anybody end the leader's term by `resign`: what `dispatch
    leader` needs of an election that is not the store's. Who has lost a term that way lets others go first."""

    async def leadership(self) -> Leadership | None:
        """Who leads, or None when nobody's term runs."""
        ...
