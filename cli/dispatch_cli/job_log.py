"""The plugin of `dispatch run` that makes a log record of what becomes of jobs."""

from __future__ import annotations

import logging
from datetime import datetime
from typing import Any

from dispatch.clock import utc_now
from dispatch.hookspecs import hookimpl
from dispatch.jobs.model import Failure, Job
from dispatch.telemetry import carried
from dispatch_cli.places import last_own_line
from dispatch_cli.render import ago

EVENTS = logging.getLogger("dispatch.event")
_NEAR = 10.0


def events_for(level: str, *, as_json: bool) -> Failures:
    """The plugin for a log level and format."""
    return (Events if level in ("debug", "info") else Failures)(as_json=as_json)


class Failures:
    """Tells what goes wrong with jobs, or is stopped: a death is one line for a person, and two events in JSON."""

    def __init__(self, *, as_json: bool) -> None:
        self._as_json = as_json
        self._hinted = False

    @hookimpl
    def job_retrying(self, job: Job, attempt: int, next_run_at: datetime) -> None:
        facts = {"next_run_at": next_run_at.isoformat(), "failed": attempt}
        text = f"attempt {attempt}: {self._why(job, job.error)}; again {soon(next_run_at)}"
        _log(logging.WARNING, "job_retrying", job, text, failure=job.error, **facts)

    @hookimpl
    def job_failed(self, job: Job, error: Failure) -> None:
        reason = f" ({job.reason})" if job.reason not in (None, "", "failed") else ""
        _log(logging.ERROR, "job_failed", job, f"{self._why(job, error)}{reason}", failure=error, reason=job.reason)

    @hookimpl
    def job_dlq(self, job: Job, error: Failure) -> None:
        if self._as_json or not self._hinted:
            text = "kept as a dead letter: `dispatch dlq list` shows it, `dispatch dlq replay` runs it again"
            _log(logging.ERROR, "job_dlq", job, "is a dead letter" if self._hinted else text)
        self._hinted = True

    @hookimpl
    def job_cancelled(self, job: Job) -> None:
        reason = job.reason or ""
        _log(logging.INFO, "job_cancelled", job, "" if reason == "cancelled" else reason, reason=reason)

    def _why(self, job: Job, failure: Failure | None) -> str:
        """What was raised; for a person, who sees no traceback here, also where."""
        where = "" if self._as_json or failure is None else last_own_line(failure.traceback)
        return _short(job, failure) + (f" at {where}" if where else "")


class Events(Failures):
    """The same, and a record of each job that completes; left out where nobody would read them, since it costs."""

    @hookimpl
    def job_completed(self, job: Job, elapsed: float) -> None:
        _log(logging.INFO, "job_completed", job, f"{elapsed:.3f} s", elapsed=round(elapsed, 6))


def _log(level: int, event: str, job: Job, text: str, *, failure: Failure | None = None, **facts: Any) -> None:
    if not EVENTS.isEnabledFor(level):
        return
    extra = {
        "event": event,
        "job_id": str(job.id),
        "job_name": job.name,
        "queue": job.queue,
        "attempt": job.attempt,
        **facts,
    }
    if trace := carried(job.metadata):
        extra["trace_id"] = trace["traceparent"][3:35]
    if failure is not None and failure.traceback:
        extra["traceback"] = failure.traceback
    EVENTS.log(level, "%s", f"{job.name} {job.id}  {text}".rstrip(), extra=extra)


def _short(job: Job, failure: Failure | None) -> str:
    """Type and first line of a failure, without the job's name and id, which stand before it."""
    if failure is None:
        return "unknown error"
    itself = f"{job.name} ({job.id})"
    first = failure.message.partition("\n")[0].removeprefix(f"{job.name}: ").removeprefix(f"{itself} ")
    first = first.replace(itself, "this job")
    first = first if len(first) <= 200 else first[:197] + "..."
    return f"{failure.type}: {first}" if first else failure.type


def soon(moment: datetime) -> str:
    """When a moment is that lies ahead: "in 0.3 s", "in 2 min", "at once"."""
    remaining = (moment - utc_now()).total_seconds()
    if remaining < 0.05:
        return "at once"
    return f"in {remaining:.1f} s" if remaining < _NEAR else ago(moment)
