"""Cron entries, their ticks and what a firing brings: as stores keep and answer them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime
from typing import Any, Literal

from dispatch.entity import PAGE_SIZE, Entity, Reply
from dispatch.ids import CronID, JobID, RunID
from dispatch.jobs.model import NewJob
from dispatch.scope import NO_SCOPE, Scope
from dispatch.workflows.model import NewRun

Overlap = Literal["allow", "skip", "queue", "cancel_old"]
Misfire = Literal["skip", "once", "all"]
TargetKind = Literal["job", "workflow"]
NEWER_TICK = "a newer tick of its cron entry"
"""Why `cancel_old` cancels."""
Outcome = Literal["fired", "skipped", "missed", "manual"]
"""Fired: made a job. Skipped: an earlier one lived. Missed: too late, or beyond the misfire rule. Manual: by hand."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CronSpec:
    """What an entry says: when, and which call."""

    name: str
    schedule: str
    target: str
    """The name of the job or workflow."""
    kind: TargetKind = "job"
    version: int | None = None
    """Of a workflow."""
    payload: bytes = b"{}"
    timezone: str = "UTC"
    overlap: Overlap = "skip"
    misfire: Misfire = "once"
    misfire_window: float | None = None
    """Seconds after which a tick is missed; None: what the leader is configured for."""
    jitter: float = 0.0
    options: dict[str, Any] = field(default_factory=dict)
    """Columns of the NewJob that the definition or the caller fixed: queue, priority, tags …"""
    scope: Scope = NO_SCOPE

    def document(self) -> dict[str, Any]:
        """The spec as a JSON document; `spec_of` reads it back."""
        return {**asdict(self), "payload": self.payload.decode(), "scope": list(self.scope)}

    @property
    def digest(self) -> str:
        """Equal specs have equal digests."""
        text = json.dumps(self.document(), sort_keys=True, separators=(",", ":"), default=str)
        return hashlib.sha256(text.encode()).hexdigest()


def spec_of(document: Mapping[str, Any]) -> CronSpec:
    """The spec in what `CronSpec.document` gave."""
    scope = Scope(*document["scope"])
    return CronSpec(**{**document, "payload": document["payload"].encode(), "scope": scope})


@dataclass(slots=True)
class CronEntry(Entity[CronID]):
    """A stored entry; (tenant, name) is unique."""

    spec: CronSpec
    enabled: bool = True
    disabled_until: datetime | None = None
    """Disabled until then; None with enabled=False: until enabled by hand."""
    disabled_reason: str = ""
    disabled_by: str = ""
    revision: int = 1
    """Rises with every change of spec or of enabled; a fire names it."""
    code_hash: str | None = None
    """Set on entries announced by code; None on entries made at run time."""
    orphaned: bool = False
    """Announced by code once, but by no live worker now: shown, not fired."""
    anchor: datetime | None = None
    """When the schedule became what it is."""
    last_fired_at: datetime | None = None
    """The latest tick that made a job."""
    next_fire_at: datetime | None = None
    """None: never again."""

    @property
    def name(self) -> str:
        return self.spec.name


@dataclass(frozen=True, slots=True)
class Tick:
    """One moment of a schedule and what became of it; (entry, scheduled_at) is unique."""

    entry_id: CronID
    scheduled_at: datetime
    outcome: Outcome
    fired_at: datetime
    """When the store wrote it."""
    job_id: JobID | None = None
    run_id: RunID | None = None
    note: str = ""


@dataclass(slots=True)
class NewTick:
    """A tick to write, with the job or run that it makes (its unique rule is the overlap rule)."""

    scheduled_at: datetime
    outcome: Outcome
    job: NewJob | None = None
    run: NewRun | None = None
    cancel_old: bool = False
    """Ask the holder of the job's or run's unique key to stop; the new one waits as its successor."""


@dataclass(slots=True)
class Fire:
    """A firing, conditional on what the entry was when it was decided."""

    entry_id: CronID
    revision: int
    expected: datetime | None
    """next_fire_at as read."""
    ticks: Sequence[NewTick]
    next_fire_at: datetime | None


@dataclass(slots=True)
class Fired:
    """The answer to a Fire: the ticks as they stand (an overlap turned fired into skipped)."""

    reply: Reply
    """CONFLICT: revision, enabled or next_fire_at were not (any more) as named; nothing was written."""
    ticks: list[Tick] = field(default_factory=list)


@dataclass(slots=True)
class Due:
    """Entries that tick now, and when the next one will."""

    entries: list[CronEntry]
    next_at: datetime | None
    now: datetime


@dataclass(frozen=True, slots=True)
class ListOptions:
    """Which entries, by name; `orphaned` and `enabled` filter where they are not None."""

    enabled: bool | None = None
    orphaned: bool | None = None
    names: Sequence[str] = ()
    scope: Scope | None = None
    limit: int = PAGE_SIZE
    cursor: str | None = None
