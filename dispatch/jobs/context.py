"""What a handler can ask about the job it runs: `current_job()`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextvars import ContextVar
from datetime import datetime
from typing import Any, TypeVar

from dispatch.ids import JobID
from dispatch.jobs.model import Job
from dispatch.scope import Scope

R = TypeVar("R")


class JobContext:
    """The running job, as its handler sees it."""

    __slots__ = ("_cancelled", "_progress", "_resources", "arguments", "job")

    def __init__(
        self,
        job: Job,
        *,
        resources: Sequence[object] = (),
        progress: Callable[[Job, float, str | None], None] | None = None,
    ) -> None:
        self.job = job
        self._resources = resources
        self._progress = progress
        self._cancelled = False
        self.arguments: tuple[list[Any], dict[str, Any]] = ([], {})
        """(args, kwargs) for the handler, validated."""

    @property
    def id(self) -> JobID:
        """The job's id."""
        return self.job.id

    @property
    def name(self) -> str:
        """The job's name."""
        return self.job.name

    @property
    def attempt(self) -> int:
        """The number of this attempt, from 1; snoozes, releases and lost workers do not count."""
        return self.job.failures + 1

    @property
    def epoch(self) -> int:
        """The fence of this claim: it grows with every claim, so an external system can refuse an older one."""
        return self.job.epoch

    @property
    def queue(self) -> str:
        """The queue it came from."""
        return self.job.queue

    @property
    def scope(self) -> Scope:
        """The tenant it runs for."""
        return self.job.scope

    @property
    def metadata(self) -> dict[str, Any]:
        """What the enqueue sent along."""
        return self.job.metadata

    @property
    def scheduled_at(self) -> datetime | None:
        """The cron tick that this job stands for."""
        return self.job.scheduled_at

    @property
    def effect_key(self) -> str:
        """Stable over retries and replays: pass it to payment providers and the like as their idempotency key."""
        return self.job.effect_key or self.job.id

    @property
    def cancelled(self) -> bool:
        """True once the job should stop: cancelled, timed out, or its lease was lost. Threads look at it themselves."""
        return self._cancelled

    def cancel(self) -> None:
        """Sets `cancelled`; the engine does this."""
        self._cancelled = True

    def progress(self, fraction: float, note: str | None = None) -> None:
        """Reports how far the job is (0 to 1) with an optional note; returns at once, the newest report wins."""
        if not 0.0 <= fraction <= 1.0:
            raise ValueError(f"progress is {fraction!r}; give a fraction between 0 and 1")
        self.job.progress = fraction
        self.job.progress_note = note
        if self._progress is not None:
            self._progress(self.job, fraction, note)

    def resources(self, kind: type[R]) -> R:
        """The object of that type which a @lifespan function yielded; LookupError when none did."""
        for resource in self._resources:
            if isinstance(resource, kind):
                return resource
        have = ", ".join(type(r).__name__ for r in self._resources) or "nothing"
        raise LookupError(f"no @lifespan function yields a {kind.__name__} (they yield {have})")


_current: ContextVar[JobContext | None] = ContextVar("dispatch_job", default=None)


def current_job() -> JobContext:
    """The job that is running here; LookupError outside a handler."""
    context = _current.get()
    if context is None:
        raise LookupError("current_job() is only known inside a job's handler")
    return context


def running_job() -> JobContext | None:
    """As `current_job`, but None outside a handler."""
    return _current.get()


def enter_job(context: JobContext | None) -> None:
    """Makes `context` the current job of this task or thread."""
    _current.set(context)
