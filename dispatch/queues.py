"""Queues: their limits and pauses as stored facts, and what a store promises about them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol

from dispatch.entity import Reply


@dataclass(frozen=True, slots=True)
class QueueConfig:
    """The limits of one queue, kept fleet-wide by the store; None = unlimited."""

    name: str
    max_concurrency: int | None = None
    """Jobs in state running at once, over all workers."""
    rate_limit: float | None = None
    """Starts a second."""
    rate_burst: int | None = None
    """Tokens the bucket holds (default: one second's worth, at least 1)."""
    fair: bool = False
    """Tenants take turns."""
    tenant_concurrency: int | None = None
    """As max_concurrency, for each tenant."""


@dataclass(frozen=True, slots=True)
class Pause:
    """Why a queue stands still."""

    by: str = ""
    reason: str = ""
    until: datetime | None = None
    since: datetime | None = None


@dataclass(frozen=True, slots=True)
class QueueInfo:
    """A queue as an operator sees it."""

    config: QueueConfig
    pause: Pause | None = None
    pending: int = 0
    retrying: int = 0
    running: int = 0
    set_aside: int = 0
    blocked: int = 0
    """Waiting jobs (counted as pending or retrying too) whose concurrency keys are full."""
    oldest_due_at: datetime | None = None
    """run_at of the job that has been claimable longest."""
    slots: list[str] = field(default_factory=list)
    """Holders of leased slots."""
    tokens: float | None = None
    """Starts that the rate allows at once now; None: the queue has no rate."""
    at: datetime | None = None
    """The store's clock when this was read."""


class QueueStore(Protocol):
    """The queues part of a Store."""

    async def pause(self, queue: str, *, by: str = "", reason: str = "", duration: float | None = None) -> None:
        """Stops claims from the queue, for `duration` seconds or until resumed."""
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
        CONFLICT when all slots are held.
        """
        ...

    async def renew_slot(self, queue: str, holder: str, *, lease: float) -> Reply:
        """Extends the slot's lease; STALE when it lapsed and was given away or freed."""
        ...

    async def free_slot(self, queue: str, holder: str) -> Reply:
        """Gives the slot back; STALE when it is no longer held."""
        ...


Slots = Sequence[str]
