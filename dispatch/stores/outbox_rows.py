"""A job on its way to another store: the row that keeps it, and what becomes of its times on the way."""

from __future__ import annotations

import base64
import json
from dataclasses import fields, replace
from datetime import datetime, timedelta
from typing import Any

from dispatch.clock import micros
from dispatch.errors import DataRejected
from dispatch.ids import DLQID, JobID, RunID
from dispatch.jobs.model import Idempotency, Job, NewJob, Unique
from dispatch.scope import Scope

QUEUE = NAME = "dispatch.outbox"
"""Of the rows that keep jobs in the outbox."""
_TIMES = ("run_at", "scheduled_at")
_REMEMBERED = 24 * 3600.0
"""Seconds for which the store knows that it has had a job, even if that is over and removed."""


def row_of(job: NewJob) -> NewJob:
    """The row that keeps a job; it has the job's own id."""
    document: dict[str, Any] = {field.name: getattr(job, field.name) for field in fields(job)}
    document["payload"] = base64.b64encode(job.payload).decode()
    for name in _TIMES:
        document[name] = None if document[name] is None else document[name].isoformat()
    for name, value in (("unique", job.unique), ("idempotency", job.idempotency)):
        document[name] = None if value is None else {field.name: getattr(value, field.name) for field in fields(value)}
    document["metadata"] = dict(job.metadata)
    text = json.dumps(document, separators=(",", ":"), ensure_ascii=False)
    return NewJob(job.id, NAME, text.encode(), queue=QUEUE, scope=job.scope, priority=job.priority)


def job_in(row: Job) -> NewJob:
    """The job that a row keeps. Raises DataRejected when it keeps none."""
    try:
        document = json.loads(row.payload)
        document["payload"] = base64.b64decode(document["payload"])
        for name in _TIMES:
            document[name] = None if document[name] is None else datetime.fromisoformat(document[name])
        for name, kind in (("unique", Unique), ("idempotency", Idempotency)):
            document[name] = None if document[name] is None else kind(**document[name])
        for name, wrap in (("id", JobID), ("run_id", RunID), ("replay_of", DLQID)):
            document[name] = None if document[name] is None else wrap(document[name])
        document["tags"], document["scope"] = tuple(document["tags"]), Scope(*document["scope"])
        return NewJob(**document)
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise DataRejected(f"the outbox row {row.id} keeps no job ({type(error).__name__}: {error})") from error


def due_from(job: NewJob, enqueued_at: datetime, now: datetime) -> NewJob:
    """The job as it is enqueued in its store: times that were counted from the enqueue still are, and a repetition is
    known by its id even when the job is over and removed."""
    if job.delay is not None:
        job = replace(job, delay=None, run_at=enqueued_at + timedelta(seconds=job.delay))
    if job.expires_in is not None:
        passed = (micros(now) - micros(enqueued_at)) / 1e6
        job = replace(job, expires_in=max(0.0, job.expires_in - passed))
    if job.idempotency is None:
        job = replace(job, idempotency=Idempotency(key=f"outbox|{job.id}", fingerprint=str(job.id), ttl=_REMEMBERED))
    return job
