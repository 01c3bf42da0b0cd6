"""A stored job: the public Job with what only the store knows, and the copies that go in and out."""

from __future__ import annotations

import json
from dataclasses import dataclass, field, fields
from datetime import UTC, datetime, timedelta
from operator import attrgetter
from typing import TYPE_CHECKING, Any

from dispatch.errors import DataRejected
from dispatch.ids import DLQID, JobID, WorkerID
from dispatch.jobs.model import Failure, Job, JobKind, JobState, UniqueUntil
from dispatch.scope import Scope

if TYPE_CHECKING:
    from dispatch.stores.memory.heap import LazyHeap
    from dispatch.stores.memory.queue import QueueState


NEVER = datetime(9999, 12, 31, tzinfo=UTC)
"""The run_at of a driver that only an event, a child or a person can wake."""


class TenantCount:
    """How many jobs of one tenant run in one queue."""

    __slots__ = ("running",)

    def __init__(self) -> None:
        self.running = 0


@dataclass(slots=True, eq=False)
class Tally:
    """How many jobs of one queue, name, kind and scope are in each state."""

    queue: QueueState
    name: str
    kind: str
    scope: Scope
    tenant: TenantCount
    counts: dict[JobState, int] = field(default_factory=lambda: dict.fromkeys(JobState, 0))


@dataclass(slots=True, eq=False)
class Row(Job):
    """A Job and the store's own notes about it."""

    lane_given: bool = False
    """The enqueue named the lane; otherwise it follows the queue's configuration."""
    unique_until: UniqueUntil = "finish"
    hold_until: datetime | None = None
    successors: tuple[JobID, ...] = ()
    """Jobs that wait behind this one, first come first; nearly always one at most."""
    cancel_reason: str | None = None
    last: tuple[WorkerID, int, str] | None = None
    """The verdict that ended the latest claim, so that its repetition is recognised."""
    letter: DLQID | None = None
    tally: Tally | None = None
    home: LazyHeap | None = None
    ticket: int = 0


@dataclass(frozen=True, slots=True)
class Origin:
    """What a dead letter's replay needs of its job and the public entry does not tell."""

    kind: JobKind
    lane: str
    unique_until: UniqueUntil


_values = attrgetter(*(f.name for f in fields(Job)))


def is_driver(row: Row) -> bool:
    """Whether the row drives a run, which no claim ends."""
    return row.kind == "workflow" and row.run_id is not None


def copy_job(row: Job) -> Job:
    """A Job that shares nothing mutable with the stored one."""
    job = Job(*_values(row))
    job.metadata = copy_json(row.metadata) if row.metadata else {}
    if row.backoff is not None:
        job.backoff = copy_json(row.backoff)
    return job


def copy_json(value: Any) -> Any:
    """A deep copy of something that consists of dicts, lists and scalars."""
    if isinstance(value, dict):
        return {key: copy_json(item) for key, item in value.items()}
    if isinstance(value, list):
        return [copy_json(item) for item in value]
    return value


def checked_json(value: Any, what: str) -> Any:
    """`value` as a JSON store would give it back; DataRejected when it would not take it."""
    try:
        return json.loads(json.dumps(value, allow_nan=False))
    except (TypeError, ValueError, RecursionError) as error:
        raise DataRejected(f"{what} cannot be stored as JSON ({error}); nothing was written") from error


def checked_text(text: str | None, what: str) -> None:
    """DataRejected for text that has no UTF-8 form (a lone surrogate), which no store on disk could hold."""
    if text is None or text.isascii():
        return
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise DataRejected(f"{what} cannot be stored as UTF-8 ({error}); nothing was written") from error


def checked_bytes(value: bytes | None, what: str) -> None:
    """DataRejected for a payload or result that is no bytes."""
    if value is not None and not isinstance(value, bytes):
        raise DataRejected(f"{what} is {type(value).__name__}, not bytes; nothing was written")


def checked_failure(failure: Failure | None, what: str) -> None:
    """DataRejected for a failure whose texts cannot be stored."""
    if failure is not None:
        checked_text(failure.type, f"the error type of {what}")
        checked_text(failure.message, f"the error message of {what}")
        checked_text(failure.traceback, f"the traceback of {what}")


def later(now: datetime, seconds: float, what: str) -> datetime:
    """`now` + `seconds`; DataRejected when no datetime can hold it."""
    try:
        return now + timedelta(seconds=seconds)
    except (OverflowError, ValueError) as error:
        raise DataRejected(f"{what}: {seconds!r} seconds from now is no storable time; nothing was written") from error


def utc(moment: datetime, what: str) -> datetime:
    """The same moment in UTC; DataRejected for one without a zone."""
    if moment.tzinfo is None:
        raise DataRejected(f"{what}: {moment!r} has no timezone; pass an aware datetime. Nothing was written")
    return moment if moment.tzinfo is UTC else moment.astimezone(UTC)


def in_scope(found: Scope, asked: Scope | None) -> bool:
    """Whether something of one tenant is seen by who asked (None: an operator, who sees all)."""
    return asked is None or found == asked
