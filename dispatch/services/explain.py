"""Why a job does or does not run: the gates a claim looks at, in order, each with its evidence."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from dispatch.cluster.model import Worker
from dispatch.ids import JobID
from dispatch.jobs.model import QUARANTINE_FROM, Job, JobState
from dispatch.queues import QueueInfo


@dataclass(frozen=True, slots=True)
class Gate:
    """One condition of the claim."""

    name: str
    open: bool
    text: str


@dataclass(frozen=True, slots=True)
class Explanation:
    """The gates in order, and one sentence: what the first closed one says, or where the job stands."""

    job_id: JobID
    state: JobState
    summary: str
    gates: tuple[Gate, ...]


def explain(job: Job, *, queue: QueueInfo, workers: Sequence[Worker], ahead: int, now: datetime) -> Explanation:
    """The explanation of a job from what the store says; `now` is only used to say how long."""
    if job.state not in (JobState.PENDING, JobState.RETRYING):
        return Explanation(job.id, job.state, _settled(job, now), ())
    gates = tuple(_gates(job, queue, workers, now))
    closed = next((gate for gate in gates if not gate.open), None)
    if closed is not None:
        summary = closed.text
    elif ahead:
        summary = f"ready; {ahead} {'job stands' if ahead == 1 else 'jobs stand'} before it in queue {job.queue!r}"
    else:
        summary = f"ready; next in queue {job.queue!r}"
    return Explanation(job.id, job.state, summary, gates)


def _settled(job: Job, now: datetime) -> str:
    if job.state is JobState.RUNNING:
        since = f" for {_span(now - job.started_at)}" if job.started_at else ""
        asked = "; its cancellation was requested" if job.cancel_requested else ""
        if job.lease_until and job.lease_until < now:
            asked += f"; its lease lapsed {_span(now - job.lease_until)} ago and the next idle worker takes it over"
        return f"runs{since} on {job.worker_id}, attempt {job.attempt}{asked}"
    when = f" {_span(now - job.finished_at)} ago" if job.finished_at else ""
    why = f": {job.error.type}: {job.error.message}" if job.error else f" ({job.reason})" if job.reason else ""
    return f"{job.state}{when}{why if job.state is not JobState.COMPLETED else ''}"


def _gates(job: Job, queue: QueueInfo, workers: Sequence[Worker], now: datetime) -> list[Gate]:
    return [
        _successor(job),
        _expiry(job, now),
        _due(job, now),
        _paused(queue, now),
        _served(job, workers),
        _quarantine(job),
        _limit(queue),
    ]


def _successor(job: Job) -> Gate:
    if job.behind:
        return Gate("unique", False, f"waits behind {job.behind}, which runs and holds the same unique key")
    return Gate("unique", True, "no other job holds its unique key")


def _expiry(job: Job, now: datetime) -> Gate:
    if job.expires_at is None or job.started_at is not None:
        return Gate("expiry", True, "does not expire")
    if job.expires_at < now:
        ago = _span(now - job.expires_at)
        return Gate("expiry", False, f"expired {ago} ago without a start: the worker that finds it due cancels it")
    return Gate("expiry", True, f"expires in {_span(job.expires_at - now)} unless it has started")


def _due(job: Job, now: datetime) -> Gate:
    if job.run_at > now:
        why = f"retry after failure {job.failures}" if job.failures else "scheduled"
        return Gate("due", False, f"not due: {why}, due in {_span(job.run_at - now)} ({job.run_at.isoformat()})")
    return Gate("due", True, f"due for {_span(now - job.run_at)}")


def _paused(queue: QueueInfo, now: datetime) -> Gate:
    pause = queue.pause
    if pause is None or (pause.until is not None and pause.until <= now):
        return Gate("pause", True, f"queue {queue.config.name!r} is not paused")
    text = f"queue {queue.config.name!r} is paused"
    text += f" by {pause.by}" if pause.by else ""
    text += f" ({pause.reason})" if pause.reason else ""
    text += f" for another {_span(pause.until - now)}" if pause.until else " until resumed"
    return Gate("pause", False, text)


def _served(job: Job, workers: Sequence[Worker]) -> Gate:
    serving = [w for w in workers if job.queue in w.queues and job.name in w.names]
    if serving:
        return Gate(
            "served", True, f"{len(serving)} live {'worker serves' if len(serving) == 1 else 'workers serve'} it"
        )
    if not workers:
        text = "no worker is alive: start one with `dispatch run yourapp.tasks`"
    elif any(job.name in w.names for w in workers):
        text = f"no live worker that knows {job.name!r} serves queue {job.queue!r}: start one with -q {job.queue}"
    else:
        text = f"no live worker announces {job.name!r}: start one whose module defines it"
    if job.set_aside:
        text += " (set aside until then)"
    return Gate("served", False, text)


def _quarantine(job: Job) -> Gate:
    if job.crashes >= QUARANTINE_FROM:
        text = f"lost {job.crashes} workers, so it runs alone: it waits for a worker with nothing else in flight"
        return Gate("quarantine", False, text)
    return Gate("quarantine", True, "has not lost workers repeatedly")


def _limit(queue: QueueInfo) -> Gate:
    limit = queue.config.max_concurrency
    taken = queue.running + len(queue.slots)
    if limit is not None and taken >= limit:
        return Gate("limit", False, f"limit {taken}/{limit} of queue {queue.config.name!r} is held by running jobs")
    return Gate("limit", True, f"{taken}/{limit} slots of the queue are taken" if limit else "the queue has no limit")


def _span(delta: timedelta) -> str:
    seconds = max(delta.total_seconds(), 0.0)
    for size, unit in ((86400, "d"), (3600, "h"), (60, "min")):
        if seconds >= size:
            return f"{seconds / size:.1f} {unit}"
    return f"{seconds:.1f} s"
