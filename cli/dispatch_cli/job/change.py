"""`dispatch job retry | cancel | delete`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import typer

from dispatch_cli.bulk import Outcomes, each, finish
from dispatch_cli.choices import many_ids
from dispatch_cli.consent import Confirm, DryRun, Reason, Yes, ask, leave_record
from dispatch_cli.job.base import EXAMPLE, ManyIDs, app
from dispatch_cli.session import session_of
from dispatch_cli.shell import verb

if TYPE_CHECKING:
    from dispatch import Dispatch
    from dispatch.ids import JobID

_NOTHING = "no ids were given, so nothing was done"


@verb(
    app,
    "retry",
    examples=(
        f"dispatch job retry {EXAMPLE} --dry-run",
        "dispatch job list --state failed -o ids | dispatch job retry -",
    ),
)
def retry(ctx: typer.Context, ids: ManyIDs, dry_run: DryRun = False) -> None:
    """Run failed or cancelled jobs again as the same rows; a job that waits for its next attempt is due now."""
    from dispatch.ids import JobID

    session = session_of(ctx)
    chosen = many_ids(JobID, ids)

    async def act(app: Dispatch) -> Outcomes:
        async def one(job_id: JobID, outcomes: Outcomes) -> None:
            state = await (_could_retry(app, job_id) if dry_run else app.jobs.retry(job_id))
            outcomes.add(job_id, "would be retried" if dry_run else "retried", str(state), state=str(state))

        return await each(chosen, one)

    finish(session, session.on_app(act), empty=_NOTHING)


@verb(
    app,
    "cancel",
    examples=(
        f"dispatch job cancel {EXAMPLE} --dry-run",
        "dispatch job list -s pending -o ids | dispatch job cancel - --yes",
    ),
)
def cancel(
    ctx: typer.Context,
    ids: ManyIDs,
    reason: Reason = "cancelled",
    yes: Yes = False,
    confirm: Confirm = None,
    dry_run: DryRun = False,
) -> None:
    """Cancel jobs: at once when they wait, by request when they run. Asks when it is more than one."""
    from dispatch.ids import JobID

    session = session_of(ctx)
    chosen = many_ids(JobID, ids)
    if chosen and not dry_run:
        ask(session, f"cancel {_jobs(len(chosen))}", yes=yes, confirm=confirm, many=len(chosen) > 1)

    async def act(app: Dispatch) -> Outcomes:
        async def one(job_id: JobID, outcomes: Outcomes) -> None:
            state = await (_could_cancel(app, job_id) if dry_run else app.jobs.cancel(job_id, reason=reason))
            outcome = "cancelled" if state == "cancelled" else "asked to stop"
            detail = "" if state == "cancelled" else "it runs; its worker cancels it at the next beat"
            outcomes.add(job_id, f"would be {outcome}" if dry_run else outcome, detail, state=str(state))

        outcomes = await each(chosen, one)
        if outcomes.done and not dry_run:
            await leave_record(app, "job.cancel", outcomes.done, reason=reason)
        return outcomes

    finish(session, session.on_app(act), empty=_NOTHING)


@verb(
    app,
    "delete",
    examples=(
        f"dispatch job delete {EXAMPLE} --dry-run",
        "dispatch job list -s cancelled -o ids | dispatch job delete - --yes",
    ),
)
def delete(
    ctx: typer.Context,
    ids: ManyIDs,
    reason: Reason = "",
    yes: Yes = False,
    confirm: Confirm = None,
    dry_run: DryRun = False,
) -> None:
    """Delete jobs that do not run, with results and attempts, for good; dead letters stay. Asks first."""
    from dispatch.ids import JobID

    session = session_of(ctx)
    chosen = many_ids(JobID, ids)
    if chosen and not dry_run:
        ask(session, f"delete {_jobs(len(chosen))} for good", yes=yes, confirm=confirm)

    async def act(app: Dispatch) -> Outcomes:
        async def one(job_id: JobID, outcomes: Outcomes) -> None:
            await (_must_not_run(app, job_id) if dry_run else app.jobs.delete(job_id))
            outcomes.add(job_id, "would be deleted" if dry_run else "deleted")

        outcomes = await each(chosen, one)
        if outcomes.done and not dry_run:
            await leave_record(app, "job.delete", outcomes.done, reason=reason)
        return outcomes

    finish(session, session.on_app(act), empty=_NOTHING)


async def _could_retry(app: Dispatch, job_id: JobID) -> str:
    """The state a retry would lead to; raises what a retry would raise."""
    from dispatch.errors import JobAlreadyComplete, JobNotRetryable
    from dispatch.jobs.model import JobState

    job = await app.jobs.get(job_id)
    match job.state:
        case JobState.COMPLETED:
            raise JobAlreadyComplete(f"{job_id} has completed; enqueue a new job to run it again")
        case JobState.PENDING | JobState.RUNNING:
            raise JobNotRetryable(f"{job_id} is {job.state}; only failed, cancelled or retrying jobs can be retried")
        case JobState.RETRYING:
            return "retrying"
        case _:
            return "pending"


async def _could_cancel(app: Dispatch, job_id: JobID) -> str:
    """The state a cancel would lead to; raises what a cancel would raise."""
    from dispatch.errors import JobAlreadyComplete, JobNotCancellable
    from dispatch.jobs.model import JobState

    job = await app.jobs.get(job_id)
    if job.state is JobState.COMPLETED:
        raise JobAlreadyComplete(f"{job_id} has completed; there is nothing to cancel")
    if job.state.terminal:
        raise JobNotCancellable(f"{job_id} is {job.state} already; `dispatch job show {job_id}` tells why")
    return "running" if job.state is JobState.RUNNING else "cancelled"


async def _must_not_run(app: Dispatch, job_id: JobID) -> None:
    """Raises what a deletion would raise."""
    from dispatch.jobs.model import JobState
    from dispatch.services.jobs import running_not_deletable

    if (await app.jobs.get(job_id)).state is JobState.RUNNING:
        raise running_not_deletable(job_id)


def _jobs(count: int) -> str:
    return f"{count} job" if count == 1 else f"{count} jobs"
