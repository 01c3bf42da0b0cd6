"""Cron entries and their ticks, as stores will keep them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from dispatch.entity import PAGE_SIZE, Entity
from dispatch.ids import CronID, JobID
from dispatch.scope import NO_SCOPE, Scope

Overlap = Literal["allow", "skip", "queue", "cancel_old"]
Misfire = Literal["skip", "once", "all"]


@dataclass(slots=True)
class CronEntry(Entity[CronID]):
    """A schedule and the call it makes."""

    name: str
    schedule: str
    job_name: str
    payload: bytes
    timezone: str = "UTC"
    enabled: bool = True
    overlap: Overlap = "skip"
    misfire: Misfire = "once"
    jitter: float = 0.0
    revision: int = 1
    code_hash: str | None = None
    """Set on entries announced by code; None on entries made at run time."""
    last_fired_at: datetime | None = None
    next_fire_at: datetime | None = None
    scope: Scope = NO_SCOPE


@dataclass(frozen=True, slots=True)
class Tick:
    """One moment of a schedule and what became of it."""

    entry_id: CronID
    scheduled_at: datetime
    job_id: JobID | None
    outcome: Literal["fired", "skipped", "missed"]


@dataclass(frozen=True, slots=True)
class ListOptions:
    """Which entries, by name."""

    enabled: bool | None = None
    names: Sequence[str] = ()
    scope: Scope | None = None
    limit: int = PAGE_SIZE
    cursor: str | None = None
