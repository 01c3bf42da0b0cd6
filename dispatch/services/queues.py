"""The verbs on queues."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import replace
from datetime import datetime

from dispatch.clock import Duration
from dispatch.entity import LARGEST_PAGE, Reply
from dispatch.errors import QueuePaused
from dispatch.jobs.model import WAITING, ListOptions
from dispatch.queues import Pause, QueueConfig, QueueInfo, QueueManager, Slot
from dispatch.queues.model import checked
from dispatch.services.audit import AuditService
from dispatch.store import Store

_AT_ONCE = 20


class QueueService:
    """Look at, pause, resume, limit and empty queues (what changes one leaves an audit record); take slots of them."""

    def __init__(self, store: Store, *, audit: AuditService | None = None) -> None:
        self._store = store
        self._audit = audit or AuditService(store)
        self._slots = QueueManager(store.queues, store.wakeups)

    async def get(self, queue: str) -> QueueInfo:
        """The queue with its counts."""
        return await self._store.queues.get(queue)

    async def list(self) -> Sequence[QueueInfo]:
        """Every queue with settings or live jobs, by name."""
        return await self._store.queues.list()

    async def pause(
        self, queue: str, *, by: str = "", reason: str = "", duration: float | None = None, force: bool = False
    ) -> Pause:
        """Stops claims from the queue, and answers the pause as it stands then.

        Args:
            by: who pauses it. It may change a pause of its own at will; those who say nothing count as one.
            duration: seconds; None: until it is resumed.
            force: whether it may end somebody else's pause earlier.

        Raises QueuePaused: somebody else's pause would end earlier; nothing was changed.
        """
        detail = "until resumed" if duration is None else f"for {duration:g} s"
        async with self._audit.act("queue.pause", [queue], who=by, reason=reason, detail=detail):
            standing = await self._store.queues.pause(queue, by=by, reason=reason, duration=duration, force=force)
            if standing.by != by:
                raise pause_refused(queue, standing)
            return standing

    async def resume(self, queue: str, *, reason: str = "") -> bool:
        """Ends a pause; False when there was none."""
        async with self._audit.act("queue.resume", [queue], reason=reason) as act:
            resumed = await self._store.queues.resume(queue) is Reply.APPLIED
            act.settle([queue] if resumed else [], refused=not resumed)
            return resumed

    async def configure(self, config: QueueConfig) -> None:
        """Stores the queue's limits for the whole fleet.

        Raises:
            InvalidArguments: a limit that no store could keep.
        """
        checked(config)
        detail = ", ".join(f"{name}={value}" for name, value in _limits(config)) or "none"
        async with self._audit.act("queue.limit", [config.name], detail=detail):
            await self._store.queues.configure(config)

    def slot(
        self, queue: str, *, limit: int | None = None, timeout: Duration | None = None, lease: Duration | None = None
    ) -> AbstractAsyncContextManager[Slot]:
        """A block that holds a slot of the queue: `async with app.queues.slot("gpu", limit=4):`; see QueueManager."""
        return self._slots.slot(queue, limit=limit, timeout=timeout, lease=lease)

    async def acquire(
        self, queue: str, *, limit: int | None = None, timeout: Duration | None = None, lease: Duration | None = None
    ) -> Slot:
        """Waits for a slot of the queue and takes it; see QueueManager.acquire."""
        return await self._slots.acquire(queue, limit=limit, timeout=timeout, lease=lease)

    async def release(self, slot: Slot) -> None:
        """Gives a slot back; SlotLost when it was lost before."""
        await self._slots.release(slot)

    async def purge(self, queue: str, *, before: datetime | None = None, limit: int = LARGEST_PAGE) -> int:
        """Deletes up to `limit` waiting jobs of the queue for good, newest first, and answers how many.

        Call it again until it answers 0. `before`: only those that were created before then, so that it ends although
        others go on enqueuing. What runs goes on, and what has ended meanwhile is kept; each job
        ends as with JobService.delete.
        """
        async with self._audit.act("queue.purge", [queue]) as act:
            deleted = 0
            options = ListOptions(states=tuple(WAITING), queues=(queue,), created_before=before, limit=LARGEST_PAGE)
            while deleted < limit:
                page = await self._store.jobs.list(replace(options, limit=min(LARGEST_PAGE, limit - deleted)))
                for start in range(0, len(page.items), _AT_ONCE):
                    some = page.items[start : start + _AT_ONCE]
                    replies = await asyncio.gather(*(self._store.jobs.delete(job.id, states=WAITING) for job in some))
                    deleted += sum(reply is Reply.APPLIED for reply in replies)
                    act.settle([queue], count=deleted)
                if page.next_cursor is None:
                    break
                options = replace(options, cursor=page.next_cursor)
            return deleted


def pause_refused(queue: str, standing: Pause) -> QueuePaused:
    """What a pause is answered that would end that one earlier."""
    error = QueuePaused(
        f"queue {queue!r} is paused by {standing.in_words()}; this pause would end that one earlier, which it does "
        "only with force (--force on the command line)"
    )
    error.pause = standing
    return error


def _limits(config: QueueConfig) -> Sequence[tuple[str, object]]:
    names = ("max_concurrency", "rate_limit", "rate_burst", "tenant_concurrency", "fair")
    return [(name, value) for name in names if (value := getattr(config, name)) not in (None, False)]
