"""Tells in the log when an attempt starts, completes and fails."""

from __future__ import annotations

import asyncio
import logging
import time
import traceback
from collections.abc import Awaitable
from typing import Any

from dispatch.errors import Fail, HandlerSignal, Retry, Snooze
from dispatch.jobs.handler import Next
from dispatch.jobs.model import Job
from dispatch.telemetry import carried

_CONTROL = {code: f"\\x{code:02x}" for code in (*range(32), *range(127, 160))} | {
    ord("\n"): "\\n",
    ord("\r"): "\\r",
    ord("\t"): "\\t",
    0x2028: "\\u2028",
    0x2029: "\\u2029",
}
_CONTROL_BUT_LINES = {code: text for code, text in _CONTROL.items() if code != ord("\n")}


class Logging:
    """Start at DEBUG, completion at INFO, failure at ERROR with its traceback, on logger `dispatch.job`.

    Arguments and results are never logged. Every record carries job_id, job_name, queue, attempt, elapsed (seconds) and
    (where the job has one) trace_id for structured logs; control characters are escaped. A level that is off costs one
    look.
    """

    def __init__(self, logger: logging.Logger | None = None) -> None:
        self._logger = logger or logging.getLogger("dispatch.job")

    def __call__(self, job: Job, call_next: Next, /) -> Awaitable[Any]:
        if self._logger.isEnabledFor(logging.ERROR):
            return self._logged(job, call_next)
        return call_next(job)

    async def _logged(self, job: Job, call_next: Next) -> Any:
        logger = self._logger
        if logger.isEnabledFor(logging.DEBUG):
            self._write(logging.DEBUG, "started", job)
        start = time.perf_counter()
        try:
            result = await call_next(job)
        except BaseException as error:
            level, message = _ending(error)
            if logger.isEnabledFor(level):
                unexpected = error if level == logging.ERROR else None
                self._write(level, message, job, elapsed=time.perf_counter() - start, error=unexpected)
            raise
        if logger.isEnabledFor(logging.INFO):
            self._write(logging.INFO, "completed", job, elapsed=time.perf_counter() - start)
        return result

    def _write(
        self, level: int, message: str, job: Job, *, elapsed: float | None = None, error: BaseException | None = None
    ) -> None:
        name = job.name.translate(_CONTROL)
        facts: dict[str, object] = {"job_id": str(job.id), "job_name": name, "queue": job.queue, "attempt": job.attempt}
        parent = carried(job.metadata)
        if parent:
            facts["trace_id"] = parent["traceparent"][3:35]
        text = "%s %s %s (attempt %d)"
        args: tuple[object, ...] = (name, job.id, message.translate(_CONTROL), job.attempt)
        if elapsed is not None:
            text, args = "%s %s %s (attempt %d, %.3f s)", (*args, elapsed)
        record = self._logger.makeRecord(
            self._logger.name,
            level,
            __file__,
            0,
            text,
            args,
            None if error is None else (type(error), error, error.__traceback__),
            extra=facts if elapsed is None else {**facts, "elapsed": elapsed},
        )
        if error is not None:
            record.exc_text = _indented(error)
        self._logger.handle(record)


def _ending(error: BaseException) -> tuple[int, str]:
    match error:
        case Snooze():
            delay = f"{error.delay:g} s" if isinstance(error.delay, int | float) else error.delay
            return logging.INFO, f"snoozed for {delay}{_reason(error)}"
        case Retry():
            return logging.WARNING, f"asked for a retry{_reason(error)}"
        case Fail():
            return logging.WARNING, f"failed for good{_reason(error)}"
        case asyncio.CancelledError():
            return logging.WARNING, "was cancelled"
        case _:
            return logging.ERROR, f"failed: {type(error).__name__}: {error}"


def _reason(error: HandlerSignal) -> str:
    return f": {error}" if str(error) else ""


def _indented(error: BaseException) -> str:
    """The traceback, indented so that no line of an error message can pass for a log line of its own."""
    lines = "".join(traceback.format_exception(error)).translate(_CONTROL_BUT_LINES).splitlines()
    return "\n".join(f"    {line}" for line in lines)
