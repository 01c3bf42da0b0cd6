"""What a store promises about queues."""

from __future__ import annotations

from typing import Protocol

from dispatch.entity import Reply
from dispatch.queues.model import Pause, QueueConfig, QueueInfo


class QueueStore(Protocol):
    """The queues part of a Store."""

    async def pause(
        self, queue: str, *, by: str = "", reason: str = "", duration: float | None = None, force: bool = False
    ) -> Pause:
        """Stops claims from the queue, for `duration` seconds or until resumed; answers the pause that stands then.

        That is this one, by `by`, or another's that this one would have ended earlier (`Pause.outlasts`): without
        `force` that one stays, whoever pauses at the same time, and nothing was written.
        """
        ...

    async def resume(self, queue: str) -> Reply:
        """Ends a pause; CONFLICT when there is none."""
        ...

    async def configure(self, config: QueueConfig) -> None:
        """Stores the queue's limits, replacing what was there; seen by the next claim of every worker."""
        ...

    async def get(self, queue: str) -> QueueInfo:
        """The queue, with counts; a name nobody used yet answers an unlimited, empty queue."""
        ...

    async def list(self) -> list[QueueInfo]:
        """Every queue that has settings or waiting or running jobs, by name."""
        ...

    async def take_slot(self, queue: str, holder: str, *, lease: float, limit: int | None = None) -> Reply:
        """Takes one leased slot of the queue for `holder`, counted with its running rows against max_concurrency.

        `limit` stands in where the queue has no max_concurrency. The same holder again: its lease is extended.
        CONFLICT when all slots are held; that wakes nobody, so that those who wait do not wake each other.
        """
        ...

    async def renew_slot(self, queue: str, holder: str, *, lease: float) -> Reply:
        """Extends the slot's lease; STALE when it lapsed and was given away or freed."""
        ...

    async def free_slot(self, queue: str, holder: str) -> Reply:
        """Gives the slot back; STALE when it is no longer held."""
        ...
