"""The verbs on workers and what they announce."""

from __future__ import annotations

from collections.abc import Sequence

from dispatch.cluster.model import Announcement, Worker
from dispatch.entity import Reply
from dispatch.errors import WorkerNotFound
from dispatch.ids import WorkerID
from dispatch.store import Store


class ClusterService:
    """Look at workers, drain them, see what they announce."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def get(self, worker_id: WorkerID) -> Worker:
        """The worker; WorkerNotFound when there is none."""
        worker = await self._store.cluster.get(worker_id)
        if worker is None:
            raise WorkerNotFound(f"there is no worker {worker_id}")
        return worker

    async def list(self, *, live: bool = False) -> Sequence[Worker]:
        """Workers, newest first."""
        return await self._store.cluster.list(live=live)

    async def drain(self, worker_id: WorkerID) -> None:
        """Asks a worker to finish what it runs and stop. Raises WorkerNotFound."""
        if await self._store.cluster.drain(worker_id) is Reply.MISSING:
            raise WorkerNotFound(f"there is no worker {worker_id}")

    async def definitions(self) -> Sequence[Announcement]:
        """What apps have announced, by name."""
        return await self._store.cluster.definitions()
