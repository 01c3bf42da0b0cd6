"""How `dispatch run` writes log records to stderr: a readable line for a person, a JSON line for machines."""

from __future__ import annotations

import logging
import sys
from datetime import datetime

from dispatch.jobs.context import running_job
from dispatch.telemetry import trace_ids
from dispatch.text import safe

LEVELS = ("debug", "info", "warning", "error", "critical")
_COLORS = {
    "completed": "32",
    "failed": "31",
    "dead letter": "31;1",
    "retrying": "33",
    "cancelled": "2",
    "stolen": "33",
    "lost": "33",
    "WARNING": "33",
    "ERROR": "31",
    "CRITICAL": "31;1",
}


def set_up(*, level: str, as_json: bool, colored: bool) -> logging.Handler:
    """Gives the `dispatch` logger its one handler, on stderr, which also takes what modules say while imported."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_json_formatter() if as_json else _Line(colored=colored))
    handler.addFilter(_name_the_job)
    if level != "debug":
        handler.addFilter(_beyond_events)
    ours = logging.getLogger("dispatch")
    ours.handlers[:] = [handler]
    ours.setLevel(level.upper())
    ours.propagate = False
    logging.lastResort = handler
    root = logging.getLogger()
    if not root.handlers:
        root.setLevel(level.upper())
    return handler


def take_the_rest(handler: logging.Handler) -> None:
    """Writes the application's own records the same way, unless its modules have given the root logger a handler."""
    root = logging.getLogger()
    if root.handlers:
        return
    root.addHandler(handler)
    driver = logging.getLogger("aiosqlite")
    if driver.level == logging.NOTSET:
        driver.setLevel(logging.INFO)  # at "debug" it tells every statement, those of an idle worker's polling too


def _name_the_job(record: logging.LogRecord) -> bool:
    """Makes a record that a handler writes carry the job it runs for, and the trace it stands in."""
    context = running_job()
    if context is not None and not hasattr(record, "job_id"):
        record.job_id, record.job_name = str(context.id), context.name
    for key, value in trace_ids().items():
        if not hasattr(record, key):
            setattr(record, key, value)
    return True


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
        text = safe(_said(record))
        if record.exc_info and not record.exc_text:
            record.exc_text = self.formatException(record.exc_info)
        if record.exc_text:
            text += f"\n{safe(record.exc_text)}"
        padded = f"{word:<11}"
        if self._colored and word in _COLORS:
            padded = f"\x1b[{_COLORS[word]}m{padded}\x1b[0m"
        return f"{clock}  {padded}  {text}"


def _said(record: logging.LogRecord) -> str:
    """The message; for a record of the application's also who said it, and in which job."""
    text = record.getMessage()
    if record.name.partition(".")[0] != "dispatch":
        text = f"{record.name}: {text}"
    job_id = getattr(record, "job_id", None)
    return f"{text}  ({getattr(record, 'job_name', 'job')} {job_id})" if job_id and job_id not in text else text
