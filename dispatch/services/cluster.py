"""The verbs on workers, on what they announce, and on who leads."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from dispatch.cluster.elector import LeaderElector, OpenElector
from dispatch.cluster.model import Announcement, Leadership, Worker
from dispatch.entity import Reply
from dispatch.errors import Conflict, LeaderUnknown, WorkerNotFound, WorkerStopped
from dispatch.ids import WorkerID
from dispatch.services.audit import AuditService
from dispatch.store import Store


class ClusterService:
    """Look at workers, drain them, see what they announce."""

    def __init__(
        self,
        store: Store,
        *,
        audit: AuditService | None = None,
        elector: Callable[[], LeaderElector | None] = lambda: None,
    ) -> None:
        """`elector`: tells whether there is another election than the store's own."""
        self._store = store
        self._audit = audit or AuditService(store)
        self._elector = elector

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
        """Who leads, or None when nobody's term runs. Raises LeaderUnknown where a plugin elects and does not tell."""
        elector = self._open_elector()
        return await (self._store.cluster if elector is None else elector).leadership()

    async def resign(self) -> Leadership | None:
        """Ends the running term, so that another worker leads; answers whose it was, or None when nobody led.

        The leader learns of it within a fifth of `leader_lease`, and lets others go first. Raises LeaderUnknown where a
        plugin elects and does not tell whom; Conflict when that term has just ended.
        """
        elector = self._open_elector()
        present = await self.leadership()
        if present is None:
            return None
        async with self._audit.act("leader.resign", [present.leader], detail=f"term {present.term}"):
            if elector is not None:
                await elector.resign(present.leader)
            elif await self._store.cluster.resign(present.leader, present.term) is not Reply.APPLIED:
                raise Conflict(f"term {present.term} of {present.leader} ended just now; look who leads and try again")
        return present

    async def definitions(self) -> Sequence[Announcement]:
        """What apps have announced, by name."""
        return await self._store.cluster.definitions()

    def _open_elector(self) -> OpenElector | None:
        """The app's own elector; None where the store elects."""
        elector = self._elector()
        if elector is None or isinstance(elector, OpenElector):
            return elector
        raise LeaderUnknown(
            f"the leader is elected by {type(elector).__name__}, which does not tell who it is: give it a method "
            "`leadership()` (dispatch.cluster.OpenElector), or ask the system that elects"
        )


def _not_found(worker_id: WorkerID) -> WorkerNotFound:
    return WorkerNotFound(f"there is no worker {worker_id}; `dispatch worker list --all` shows what there is")
