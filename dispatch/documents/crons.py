"""Cron entries and their ticks as JSON documents."""

from __future__ import annotations

from typing import Any

from typing_extensions import TypedDict

from dispatch.crons.model import CronEntry, Tick
from dispatch.documents.base import ScopeDocument, readable, scope_document
from dispatch.masking import mask_value
from dispatch.text import iso


class CronSummary(TypedDict):
    """A cron entry as lists show it."""

    id: str
    name: str
    state: str
    schedule: str
    timezone: str
    target: str
    kind: str
    version: int | None
    overlap: str
    misfire: str
    misfire_window_seconds: float | None
    jitter_seconds: float
    scope: ScopeDocument | None
    origin: str
    disabled_until: str | None
    disabled_reason: str
    disabled_by: str
    last_fired_at: str | None
    next_fire_at: str | None
    revision: int
    created_at: str
    updated_at: str


class CronDocument(CronSummary):
    """A cron entry with the arguments of its call; secrets among them are masked by their names."""

    payload: Any
    payload_text: str | None
    options: dict[str, Any]


class TickDocument(TypedDict):
    """A moment of a schedule and what became of it."""

    scheduled_at: str
    outcome: str
    fired_at: str
    job_id: str | None
    run_id: str | None
    note: str


def state_of(entry: CronEntry) -> str:
    """Whether it fires, in a word."""
    return "disabled" if not entry.enabled else "orphaned" if entry.orphaned else "enabled"


def entry_summary(entry: CronEntry) -> CronSummary:
    """An entry as lists show it."""
    spec = entry.spec
    return {
        "id": str(entry.id),
        "name": spec.name,
        "state": state_of(entry),
        "schedule": spec.schedule,
        "timezone": spec.timezone,
        "target": spec.target,
        "kind": spec.kind,
        "version": spec.version,
        "overlap": spec.overlap,
        "misfire": spec.misfire,
        "misfire_window_seconds": spec.misfire_window,
        "jitter_seconds": spec.jitter,
        "scope": scope_document(spec.scope),
        "origin": "runtime" if entry.code_hash is None else "code",
        "disabled_until": iso(entry.disabled_until),
        "disabled_reason": entry.disabled_reason,
        "disabled_by": entry.disabled_by,
        "last_fired_at": iso(entry.last_fired_at),
        "next_fire_at": iso(entry.next_fire_at),
        "revision": entry.revision,
        "created_at": iso(entry.created_at),
        "updated_at": iso(entry.updated_at),
    }


def entry_document(entry: CronEntry) -> CronDocument:
    """An entry with the arguments of its call; secrets among them are masked by their names."""
    payload, payload_text = readable(entry.spec.payload)
    options = mask_value("", entry.spec.options)
    return {**entry_summary(entry), "payload": payload, "payload_text": payload_text, "options": options}


def tick_document(tick: Tick) -> TickDocument:
    """A moment of a schedule and what became of it."""
    return {
        "scheduled_at": iso(tick.scheduled_at),
        "outcome": tick.outcome,
        "fired_at": iso(tick.fired_at),
        "job_id": None if tick.job_id is None else str(tick.job_id),
        "run_id": None if tick.run_id is None else str(tick.run_id),
        "note": tick.note,
    }
