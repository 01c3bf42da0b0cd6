"""What a worker says of jobs it goes on running: renewed leases and progress."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from dispatch.entity import Reply
from dispatch.ids import JobID, WorkerID
from dispatch.jobs.model import Renewed
from dispatch.stores.memory.data import Data
from dispatch.stores.memory.rows import checked_text, later


def renew(data: Data, worker_id: WorkerID, named: Sequence[tuple[JobID, int]], lease: float, now: datetime) -> Renewed:
    """Extends what the worker still holds; tells what it lost, what to cancel, and what it holds without knowing."""
    lease_until = later(now, lease, "the lease")
    mine = data.held.get(worker_id, {})
    held: list[JobID] = []
    lost: list[JobID] = []
    for job_id, epoch in named:
        row = mine.get(job_id)
        if row is None or row.epoch != epoch:
            lost.append(job_id)
        else:
            row.lease_until = lease_until
            held.append(job_id)
    known = set(held)
    return Renewed(
        held=held,
        lost=lost,
        cancel_requested=[job_id for job_id in held if mine[job_id].cancel_requested],
        unnamed=sorted((row.id, row.epoch) for row in mine.values() if row.id not in known),
    )


def progress(
    data: Data, worker_id: WorkerID, reports: Sequence[tuple[JobID, int, float, str | None]], now: datetime
) -> list[Reply]:
    """Stores the reports of claims that still hold."""
    for job_id, _, _, note in reports:
        checked_text(note, f"the progress note of job {job_id}")
    replies = []
    mine = data.held.get(worker_id, {})
    for job_id, epoch, fraction, note in reports:
        row = mine.get(job_id)
        if row is not None and row.epoch == epoch:
            row.progress, row.progress_note, row.updated_at = fraction, note, now
            replies.append(Reply.APPLIED)
        else:
            replies.append(Reply.STALE if job_id in data.rows else Reply.MISSING)
    return replies
