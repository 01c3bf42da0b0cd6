"""Tells plugins what became of jobs, and counts it for the worker's own report."""

from __future__ import annotations

import copy
import logging
from dataclasses import dataclass

from dispatch.jobs.model import Failure, Job, JobState, Stolen, Transition, Verdict
from dispatch.plugins import PluginManager
from dispatch.telemetry import OFF, Telemetry


@dataclass(slots=True)
class Tally:
    """How many jobs ended how, in this worker."""

    completed: int = 0
    failed: int = 0
    retried: int = 0
    cancelled: int = 0
    released: int = 0
    snoozed: int = 0
    stale: int = 0
    """Outcomes that the store refused because the claim had passed to another worker."""
    stolen: int = 0

    @property
    def ended(self) -> int:
        """Jobs that reached a terminal state here."""
        return self.completed + self.failed + self.cancelled


class Report:
    """Called after each state change; hooks run out of band."""

    def __init__(self, plugins: PluginManager, *, logger: logging.Logger, telemetry: Telemetry = OFF) -> None:
        self.plugins = plugins
        self._telemetry = telemetry
        self._logger = logger
        self.tally = Tally()

    def activated(self, job: Job) -> None:
        """A workflow's driver begins; runs have hooks of their own."""

    def raised(self, job: Job, error: BaseException) -> None:
        """An exception has left the body of a workflow."""

    def started(self, job: Job) -> None:
        """A handler begins."""
        if self.plugins.has("job_started"):
            self.plugins.background("job_started", job=copy.copy(job))  # which goes on to change

    def ended(self, job: Job, transition: Transition, *, elapsed: float) -> None:
        """An outcome is stored; `job.state` and `job.run_at` are what the store says."""
        tally = self.tally
        match job.state:
            case JobState.COMPLETED:
                tally.completed += 1
                job.result = transition.result
                if self.plugins.has("job_completed"):
                    self.plugins.background("job_completed", job=job, elapsed=elapsed)
            case JobState.CANCELLED:
                job.reason = transition.reason if transition.verdict is Verdict.CANCEL else "cancelled"
                job.error = transition.failure or job.error
                self.cancelled(job)
            case JobState.FAILED:
                job.reason = transition.reason
                job.error = transition.failure
                job.failures += transition.failure is not None
                self._failed(job, transition.failure, dead_letter=transition.dead_letter)
            case _ if transition.verdict is Verdict.RETRY:
                tally.retried += 1
                job.error = transition.failure
                job.failures += 1
                if job.kind == "job" and self.plugins.has("job_retrying"):
                    self.plugins.background("job_retrying", job=job, attempt=job.failures, next_run_at=job.run_at)
            case _ if transition.verdict is Verdict.SNOOZE:
                tally.snoozed += 1
            case _:
                tally.released += 1

    def cancelled(self, job: Job) -> None:
        """A job was cancelled, or expired."""
        self.tally.cancelled += 1
        if self.plugins.has("job_cancelled"):
            self.plugins.background("job_cancelled", job=job)

    def stale(self, job: Job) -> None:
        """The store refused an outcome."""
        self.tally.stale += 1
        if self._telemetry.instruments is not None:
            self._telemetry.instruments.stale_writes.add(1, job.name, job.queue)
        self._logger.warning(
            "the outcome of %s (%s) came too late and was refused: its lease had passed to another worker",
            job.name,
            job.id,
            extra=facts_of("job_stale", job),
        )

    def stolen(self, stolen: Stolen) -> None:
        """A lapsed job was taken from its worker."""
        job = stolen.job
        self.tally.stolen += 1
        self._logger.warning(
            "%s (%s) was lost by %s (crash %d) and is now %s",
            job.name,
            job.id,
            stolen.from_worker,
            job.crashes,
            job.state,
            extra={**facts_of("job_stolen", job), "worker_id": str(stolen.from_worker)},
        )
        if job.kind == "workflow":
            return
        if self.plugins.has("job_stolen"):
            self.plugins.background("job_stolen", job=job)
        if job.state is JobState.FAILED:
            self._failed(job, job.error, dead_letter=stolen.dead_letter is not None)
        elif job.state is JobState.CANCELLED:
            self.cancelled(job)

    def _failed(self, job: Job, error: Failure | None, *, dead_letter: bool) -> None:
        self.tally.failed += 1
        known = error or Failure("Unknown", job.reason or "")
        if self.plugins.has("job_failed"):
            self.plugins.background("job_failed", job=job, error=known)
        if dead_letter and self.plugins.has("job_dlq"):
            self.plugins.background("job_dlq", job=job, error=known)


def facts_of(event: str, job: Job) -> dict[str, object]:
    """What a log record about a job carries for structured logs."""
    return {"event": event, "job_id": str(job.id), "job_name": job.name, "queue": job.queue, "attempt": job.attempt}
