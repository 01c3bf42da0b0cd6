"""What a run in a test did, and what its handlers raised."""

from __future__ import annotations

import logging
from collections import Counter
from dataclasses import dataclass
from typing import Any

from dispatch.engine.outcome import RemoteFailure
from dispatch.engine.report import Report, Tally
from dispatch.errors import HandlerSignal, JobFailed, UsageError
from dispatch.ids import JobID
from dispatch.jobs.handler import Next
from dispatch.jobs.model import Failure, Job, JobState, Transition
from dispatch.plugins import PluginManager
from dispatch.telemetry import OFF, Telemetry

ATTEMPTS = 10_000
"""How many a run may take, unless told otherwise."""
_SIGNALS = frozenset({"Fail", "Retry", "Snooze"})


@dataclass(frozen=True, slots=True)
class WorkDone:
    """How many attempts ended how; `failed` counts jobs that failed for good, `retried` attempts with another to come.

    >>> WorkDone(completed=2) == WorkDone(completed=2, failed=0)
    True
    """

    completed: int = 0
    failed: int = 0
    retried: int = 0
    cancelled: int = 0
    snoozed: int = 0

    @classmethod
    def since(cls, before: Tally, now: Tally) -> WorkDone:
        """The difference of two tallies."""
        return cls(
            completed=now.completed - before.completed,
            failed=now.failed - before.failed,
            retried=now.retried - before.retried,
            cancelled=now.cancelled - before.cancelled,
            snoozed=now.snoozed - before.snoozed,
        )


class WatchedReport(Report):
    """The engine's report, which also keeps what handlers raised and bounds how many attempts a run may start."""

    def __init__(self, plugins: PluginManager, *, logger: logging.Logger, telemetry: Telemetry = OFF) -> None:
        super().__init__(plugins, logger=logger, telemetry=telemetry)
        self._attempts: Counter[str] = Counter()
        self._raised: dict[JobID, Exception] = {}
        self._failures: list[Exception] = []

    def begin(self) -> None:
        """Forgets the run before."""
        self._attempts.clear()
        self._raised.clear()
        self._failures.clear()

    async def watch(self, job: Job, call_next: Next, /) -> Any:
        """The outermost middleware: notes what an attempt raises."""
        try:
            return await call_next(job)
        except Exception as error:
            self._raised[job.id] = error
            raise

    def activated(self, job: Job) -> None:
        self._attempts[job.name] += 1

    def raised(self, job: Job, error: BaseException) -> None:
        signal = isinstance(error, HandlerSignal) or isinstance(error.__cause__, HandlerSignal)
        if isinstance(error, Exception) and not signal:
            error.add_note(f"raised by {job.name} ({job.run_id})")
            self._failures.append(error)

    def started(self, job: Job) -> None:
        self._attempts[job.name] += 1
        super().started(job)

    def ended(self, job: Job, transition: Transition, *, elapsed: float) -> None:
        attempt = job.failures + 1
        super().ended(job, transition, elapsed=elapsed)
        raised = self._raised.pop(job.id, None)
        failure = transition.failure
        if failure is None or job.state not in (JobState.FAILED, JobState.RETRYING):
            return
        if not isinstance(raised, HandlerSignal) and not (isinstance(raised, RemoteFailure) and _chosen(failure)):
            error = _failed(job, failure) if raised is None or isinstance(raised, RemoteFailure) else raised
            error.add_note(f"raised by {job.name} ({job.id}) in attempt {attempt}")
            self._failures.append(error)

    def raise_first(self) -> None:
        """Raises what the first failed attempt raised, unless none did; Retry and Fail are no failures here."""
        if self._failures:
            first, more = self._failures[0], len(self._failures) - 1
            if more:
                first.add_note(f"{more} more failed after it in the same run")
            raise first

    def check(self, limit: int) -> None:
        """UsageError once the run has started more than `limit` attempts."""
        if self._attempts.total() > limit:
            counts = ", ".join(f"{name} {count:,}" for name, count in self._attempts.most_common(3))
            raise UsageError(
                f"{limit:,} attempts did not make the app idle ({counts}). Does a job enqueue or snooze itself without "
                "a delay? Give it one, or raise `limit`"
            )


def _chosen(failure: Failure) -> bool:
    """Whether a handler in another process raised one of the signals."""
    return failure.type in _SIGNALS


def _failed(job: Job, failure: Failure) -> JobFailed:
    """The failure of an attempt that left no exception in this process."""
    error = JobFailed(
        f"{job.name} ({job.id}) failed: {failure.type}: {failure.message}",
        type=failure.type,
        traceback=failure.traceback,
    )
    if failure.traceback:
        error.add_note(failure.traceback)
    return error
