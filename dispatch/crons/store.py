"""What a store promises about cron entries."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Protocol

from dispatch.crons.model import CronEntry, ListOptions, Tick
from dispatch.entity import Page, Reply
from dispatch.ids import CronID
from dispatch.jobs.model import NewJob
from dispatch.scope import Scope


class CronStore(Protocol):
    """The crons part of a Store."""

    async def sync(self, entries: Sequence[CronEntry]) -> None:
        """Brings code entries in line with what live workers announce."""
        ...

    async def create(self, entry: CronEntry) -> CronEntry:
        """Adds an entry made at run time."""
        ...

    async def enable(self, name: str, *, scope: Scope | None = None) -> Reply:
        """Lets it fire again."""
        ...

    async def disable(
        self, name: str, *, until: datetime | None = None, reason: str = "", scope: Scope | None = None
    ) -> Reply:
        """Keeps it from firing, surviving deploys."""
        ...

    async def due(self, *, limit: int = 100) -> Sequence[CronEntry]:
        """Enabled entries whose next_fire_at has come."""
        ...

    async def fire(
        self, entry: CronEntry, *, ticks: Sequence[Tick], jobs: Sequence[NewJob], next_fire_at: datetime | None
    ) -> Reply:
        """Writes ticks and jobs and advances the schedule in one transaction, while revision, enabled and next_fire_at
        still are what `entry` says; CONFLICT otherwise."""
        ...

    async def delete(self, name: str, *, scope: Scope | None = None) -> Reply:
        """Removes the entry."""
        ...

    async def history(self, entry_id: CronID, *, limit: int = 50) -> Sequence[Tick]:
        """Its latest ticks, newest first."""
        ...

    async def list(self, options: ListOptions) -> Page[CronEntry]:
        """Entries that match, by name."""
        ...
