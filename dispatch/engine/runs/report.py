"""Tells plugins and the log what became of runs and their steps."""

from __future__ import annotations

import logging
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from dispatch.engine.report import Report
from dispatch.jobs.model import Failure, Job, NewJob
from dispatch.plugins import PluginManager

if TYPE_CHECKING:
    from dispatch.events.model import Event
    from dispatch.workflows.model import Run


class RunReport:
    """Called after each state change; hooks run out of band."""

    def __init__(self, report: Report, plugins: PluginManager, *, logger: logging.Logger) -> None:
        self._report = report
        self._plugins = plugins
        self._logger = logger
        self._warned: set[tuple[str, str]] = set()
        """The drivers, of parents and of children, that were told to share a key."""

    def activated(self, job: Job) -> None:
        """A driver was claimed and its run loaded."""
        self._report.activated(job)

    def started(self, run: Run) -> None:
        """A run's body begins for the first time."""
        self._logger.debug("%s %s started", run.name, run.id, extra=_facts("workflow_started", run))
        if self._plugins.has("workflow_started"):
            self._plugins.background("workflow_started", run=run)

    def step_completed(self, run: Run, step: str, elapsed: float) -> None:
        """A step, or an undo, is recorded."""
        if self._plugins.has("workflow_step_completed"):
            self._plugins.background("workflow_step_completed", run=run, step=step, elapsed=elapsed)

    def step_failed(self, run: Run, step: str, error: Failure) -> None:
        """A step has used up its retries."""
        text = "%s %s: step %r failed: %s: %s"
        facts = {**_facts("workflow_step_failed", run), "step": step}
        self._logger.warning(text, run.name, run.id, step, error.type, error.message, extra=facts)
        if self._plugins.has("workflow_step_failed"):
            self._plugins.background("workflow_step_failed", run=run, step=step, error=error)

    def enqueued(self, job: NewJob) -> None:
        """A run has queued a job."""
        if job.kind == "job" and self._plugins.has("job_enqueued"):
            self._plugins.background("job_enqueued", job=job)

    def waits_for(self, child: NewJob, parent: Job) -> None:
        """A run is about to wait for a child that needs a place of a concurrency key; said once of each pair."""
        key, pair = parent.concurrency_key, (parent.name, child.name)
        if key is None or child.concurrency_key != key or pair in self._warned:
            return
        self._warned.add(pair)
        self._logger.warning(
            "%s (%s) waits for its child %s under its own concurrency key %r (max %s): where runs that wait so hold "
            "every place, no child begins and they wait for ever; give the child a key of its own",
            *(parent.name, parent.run_id, child.name, key, child.concurrency_max),
            extra={"event": "workflow_shares_key", "run_id": str(parent.run_id), "workflow": parent.name},
        )

    def event_skipped(self, run: Run, wait: str, event: Event, why: str) -> None:
        """An event's payload did not fit what the wait declares."""
        self._logger.warning(
            "%s %s: %s skipped event %s, whose payload does not fit: %s",
            *(run.name, run.id, wait, event.id, why),
            extra=_facts("workflow_event_skipped", run),
        )

    def attempt_failed(self, run: Run, job: Job, error: BaseException, failure: Failure, delay: float | None) -> None:
        """An exception has left the body; `delay` seconds from now it runs again, or (None) it failed for good."""
        what = "failed for good" if delay is None else f"failed and runs again in {delay:g} s"
        self._logger.warning(
            "%s %s %s: %s: %s",
            *(run.name, run.id, what, failure.type, failure.message),
            exc_info=error,
            extra=_facts("workflow_attempt_failed", run),
        )
        self._report.raised(job, error)

    def completed(self, run: Run, now: datetime) -> None:
        """A run has completed."""
        elapsed = (now - run.started_at) / timedelta(seconds=1) if run.started_at else 0.0
        self._report.tally.completed += 1
        text = "%s %s completed (%.3f s)"
        self._logger.info(
            text, run.name, run.id, elapsed, extra={**_facts("workflow_completed", run), "elapsed": elapsed}
        )
        if self._plugins.has("workflow_completed"):
            self._plugins.background("workflow_completed", run=run, elapsed=elapsed)

    def failed(self, run: Run) -> None:
        """A run has failed for good, and taken back what it did."""
        error = run.error or Failure("Unknown", run.reason or "")
        self._report.tally.failed += 1
        extra = _facts("workflow_failed", run)
        if run.compensation_failed:
            text = "%s %s failed, and taking back what it did failed too: %s: %s (`dispatch workflow retry %s` goes on)"
            self._logger.error(text, run.name, run.id, error.type, error.message, run.id, extra=extra)
        else:
            self._logger.error("%s %s failed: %s: %s", run.name, run.id, error.type, error.message, extra=extra)
        if self._plugins.has("workflow_failed"):
            self._plugins.background("workflow_failed", run=run, error=error)

    def cancelled(self, run: Run) -> None:
        """A run was cancelled and has taken back what it did."""
        self._report.tally.cancelled += 1
        text = "%s %s was cancelled (%s)"
        self._logger.warning(text, run.name, run.id, run.reason, extra=_facts("workflow_cancelled", run))

    def blocked(self, run: Run, why: str) -> None:
        """What is recorded does not fit the code."""
        self._logger.error(
            "%s@%d %s is blocked: %s. Deploy the code that fits (a worker that starts takes it up again), or see "
            "`dispatch workflow show %s`",
            *(run.name, run.version, run.id, why, run.id),
            extra=_facts("workflow_blocked", run),
        )

    def unvisited(self, run: Run, names: list[str]) -> None:
        """The body has completed without meeting some of what was recorded."""
        text = "%s %s completed without visiting what it had recorded: %s (were those steps removed or renamed?)"
        self._logger.warning(text, run.name, run.id, ", ".join(names), extra=_facts("workflow_unvisited", run))

    def cut_off(self, run: Run, place: str) -> None:
        """A run parks although its body still awaits something else."""
        self._logger.warning(
            "%s %s parks although its body still awaits something that is no verb (%s), which begins anew when the run "
            "wakes; do that in a step",
            *(run.name, run.id, place or "in a branch"),
            extra=_facts("workflow_cut_off", run),
        )

    def swallowed(self, run: Run) -> None:
        """A body does not let go."""
        self._logger.error(
            "%s %s does not let go: an `except:` or `except BaseException:` in its body swallows RunUnwound, or it "
            "awaits something that is no verb of its context; write `except Exception:`",
            *(run.name, run.id),
            extra=_facts("workflow_swallowed", run),
        )


def _facts(event: str, run: Run) -> dict[str, object]:
    return {"event": event, "run_id": str(run.id), "workflow": run.name, "version": run.version}
