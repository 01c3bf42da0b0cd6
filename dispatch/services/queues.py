"""The verbs on queues."""

from __future__ import annotations

from collections.abc import Sequence

from dispatch.entity import Reply
from dispatch.queues import QueueConfig, QueueInfo
from dispatch.store import Store


class QueueService:
    """Look at, pause, resume and limit queues."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def get(self, queue: str) -> QueueInfo:
        """The queue with its counts."""
        return await self._store.queues.get(queue)

    async def list(self) -> Sequence[QueueInfo]:
        """Every queue with settings or live jobs, by name."""
        return await self._store.queues.list()

    async def pause(self, queue: str, *, by: str = "", reason: str = "", duration: float | None = None) -> None:
        """Stops claims from the queue for `duration` seconds, or until it is resumed."""
        await self._store.queues.pause(queue, by=by, reason=reason, duration=duration)

    async def resume(self, queue: str) -> bool:
        """Ends a pause; False when there was none."""
        return await self._store.queues.resume(queue) is Reply.APPLIED

    async def configure(self, config: QueueConfig) -> None:
        """Stores the queue's limits for the whole fleet."""
        await self._store.queues.configure(config)
