"""Dead letters as JSON documents."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from typing_extensions import TypedDict

from dispatch.dlq.model import DLQEntry, DLQGroup
from dispatch.documents.base import (
    ErrorDocument,
    ScopeDocument,
    ShortError,
    error_document,
    readable,
    scope_document,
    short_error,
)
from dispatch.documents.jobs import AttemptDocument, attempt_document
from dispatch.jobs.model import Attempt
from dispatch.masking import mask_value
from dispatch.text import iso


class _Letter(TypedDict):
    id: str
    job_id: str
    job_name: str
    queue: str
    state: str
    reason: str | None
    failures: int
    crashes: int
    created_at: str
    tags: list[str]
    scope: ScopeDocument | None
    replayed_as: str | None


class LetterSummary(_Letter):
    """A dead letter as lists show it."""

    error: ShortError | None


class LetterDocument(_Letter):
    """A dead letter with what its job carried and how it failed."""

    error: ErrorDocument | None
    updated_at: str
    payload: Any
    payload_text: str | None
    priority: int
    max_retries: int | None
    timeout_seconds: float | None
    unique_key: str | None
    concurrency_key: str | None
    concurrency_max: int | None
    effect_key: str | None
    metadata: dict[str, Any]
    attempts: list[AttemptDocument]


class GroupDocument(TypedDict):
    """Dead letters that look alike."""

    job_name: str
    error_type: str
    count: int
    oldest_at: str
    newest_at: str
    sample: str


def _letter(entry: DLQEntry) -> _Letter:
    return {
        "id": str(entry.id),
        "job_id": str(entry.job_id),
        "job_name": entry.job_name,
        "queue": entry.queue,
        "state": str(entry.state),
        "reason": entry.reason,
        "failures": entry.failures,
        "crashes": entry.crashes,
        "created_at": iso(entry.created_at),
        "tags": list(entry.tags),
        "scope": scope_document(entry.scope),
        "replayed_as": entry.replayed_as,
    }


def entry_summary(entry: DLQEntry) -> LetterSummary:
    """A dead letter as lists show it."""
    return {**_letter(entry), "error": short_error(entry.error)}


def entry_document(entry: DLQEntry, attempts: Sequence[Attempt]) -> LetterDocument:
    """A dead letter with what its job carried and how it failed."""
    payload, payload_text = readable(entry.payload)
    return {
        **_letter(entry),
        "updated_at": iso(entry.updated_at),
        "error": error_document(entry.error),
        "payload": payload,
        "payload_text": payload_text,
        "priority": entry.priority,
        "max_retries": entry.max_retries,
        "timeout_seconds": entry.timeout,
        "unique_key": entry.unique_key,
        "concurrency_key": entry.concurrency_key,
        "concurrency_max": entry.concurrency_max,
        "effect_key": entry.effect_key,
        "metadata": mask_value("", entry.metadata),
        "attempts": [attempt_document(attempt) for attempt in attempts],
    }


def group_document(group: DLQGroup) -> GroupDocument:
    """Dead letters that look alike."""
    return {
        "job_name": group.job_name,
        "error_type": group.error_type,
        "count": group.count,
        "oldest_at": iso(group.oldest_at),
        "newest_at": iso(group.newest_at),
        "sample": str(group.sample),
    }
