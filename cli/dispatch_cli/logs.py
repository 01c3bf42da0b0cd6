"""What `dispatch run` writes to stderr: a readable line an event for a person, a JSON line an event for machines."""

from __future__ import annotations

import logging
import sys
from datetime import datetime
from typing import Any

from dispatch.hookspecs import hookimpl
from dispatch.jobs.model import Failure, Job
from dispatch_cli.failures import safe
from dispatch_cli.render import ago

LEVELS = ("debug", "info", "warning", "error", "critical")
EVENTS = logging.getLogger("dispatch.event")
_COLORS = {
    "completed": "32",
    "failed": "31",
    "dead letter": "31;1",
    "retrying": "33",
    "cancelled": "2",
    "WARNING": "33",
    "ERROR": "31",
    "CRITICAL": "31;1",
}


def set_up(*, level: str, as_json: bool, colored: bool) -> None:
    """Gives the `dispatch` logger its one handler, on stderr."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_json_formatter() if as_json else _Line(colored=colored))
    if level != "debug":
        handler.addFilter(_beyond_events)
    root = logging.getLogger("dispatch")
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
    root.propagate = False


def events_for(level: str) -> Failures:
    """The plugin for a log level."""
    return Events() if level in ("debug", "info") else Failures()


def _beyond_events(record: logging.LogRecord) -> bool:
    """Whether a record says more than the events do: those of `dispatch.job` tell the same, attempt by attempt."""
    return record.name != "dispatch.job"


def _json_formatter() -> logging.Formatter:
    from pythonjsonlogger.json import JsonFormatter

    return JsonFormatter(
        "{levelname}{name}{message}",
        style="{",
        timestamp=True,
        rename_fields={"levelname": "level", "name": "logger"},
        reserved_attrs=[*_reserved(), "color"],
    )


def _reserved() -> list[str]:
    from pythonjsonlogger.core import RESERVED_ATTRS

    return list(RESERVED_ATTRS)


class _Line(logging.Formatter):
    """`12:03:04  completed    send_email job_…  0.120 s`."""

    def __init__(self, *, colored: bool) -> None:
        super().__init__()
        self._colored = colored

    def format(self, record: logging.LogRecord) -> str:
        clock = datetime.fromtimestamp(record.created).astimezone().strftime("%H:%M:%S")
        word = getattr(record, "event", "").removeprefix("job_").replace("dlq", "dead letter") or record.levelname
        text = safe(record.getMessage())
        if record.exc_info and not record.exc_text:
            record.exc_text = self.formatException(record.exc_info)
        if record.exc_text:
            text += f"\n{safe(record.exc_text)}"
        padded = f"{word:<11}"
        if self._colored and word in _COLORS:
            padded = f"\x1b[{_COLORS[word]}m{padded}\x1b[0m"
        return f"{clock}  {padded}  {text}"


class Failures:
    """The plugin that makes a log record of each thing that goes wrong with a job, or is stopped."""

    @hookimpl
    def job_retrying(self, job: Job, attempt: int, next_run_at: datetime) -> None:
        why = f"attempt {attempt}: {_short(job.error)}; again {ago(next_run_at)}"
        traceback = job.error.traceback if job.error else None
        _log(
            logging.WARNING, "job_retrying", job, why, next_run_at=next_run_at.isoformat(), failed=attempt, tb=traceback
        )

    @hookimpl
    def job_failed(self, job: Job, error: Failure) -> None:
        why = f"{_short(error)} ({job.reason or 'failed'})"
        _log(logging.ERROR, "job_failed", job, why, reason=job.reason, tb=error.traceback)

    @hookimpl
    def job_dlq(self, job: Job, error: Failure) -> None:
        _log(logging.ERROR, "job_dlq", job, "`dispatch dlq list` shows it, `dispatch dlq replay` runs it again")

    @hookimpl
    def job_cancelled(self, job: Job) -> None:
        _log(logging.INFO, "job_cancelled", job, job.reason or "")


class Events(Failures):
    """The same, and a record of each job that completes; left out where nobody would read them, since it costs."""

    @hookimpl
    def job_completed(self, job: Job, elapsed: float) -> None:
        _log(logging.INFO, "job_completed", job, f"{elapsed:.3f} s", elapsed=round(elapsed, 6))


def _log(level: int, event: str, job: Job, text: str, *, tb: str | None = None, **facts: Any) -> None:
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
    if tb:
        extra["traceback"] = tb
    EVENTS.log(level, "%s %s  %s", job.name, job.id, text, extra=extra)


def _short(failure: Failure | None) -> str:
    if failure is None:
        return "unknown error"
    first = failure.message.partition("\n")[0]
    return f"{failure.type}: {first if len(first) <= 200 else first[:197] + '...'}"
