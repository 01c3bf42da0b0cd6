"""Dead letters: jobs that failed for good, with all that is needed to look at them and run them again."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any

from dispatch.entity import PAGE_SIZE, Entity, Reply
from dispatch.ids import DLQID, JobID
from dispatch.jobs.model import Failure
from dispatch.scope import NO_SCOPE, Scope


class DLQState(StrEnum):
    """`open` until somebody decides; each entry is decided once."""

    OPEN = "open"
    REPLAYED = "replayed"
    RETRIED = "retried"
    DISCARDED = "discarded"


@dataclass(slots=True)
class DLQEntry(Entity[DLQID]):
    """A dead letter; `created_at` is when the job died. The job's attempts are read by `jobs.attempts(job_id)`."""

    job_id: JobID
    job_name: str
    queue: str
    state: DLQState
    reason: str
    """exhausted, failed, worker_lost, invalid_payload, result_not_storable …"""
    error: Failure | None
    payload: bytes
    """Byte for byte what the job carried."""
    failures: int = 0
    """How many attempts had failed; of a run all that ever did, also those before its latest checkpoint."""
    crashes: int = 0
    priority: int = 0
    max_retries: int | None = None
    timeout: float | None = None
    backoff: dict[str, Any] | None = None
    keep_result: bool | None = None
    unique_key: str | None = None
    effect_key: str = ""
    metadata: dict[str, Any] = field(default_factory=dict)
    tags: tuple[str, ...] = ()
    scope: Scope = NO_SCOPE
    replayed_as: JobID | None = None
    concurrency_key: str | None = None
    concurrency_max: int | None = None


@dataclass(frozen=True, slots=True)
class DLQGroup:
    """Open dead letters that look alike."""

    job_name: str
    error_type: str
    count: int
    oldest_at: datetime
    newest_at: datetime
    sample: DLQID


@dataclass(frozen=True, slots=True)
class Replayed:
    """The answer to a replay: APPLIED with the new job, CONFLICT (decided before, or a live unique twin), MISSING."""

    reply: Reply
    job_id: JobID | None = None
    """APPLIED: the new job. CONFLICT: the earlier replay's job, or the twin that holds the unique key."""
    state: DLQState | None = None
    """The entry's state after the call."""


@dataclass(frozen=True, slots=True)
class ListOptions:
    """Which dead letters, newest first; by default those that wait for a decision."""

    states: Sequence[DLQState] = (DLQState.OPEN,)
    queues: Sequence[str] = ()
    names: Sequence[str] = ()
    error_types: Sequence[str] = ()
    scope: Scope | None = None
    created_before: datetime | None = None
    limit: int = PAGE_SIZE
    cursor: str | None = None
