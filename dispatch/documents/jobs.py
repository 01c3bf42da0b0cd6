"""Jobs, their attempts and explanations as JSON documents."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from typing_extensions import TypedDict

from dispatch.documents.base import (
    ErrorDocument,
    ScopeDocument,
    ShortError,
    error_document,
    readable,
    scope_document,
    short_error,
)
from dispatch.jobs.model import Attempt, Enqueued, Job
from dispatch.masking import mask_value
from dispatch.services.explain import Explanation
from dispatch.text import iso


class _Job(TypedDict):
    id: str
    name: str
    queue: str
    state: str
    attempt: int
    priority: int
    created_at: str
    run_at: str
    started_at: str | None
    finished_at: str | None
    tags: list[str]
    scope: ScopeDocument | None
    reason: str | None


class JobSummary(_Job):
    """A job as lists show it."""

    error: ShortError | None


class EnqueuedJob(JobSummary):
    """A job that was enqueued, or that was there already."""

    created: bool
    replaced: bool


class WatchedJob(JobSummary):
    """A job as it changes."""

    updated_at: str
    worker_id: str | None
    set_aside: bool
    blocked: bool
    progress: float | None
    progress_note: str | None
    cancel_requested: bool


class AttemptDocument(TypedDict):
    """An attempt that did not complete."""

    number: int
    kind: str
    error: ErrorDocument | None
    worker_id: str | None
    started_at: str | None
    ended_at: str


class JobDocument(_Job):
    """A job with everything that is known of it; secrets in its arguments are masked by their names."""

    error: ErrorDocument | None
    updated_at: str
    scheduled_at: str | None
    expires_at: str | None
    payload: Any
    payload_text: str | None
    result: Any
    result_text: str | None
    result_kept: bool
    failures: int
    crashes: int
    max_retries: int | None
    timeout_seconds: float | None
    backoff: Any
    cancel_requested: bool
    set_aside: bool
    blocked: bool
    progress: float | None
    progress_note: str | None
    worker_id: str | None
    epoch: int
    lease_until: str | None
    unique_key: str | None
    concurrency_key: str | None
    concurrency_max: int | None
    effect_key: str | None
    metadata: dict[str, Any]
    behind: str | None
    replay_of: str | None
    run_id: str | None
    step: str | None
    attempts: list[AttemptDocument]


class GateDocument(TypedDict):
    """One condition that a job has to meet."""

    name: str
    open: bool
    text: str


class ExplanationDocument(TypedDict):
    """Why a job does or does not run."""

    job_id: str
    state: str
    summary: str
    gates: list[GateDocument]
    ahead: int | None


def _job(job: Job) -> _Job:
    return {
        "id": str(job.id),
        "name": job.name,
        "queue": job.queue,
        "state": str(job.state),
        "attempt": job.attempt,
        "priority": job.priority,
        "created_at": iso(job.created_at),
        "run_at": iso(job.run_at),
        "started_at": iso(job.started_at),
        "finished_at": iso(job.finished_at),
        "tags": list(job.tags),
        "scope": scope_document(job.scope),
        "reason": job.reason,
    }


def job_summary(job: Job) -> JobSummary:
    """A job as lists show it."""
    return {**_job(job), "error": short_error(job.error)}


def enqueued_job(job: Job, answer: Enqueued) -> EnqueuedJob:
    """A job that was enqueued, or that was there already."""
    return {**job_summary(job), "created": answer.created, "replaced": answer.replaced}


def watched_job(job: Job) -> WatchedJob:
    """A job as it changes."""
    return {
        **job_summary(job),
        "updated_at": iso(job.updated_at),
        "worker_id": job.worker_id,
        "set_aside": job.set_aside,
        "blocked": job.blocked,
        "progress": job.progress,
        "progress_note": job.progress_note,
        "cancel_requested": job.cancel_requested,
    }


def job_document(job: Job, attempts: Sequence[Attempt] = ()) -> JobDocument:
    """A job with everything that is known of it; secrets in its arguments are masked by their names."""
    payload, payload_text = readable(job.payload)
    result, result_text = readable(job.result)
    return {
        **_job(job),
        "updated_at": iso(job.updated_at),
        "scheduled_at": iso(job.scheduled_at),
        "expires_at": iso(job.expires_at),
        "payload": payload,
        "payload_text": payload_text,
        "result": result,
        "result_text": result_text,
        "result_kept": job.result is not None,
        "error": error_document(job.error),
        "failures": job.failures,
        "crashes": job.crashes,
        "max_retries": job.max_retries,
        "timeout_seconds": job.timeout,
        "backoff": job.backoff,
        "cancel_requested": job.cancel_requested,
        "set_aside": job.set_aside,
        "blocked": job.blocked,
        "progress": job.progress,
        "progress_note": job.progress_note,
        "worker_id": job.worker_id,
        "epoch": job.epoch,
        "lease_until": iso(job.lease_until),
        "unique_key": job.unique_key,
        "concurrency_key": job.concurrency_key,
        "concurrency_max": job.concurrency_max,
        "effect_key": job.effect_key,
        "metadata": mask_value("", job.metadata),
        "behind": job.behind,
        "replay_of": job.replay_of,
        "run_id": job.run_id,
        "step": job.step,
        "attempts": [attempt_document(attempt) for attempt in attempts],
    }


def attempt_document(attempt: Attempt) -> AttemptDocument:
    """An attempt that did not complete."""
    return {
        "number": attempt.number,
        "kind": attempt.kind,
        "error": error_document(attempt.failure),
        "worker_id": attempt.worker_id,
        "started_at": iso(attempt.started_at),
        "ended_at": iso(attempt.ended_at),
    }


def explanation_document(explanation: Explanation) -> ExplanationDocument:
    """Why a job does or does not run."""
    return {
        "job_id": str(explanation.job_id),
        "state": str(explanation.state),
        "summary": explanation.summary,
        "gates": [{"name": gate.name, "open": gate.open, "text": gate.text} for gate in explanation.gates],
        "ahead": explanation.ahead,
    }
