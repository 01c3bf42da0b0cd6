"""Jobs, attempts, dead letters and explanations as JSON documents with stable fields; docs/cli.md lists them."""

from __future__ import annotations

import json
from typing import Any

from dispatch.dlq.model import DLQEntry, DLQGroup
from dispatch.jobs.model import Attempt, Failure, Job
from dispatch.masking import mask_value
from dispatch.scope import Scope
from dispatch.services.explain import Explanation
from dispatch_cli.failures import safe
from dispatch_cli.render import iso

Document = dict[str, Any]


def job_summary(job: Job) -> Document:
    """A job as lists show it."""
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
        "error": failure_document(job.error, traceback=False),
        "reason": job.reason,
    }


def job_document(job: Job, attempts: list[Attempt] | None = None) -> Document:
    """A job with everything that is known of it; secrets in its arguments are masked by their names."""
    payload, payload_text = readable(job.payload)
    result, result_text = readable(job.result)
    return {
        **job_summary(job),
        "updated_at": iso(job.updated_at),
        "scheduled_at": iso(job.scheduled_at),
        "expires_at": iso(job.expires_at),
        "payload": payload,
        "payload_text": payload_text,
        "result": result,
        "result_text": result_text,
        "result_kept": job.result is not None,
        "error": failure_document(job.error),
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
        "attempts": [attempt_document(attempt) for attempt in attempts or []],
    }


def attempt_document(attempt: Attempt) -> Document:
    """An attempt that did not complete."""
    return {
        "number": attempt.number,
        "kind": attempt.kind,
        "error": failure_document(attempt.failure),
        "worker_id": attempt.worker_id,
        "started_at": iso(attempt.started_at),
        "ended_at": iso(attempt.ended_at),
    }


def entry_summary(entry: DLQEntry) -> Document:
    """A dead letter as lists show it."""
    return {
        "id": str(entry.id),
        "job_id": str(entry.job_id),
        "job_name": entry.job_name,
        "queue": entry.queue,
        "state": str(entry.state),
        "reason": entry.reason,
        "error": failure_document(entry.error, traceback=False),
        "failures": entry.failures,
        "crashes": entry.crashes,
        "created_at": iso(entry.created_at),
        "tags": list(entry.tags),
        "scope": scope_document(entry.scope),
        "replayed_as": entry.replayed_as,
    }


def entry_document(entry: DLQEntry, attempts: list[Attempt]) -> Document:
    """A dead letter with what its job carried and how it failed."""
    payload, payload_text = readable(entry.payload)
    return {
        **entry_summary(entry),
        "updated_at": iso(entry.updated_at),
        "error": failure_document(entry.error),
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


def group_document(group: DLQGroup) -> Document:
    """Dead letters that look alike."""
    return {
        "job_name": group.job_name,
        "error_type": group.error_type,
        "count": group.count,
        "oldest_at": iso(group.oldest_at),
        "newest_at": iso(group.newest_at),
        "sample": str(group.sample),
    }


def explanation_document(explanation: Explanation) -> Document:
    """Why a job does or does not run."""
    return {
        "job_id": str(explanation.job_id),
        "state": str(explanation.state),
        "summary": explanation.summary,
        "gates": [{"name": gate.name, "open": gate.open, "text": gate.text} for gate in explanation.gates],
        "ahead": explanation.ahead,
    }


def failure_document(failure: Failure | None, *, traceback: bool = True) -> Document | None:
    """What went wrong, or None."""
    if failure is None:
        return None
    document: Document = {"type": failure.type, "message": failure.message}
    return {**document, "traceback": failure.traceback} if traceback else document


def scope_document(scope: Scope) -> Document | None:
    """The tenant, or None when the work is nobody's in particular."""
    return {"app_id": scope.app_id, "org_id": scope.org_id} if scope else None


def readable(data: bytes | None) -> tuple[Any, str | None]:
    """Stored bytes as (JSON value, None), or as (None, escaped text) when they are no JSON."""
    if data is None:
        return None, None
    try:
        return mask_value("", json.loads(data)), None
    except (ValueError, RecursionError):
        return None, safe(data.decode("utf-8", "backslashreplace"))
