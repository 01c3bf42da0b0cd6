"""The verbs on workers, on what they announce, and on who leads."""

from __future__ import annotations

from collections.abc import Sequence

from dispatch.cluster.model import Announcement, Leadership, Worker
from dispatch.entity import Reply
from dispatch.errors import Conflict, WorkerNotFound, WorkerStopped
from dispatch.ids import WorkerID
from dispatch.services.audit import AuditService
from dispatch.store import Store


class ClusterService:
    """Look at workers, drain them, see what they announce."""

    def __init__(self, store: Store, *, audit: AuditService | None = None) -> None:
        self._store = store
        self._audit = audit or AuditService(store)

    async def get(self, worker_id: WorkerID) -> Worker:
        """The worker; WorkerNotFound when there is none."""
        worker = await self._store.cluster.get(worker_id)
        if worker is None:
            raise _not_found(worker_id)
        return worker

    async def list(self, *, live: bool = False) -> Sequence[Worker]:
        """Workers, newest first."""
        return await self._store.cluster.list(live=live)

    async def drain(self, worker_id: WorkerID) -> None:
        """Asks a worker to finish what it runs and stop. Raises WorkerNotFound; WorkerStopped when it has stopped."""
        async with self._audit.act("worker.drain", [worker_id]):
            reply = await self._store.cluster.drain(worker_id)
            if reply is Reply.MISSING:
                raise _not_found(worker_id)
            if reply is Reply.CONFLICT:
                raise WorkerStopped(f"{worker_id} has stopped already; `dispatch worker list` shows who is alive")

    async def leadership(self) -> Leadership | None:
        """Who leads, or None when nobody's term runs."""
        return await self._store.cluster.leadership()

    async def resign(self) -> Leadership | None:
        """Ends the running term, so that another worker leads; answers whose it was, or None when nobody led.

        The leader learns of it within a fifth of `leader_lease`, and lets others go first.
        """
        present = await self.leadership()
        if present is None:
            return None
        async with self._audit.act("leader.resign", [present.leader], detail=f"term {present.term}"):
            if await self._store.cluster.resign(present.leader, present.term) is not Reply.APPLIED:
                raise Conflict(f"term {present.term} of {present.leader} ended just now; look who leads and try again")
        return present

    async def definitions(self) -> Sequence[Announcement]:
        """What apps have announced, by name."""
        return await self._store.cluster.definitions()


def _not_found(worker_id: WorkerID) -> WorkerNotFound:
    return WorkerNotFound(f"there is no worker {worker_id}; `dispatch worker list --all` shows what there is")
