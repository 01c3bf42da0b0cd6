"""Queues: their limits and pauses as stored facts."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime


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
