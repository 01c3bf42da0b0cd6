"""Cron entries and ticks between rows and objects, and the new versions of an entry that verbs make."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import datetime
from typing import Any

from dispatch.clock import from_micros, micros
from dispatch.crons.model import CronEntry, CronSpec, Tick, spec_of
from dispatch.crons.settle import Announced
from dispatch.ids import CronID, JobID, RunID
from dispatch.stores.sql.rows import moment

CODE = ("digest", "spec", "first_seen")
ANNOUNCE = ("worker_id", "digest")
TICK = ("entry_id", "scheduled_at", "outcome", "fired_at", "job_id", "run_id", "note")


def code_row(digest: str, spec: CronSpec, now: int) -> tuple[str, str, int]:
    return digest, _text(spec), now


def announced_of(row: tuple[Any, ...]) -> Announced:
    digest, spec, first_seen = row
    return Announced(digest, spec_of(json.loads(spec)), from_micros(first_seen))


def columns_of(entry: CronEntry) -> dict[str, Any]:
    """Every column of an entry's row."""
    return {
        "id": str(entry.id),
        "name": entry.name,
        "tenant": entry.spec.scope.tenant,
        "app_id": entry.spec.scope.app_id,
        "org_id": entry.spec.scope.org_id,
        "spec": _text(entry.spec),
        "enabled": int(entry.enabled),
        "disabled_until": _micros(entry.disabled_until),
        "disabled_reason": entry.disabled_reason,
        "disabled_by": entry.disabled_by,
        "revision": entry.revision,
        "code_hash": entry.code_hash,
        "orphaned": int(entry.orphaned),
        "anchor": _micros(entry.anchor),
        "last_fired_at": _micros(entry.last_fired_at),
        "next_fire_at": _micros(entry.next_fire_at),
        "created_at": micros(entry.created_at),
        "updated_at": micros(entry.updated_at),
    }


def entry_of(row: tuple[Any, ...]) -> CronEntry:
    """The entry in a row of `cron_columns`."""
    (
        id_,
        spec,
        enabled_,
        disabled_until,
        disabled_reason,
        disabled_by,
        revision,
        code_hash,
        orphaned,
        anchor,
        last_fired_at,
        next_fire_at,
        created_at,
        updated_at,
    ) = row
    return CronEntry(
        CronID(id_),
        from_micros(created_at),
        from_micros(updated_at),
        spec_of(json.loads(spec)),
        enabled=bool(enabled_),
        disabled_until=moment(disabled_until),
        disabled_reason=disabled_reason,
        disabled_by=disabled_by,
        revision=revision,
        code_hash=code_hash,
        orphaned=bool(orphaned),
        anchor=moment(anchor),
        last_fired_at=moment(last_fired_at),
        next_fire_at=moment(next_fire_at),
    )


def tick_row(tick: Tick) -> tuple[str | int | None, ...]:
    """The parameters of `insert_cron_tick`, in the order of TICK."""
    return (
        str(tick.entry_id),
        micros(tick.scheduled_at),
        tick.outcome,
        micros(tick.fired_at),
        None if tick.job_id is None else str(tick.job_id),
        None if tick.run_id is None else str(tick.run_id),
        tick.note,
    )


def tick_from(row: tuple[Any, ...]) -> Tick:
    """The tick in a row of `tick_columns`."""
    entry_id, scheduled_at, outcome, fired_at, job_id, run_id, note = row
    return Tick(
        CronID(entry_id),
        from_micros(scheduled_at),
        outcome,
        from_micros(fired_at),
        None if job_id is None else JobID(job_id),
        None if run_id is None else RunID(run_id),
        note,
    )


def edited(entry: CronEntry, spec: CronSpec, next_fire_at: datetime | None, now: int) -> CronEntry:
    """The entry with another spec; name and tenant stay."""
    timed_anew = (entry.spec.schedule, entry.spec.timezone) != (spec.schedule, spec.timezone)
    return replace(
        entry,
        spec=replace(spec, name=entry.spec.name, scope=entry.spec.scope),
        revision=entry.revision + 1,
        updated_at=from_micros(now),
        anchor=from_micros(now) if timed_anew else entry.anchor,
        next_fire_at=next_fire_at,
    )


def enabled(entry: CronEntry, next_fire_at: datetime | None, now: int) -> CronEntry:
    """The entry, firing again."""
    return replace(
        entry,
        enabled=True,
        disabled_until=None,
        disabled_reason="",
        disabled_by="",
        revision=entry.revision + 1,
        updated_at=from_micros(now),
        next_fire_at=next_fire_at,
    )


def disabled(entry: CronEntry, *, until: datetime | None, reason: str, by: str, now: int) -> CronEntry:
    """The entry, not firing."""
    return replace(
        entry,
        enabled=False,
        disabled_until=until,
        disabled_reason=reason,
        disabled_by=by,
        revision=entry.revision + 1,
        updated_at=from_micros(now),
    )


def _text(spec: CronSpec) -> str:
    return json.dumps(spec.document(), sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def _micros(value: datetime | None) -> int | None:
    return None if value is None else micros(value)
