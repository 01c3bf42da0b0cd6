"""Whose code is right: of the entries that live workers announce the newest wins; and what that changes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime

from dispatch.crons.model import CronEntry, CronSpec, NewTick, Tick
from dispatch.ids import CronID, JobID
from dispatch.scope import NO_SCOPE, Scope

Name = tuple[str, str]
"""Tenant and name."""


@dataclass(frozen=True, slots=True)
class Announced:
    """A code entry as some worker's code has it."""

    digest: str
    spec: CronSpec
    first_seen: datetime


def winners(live: Iterable[Announced]) -> dict[Name, Announced]:
    """Of each name the announcement that was first seen last."""
    found: dict[Name, Announced] = {}
    for one in live:
        name = (one.spec.scope.tenant, one.spec.name)
        other = found.get(name)
        if other is None or (one.first_seen, one.digest) > (other.first_seen, other.digest):
            found[name] = one
    return found


def settled(
    entries: Mapping[Name, CronEntry],
    winning: Mapping[Name, Announced],
    *,
    next_fire_at: Mapping[str, datetime | None],
    now: datetime,
) -> list[CronEntry]:
    """New versions of the entries that must change, and new entries, given who wins."""
    changed = []
    for name, winner in winning.items():
        entry = entries.get(name)
        if entry is None:
            changed.append(_new(winner, next_fire_at, now))
        elif entry.code_hash is not None and (entry.orphaned or entry.code_hash != winner.digest):
            changed.append(_updated(entry, winner, next_fire_at, now))
    for name, entry in entries.items():
        if entry.code_hash is not None and not entry.orphaned and name not in winning:
            changed.append(replace(entry, orphaned=True, updated_at=now, revision=entry.revision + 1))
    return changed


def _new(winner: Announced, next_fire_at: Mapping[str, datetime | None], now: datetime) -> CronEntry:
    return CronEntry(
        CronID.new(),
        now,
        now,
        winner.spec,
        code_hash=winner.digest,
        anchor=now,
        next_fire_at=next_fire_at.get(winner.digest, now),
    )


def _updated(
    entry: CronEntry, winner: Announced, next_fire_at: Mapping[str, datetime | None], now: datetime
) -> CronEntry:
    old, new = entry.spec, winner.spec
    timed_anew = (old.schedule, old.timezone) != (new.schedule, new.timezone)
    return replace(
        entry,
        spec=new,
        code_hash=winner.digest,
        orphaned=False,
        updated_at=now,
        revision=entry.revision + 1,
        anchor=now if timed_anew else entry.anchor,
        next_fire_at=next_fire_at.get(winner.digest, now) if timed_anew else entry.next_fire_at,
    )


def may_fire(entry: CronEntry, now: datetime) -> bool:
    """Whether the entry fires at all now: enabled (or no longer disabled) and somebody's."""
    back = entry.disabled_until is not None and entry.disabled_until <= now
    return (entry.enabled or back) and not entry.orphaned


def named(entries: Iterable[CronEntry], name: str, scope: Scope | None) -> CronEntry | None:
    """The entry of that name: of that tenant; with scope None the only one, or else the one without a tenant."""
    found = [entry for entry in entries if entry.name == name and (scope is None or entry.spec.scope == scope)]
    if len(found) > 1:
        found = [entry for entry in found if entry.spec.scope == NO_SCOPE]
    return found[0] if found else None


def tick_of(entry_id: CronID, new: NewTick, made: JobID | None, now: datetime) -> Tick:
    """The tick to keep, once it is known what it made (None: nothing, because an earlier job or run of the entry
    lives). What it made is a job, or the driver of a run."""
    kept_out = (new.job is not None or new.run is not None) and made is None
    return Tick(
        entry_id,
        new.scheduled_at,
        "skipped" if kept_out else new.outcome,
        now,
        job_id=made,
        run_id=new.run.id if new.run is not None and made is not None else None,
    )
