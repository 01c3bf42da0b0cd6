"""What a store promises about cron entries: who says what they are, and that a tick fires once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Protocol

from dispatch.crons.model import CronEntry, CronSpec, Due, Fire, Fired, ListOptions, NewTick, Tick
from dispatch.entity import Page, Reply
from dispatch.ids import CronID, WorkerID
from dispatch.scope import Scope


class CronStore(Protocol):
    """The crons part of a Store."""

    async def announce(self, worker_id: WorkerID, specs: Mapping[str, CronSpec]) -> None:
        """Says which code entries, by hash, this worker's code has; replaces what it said before.

        A hash keeps the time at which it was first seen, and its spec, while anybody announces it or an entry has it.
        """
        ...

    async def settle(self, *, next_fire_at: Mapping[str, datetime | None]) -> list[CronEntry]:
        """Brings code entries in line with the hashes that live workers announce: of those of one (tenant, name) the
        newest first_seen wins; an entry whose winner changed takes its spec, with revision + 1; next_fire_at is taken
        from the argument (by hash; now when absent) and anchor becomes now only where schedule, timezone or spec's
        target are new; enabled, disabled_until and history stay. Entries that nobody live announces are orphaned, those
        announced again are not. An entry made at run time of the same name stands, the code's is left out. Answers the
        entries that changed. Any process may do it, any number of times."""
        ...

    async def candidates(self) -> dict[str, CronSpec]:
        """By hash: the winners that `settle` would give to an entry that has another hash or none."""
        ...

    async def create(self, spec: CronSpec, *, entry_id: CronID, next_fire_at: datetime | None) -> CronEntry | None:
        """Adds an entry made at run time; None when its (tenant, name) is taken by another id."""
        ...

    async def edit(self, entry_id: CronID, spec: CronSpec, *, revision: int, next_fire_at: datetime | None) -> Reply:
        """Replaces the spec of a run-time entry while its revision is the one named (name and scope stay)."""
        ...

    async def enable(self, name: str, *, next_fire_at: datetime | None, scope: Scope | None = None) -> Reply:
        """Lets it fire again, from next_fire_at on; CONFLICT when it is enabled."""
        ...

    async def disable(
        self, name: str, *, until: datetime | None = None, reason: str = "", by: str = "", scope: Scope | None = None
    ) -> Reply:
        """Keeps it from firing, for good or until then, surviving deploys; disabling again changes until and reason."""
        ...

    async def due(self, *, limit: int = 100) -> Due:
        """Entries that are enabled (or disabled until a time that has passed), not orphaned, and whose next_fire_at has
        come, the longest due first."""
        ...

    async def fire(self, fires: Sequence[Fire]) -> list[Fired]:
        """Each in one durable transaction: ticks, jobs and runs, and the schedule's advance, while revision and
        next_fire_at still are what the Fire says and the entry may fire; CONFLICT otherwise. A tick that exists already
        is left as it is and makes nothing. A job or run whose unique key is held makes its tick "skipped"."""
        ...

    async def trigger(self, name: str, tick: NewTick, *, scope: Scope | None = None) -> Fired:
        """Writes a manual tick and what it makes, enabled or not; the schedule does not move."""
        ...

    async def delete(self, name: str, *, scope: Scope | None = None) -> Reply:
        """Removes the entry with its ticks; a code entry that is announced: CONFLICT (disable it instead)."""
        ...

    async def get(self, name: str, *, scope: Scope | None = None) -> CronEntry | None:
        """The entry of that name: of that tenant; with scope None the only one, or the one without a tenant."""
        ...

    async def history(self, entry_id: CronID, *, limit: int = 50) -> Sequence[Tick]:
        """Its latest ticks, newest first."""
        ...

    async def list(self, options: ListOptions) -> Page[CronEntry]:
        """Entries that match, by name, then tenant."""
        ...

    async def prune(self, *, older_than: float, limit: int = 1000, dry_run: bool = False) -> int:
        """Deletes at most `limit` ticks written more than that many seconds ago; answers how many."""
        ...
