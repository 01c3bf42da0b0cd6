"""What state changes tell the feed: one entry a transition, while somebody listens to its type."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from pydantic_core import from_json, to_json

from dispatch.crons.model import CronEntry, Tick
from dispatch.jobs.model import Failure, JobState
from dispatch.scope import Scope
from dispatch.stores.memory.rows import Row
from dispatch.stores.memory.runs import RunRow
from dispatch.stores.memory.stream_log import StreamLog
from dispatch.streams import StreamEntry
from dispatch.workflows.model import Checkpoint, RunState

JOB_ENDS = {
    JobState.COMPLETED: "job.completed",
    JobState.FAILED: "job.failed",
    JobState.CANCELLED: "job.cancelled",
}
_RUN_ENDS = {
    RunState.COMPLETED: "workflow.completed",
    RunState.FAILED: "workflow.failed",
    RunState.CANCELLED: "workflow.cancelled",
}
_STEPS = {"step": "workflow.step_completed", "undo": "workflow.step_completed", "failure": "workflow.step_failed"}


def tell_job(log: StreamLog, kind: str, row: Row, now: datetime, *, reason: str | None = None) -> None:
    """Tells of a job as it stands after the transition; drivers and deliveries are none."""
    if row.kind != "job" or not log.heard(kind, now):
        return
    data: dict[str, Any] = {"job_id": row.id, "job_name": row.name, "queue": row.queue, "attempt": row.failures + 1}
    match kind:
        case "job.completed":
            data["elapsed_ms"] = _elapsed(row.started_at, now)
        case "job.failed" | "job.dlq":
            data["attempt"] = max(row.failures, 1)
            data["error"] = _error(row.error, row.reason if reason is None else reason)
        case _:
            pass
    _append(log, kind, row.id, row.scope, data, now)


def tell_retry(log: StreamLog, row: Row, attempt: int, now: datetime) -> None:
    """Tells of an attempt that failed or crashed and is followed by another."""
    if row.kind != "job" or not log.heard("job.retrying", now):
        return
    data = {
        "job_id": row.id,
        "job_name": row.name,
        "queue": row.queue,
        "attempt": attempt,
        "error": _error(row.error, None),
        "next_run_at": _moment(row.run_at),
    }
    _append(log, "job.retrying", row.id, row.scope, data, now)


def tell_run_began(log: StreamLog, run: RunRow, now: datetime) -> None:
    """Tells of a run whose driver was claimed for the first time."""
    if run.state is RunState.RUNNING and log.heard("workflow.started", now):
        _append(log, "workflow.started", run.id, run.scope, {"run_id": run.id, "name": run.name}, now)


def tell_run_ended(log: StreamLog, run: RunRow, now: datetime) -> None:
    """Tells of a run that has ended."""
    kind = _RUN_ENDS[run.state]
    if not log.heard(kind, now):
        return
    data: dict[str, Any] = {"run_id": run.id, "name": run.name, "elapsed_ms": _elapsed(run.started_at, now)}
    if run.state is RunState.FAILED:
        data["error"] = _error(run.error, run.reason)
    _append(log, kind, run.id, run.scope, data, now)


def tell_step(log: StreamLog, run: RunRow, step: Checkpoint, now: datetime) -> None:
    """Tells of a step or an undo that was recorded; other checkpoints are none."""
    kind = _STEPS.get(step.kind)
    if kind is None or not log.heard(kind, now):
        return
    data: dict[str, Any] = {"run_id": run.id, "name": run.name, "step_name": step.name}
    if step.kind == "failure":
        data["error"] = _failure(step.data)
    else:
        data["elapsed_ms"] = _elapsed(step.started_at, now)
    _append(log, kind, run.id, run.scope, data, now)


def tell_tick(log: StreamLog, entry: CronEntry, tick: Tick, now: datetime) -> None:
    """Tells of a tick that made a job or a run."""
    if tick.outcome != "fired" or not log.heard("cron.fired", now):
        return
    made = {"job_id": tick.job_id} if tick.run_id is None else {"run_id": tick.run_id}
    data = {"entry_name": entry.name, "tick": _moment(tick.scheduled_at), **made}
    _append(log, "cron.fired", entry.id, entry.spec.scope, data, now)


def _append(log: StreamLog, kind: str, about: str, scope: Scope, data: dict[str, Any], now: datetime) -> None:
    data |= {"scope_app_id": scope.app_id or None, "scope_org_id": scope.org_id or None}
    text = to_json({name: value for name, value in data.items() if value is not None})
    log.append(StreamEntry(kind, f"{about}:{log.position + 1}", kind, text, scope.tenant), now)


def _error(error: Failure | None, reason: str | None) -> dict[str, str]:
    return {"type": reason or "", "message": ""} if error is None else {"type": error.type, "message": error.message}


def _failure(data: bytes) -> dict[str, str]:
    """What a checkpoint of kind "failure" holds."""
    try:
        found = from_json(data)
    except ValueError:
        found = None
    kept = found if isinstance(found, dict) else {}
    return {"type": kept.get("type", ""), "message": kept.get("message", "")}


def _elapsed(started_at: datetime | None, now: datetime) -> int | None:
    return None if started_at is None else (now - started_at) // timedelta(milliseconds=1)


def _moment(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
