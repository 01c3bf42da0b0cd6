"""Between cron entries, their ticks and their code, and the documents of a transfer."""

from __future__ import annotations

from typing import Any

from dispatch.clock import from_micros, micros
from dispatch.crons.model import CronEntry, CronSpec, Tick, spec_of
from dispatch.crons.settle import Announced
from dispatch.ids import CronID, JobID, RunID
from dispatch.stores.memory.fields import micros_of, moment, text
from dispatch.stores.memory.rows import checked_json
from dispatch.transfer import Document


def code_document(one: Announced) -> Document:
    return {"digest": one.digest, "spec": _spec(one.spec), "first_seen": micros(one.first_seen)}


def code_of(document: Document) -> Announced:
    return Announced(document["digest"], spec_of(document["spec"]), from_micros(document["first_seen"]))


def cron_document(entry: CronEntry) -> Document:
    return {
        "id": str(entry.id),
        "spec": _spec(entry.spec),
        "enabled": entry.enabled,
        "disabled_until": micros_of(entry.disabled_until),
        "disabled_reason": entry.disabled_reason,
        "disabled_by": entry.disabled_by,
        "revision": entry.revision,
        "code_hash": entry.code_hash,
        "orphaned": entry.orphaned,
        "anchor": micros_of(entry.anchor),
        "last_fired_at": micros_of(entry.last_fired_at),
        "next_fire_at": micros_of(entry.next_fire_at),
        "created_at": micros(entry.created_at),
        "updated_at": micros(entry.updated_at),
    }


def cron_of(document: Document) -> CronEntry:
    d = document
    return CronEntry(
        CronID(d["id"]),
        from_micros(d["created_at"]),
        from_micros(d["updated_at"]),
        spec_of(d["spec"]),
        enabled=d["enabled"],
        disabled_until=moment(d["disabled_until"]),
        disabled_reason=d["disabled_reason"],
        disabled_by=d["disabled_by"],
        revision=d["revision"],
        code_hash=d["code_hash"],
        orphaned=d["orphaned"],
        anchor=moment(d["anchor"]),
        last_fired_at=moment(d["last_fired_at"]),
        next_fire_at=moment(d["next_fire_at"]),
    )


def tick_document(tick: Tick) -> Document:
    return {
        "entry_id": str(tick.entry_id),
        "scheduled_at": micros(tick.scheduled_at),
        "outcome": tick.outcome,
        "fired_at": micros(tick.fired_at),
        "job_id": text(tick.job_id),
        "run_id": text(tick.run_id),
        "note": tick.note,
    }


def tick_of(document: Document) -> Tick:
    d = document
    return Tick(
        CronID(d["entry_id"]),
        from_micros(d["scheduled_at"]),
        d["outcome"],
        from_micros(d["fired_at"]),
        None if d["job_id"] is None else JobID(d["job_id"]),
        None if d["run_id"] is None else RunID(d["run_id"]),
        d["note"],
    )


def _spec(spec: CronSpec) -> dict[str, Any]:
    """The spec as JSON has it: lists where options held tuples."""
    document: dict[str, Any] = checked_json(spec.document(), "the spec")
    return document
