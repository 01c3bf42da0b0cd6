"""The queues and workers of a server elsewhere."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from datetime import datetime

from dispatch.cluster.model import Announcement, Leadership, Worker
from dispatch.ids import WorkerID
from dispatch.queues import Pause, QueueConfig, QueueInfo
from dispatch.text import iso
from dispatch_cli.remote.link import Link, given, part
from dispatch_cli.remote.reading import built, leadership_of, queue_of, worker_of


class RemoteQueues:
    """As QueueService."""

    def __init__(self, link: Link) -> None:
        self._link = link
        self._before: dict[str, str] = {}
        """Until when a purge that is under way looks at a queue, as the server said when it began."""

    async def get(self, queue: str) -> QueueInfo:
        return await self._link.get(f"/v1/queues/{part(queue)}", queue_of)

    async def list(self) -> Sequence[QueueInfo]:
        return await self._link.all("/v1/queues", queue_of)

    async def pause(
        self, queue: str, *, by: str = "", reason: str = "", duration: float | None = None, force: bool = False
    ) -> Pause:
        body = {"reason": reason, "duration": duration, **({"force": True} if force else {})}
        paused = await self._link.post(f"/v1/queues/{part(queue)}/pause", queue_of, body)
        return paused.pause or Pause(by, reason)

    async def resume(self, queue: str, *, reason: str = "") -> bool:
        if (await self.get(queue)).pause is None:
            return False
        await self._link.post(f"/v1/queues/{part(queue)}/resume", dict, {"reason": reason})
        return True

    async def configure(self, config: QueueConfig) -> None:
        limits = {name: value for name, value in asdict(config).items() if name != "name"}
        body = {**limits, "reason": self._link.reason}
        await self._link.post(f"/v1/queues/{part(config.name)}/limits", dict, body, method="PATCH")

    async def purge(self, queue: str, *, before: datetime | None = None, limit: int = 500) -> int:
        body = given(before=iso(before) or self._before.get(queue), reason=self._link.reason)
        purged, self._before[queue] = await self._link.post(
            f"/v1/queues/{part(queue)}/purge", lambda found: (int(found["purged"]), str(found["before"])), body
        )
        return purged


class RemoteWorkers:
    """As ClusterService."""

    def __init__(self, link: Link) -> None:
        self._link = link

    async def get(self, worker_id: WorkerID) -> Worker:
        return await self._link.get(f"/v1/workers/{worker_id}", worker_of)

    async def list(self, *, live: bool = False) -> Sequence[Worker]:
        return await self._link.all("/v1/workers", worker_of, stopped=not live)

    async def drain(self, worker_id: WorkerID) -> None:
        await self._link.post(f"/v1/workers/{worker_id}/drain", dict, {"reason": self._link.reason})

    async def leadership(self) -> Leadership | None:
        return await self._link.get("/v1/leader", leadership_of)

    async def resign(self) -> Leadership | None:
        return await self._link.post("/v1/leader/resign", leadership_of, {"reason": self._link.reason})

    async def definitions(self) -> Sequence[Announcement]:
        return await self._link.all("/v1/definitions", lambda found: built(Announcement, found))
