"""Jobs that are steps of workflow runs: a run records how such a job ended once, and hears of no other end."""

from __future__ import annotations

import shlex

from dispatch.dlq.model import DLQEntry
from dispatch.errors import JobNotRetryable
from dispatch.ids import JobID, RunID
from dispatch.jobs.model import Job, JobState
from dispatch.store import Store


def step_of(effect_key: str) -> tuple[RunID, str] | None:
    """The run and the step that an effect key names; None of the key of any other job."""
    run_id, _, step = effect_key.partition("/")
    try:
        return (RunID.parse(run_id), step) if step else None
    except ValueError:
        return None


def ended_step(job: Job) -> tuple[RunID, str] | None:
    """The run and the step of a job that has ended without a result, which its run has recorded; else None."""
    if job.run_id is None or job.step is None or job.state not in (JobState.FAILED, JobState.CANCELLED):
        return None
    return job.run_id, job.step


def unheard(what: str, verb: str, place: tuple[RunID, str], name: str, *, run_is_kept: bool) -> JobNotRetryable:
    """What refuses to run a step's job again, with the command that helps.

    Args:
        what: the id of the job or of its dead letter.
        verb: what was asked for: "retried", "replayed".
        place: the run and the step.
        name: the job's.
        run_is_kept: whether the run is still in the store.
    """
    run_id, step = place
    refused = f"{what} cannot be {verb}: its job was the step {step!r} of {run_id}"
    if not run_is_kept:
        return JobNotRetryable(f"{refused}, which is gone; `dispatch job enqueue {name}` does the work by itself")
    return JobNotRetryable(
        f"{refused}, which has recorded how that ended and would not hear of another end; "
        f"`dispatch workflow fork {run_id} --from {shlex.quote(step)}` makes a new run that starts the step anew"
    )


def not_retryable(job_id: JobID, state: JobState) -> JobNotRetryable:
    """What refuses to retry a job that is in another state."""
    return JobNotRetryable(f"{job_id} is {state}; only failed, cancelled or retrying jobs can be retried")


async def refuse_retry(store: Store, job: Job | None) -> None:
    """Raises JobNotRetryable of a job whose run has recorded how it ended."""
    if job is not None and (place := ended_step(job)) is not None:
        kept = await store.workflows.get(place[0]) is not None
        raise unheard(job.id, "retried", place, job.name, run_is_kept=kept)


async def refuse_replay(store: Store, entry: DLQEntry) -> None:
    """Raises JobNotRetryable of the dead letter of a job whose run has recorded how it ended."""
    place = step_of(entry.effect_key)
    if place is None:
        return
    job = await store.jobs.get(entry.job_id)
    if job is not None and job.step is None:  # a replay of a step's job, which keeps the key, is no step
        return
    kept = await store.workflows.get(place[0]) is not None
    raise unheard(entry.id, "replayed", place, entry.job_name, run_is_kept=kept)
