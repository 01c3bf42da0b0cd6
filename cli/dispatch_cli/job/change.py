"""`dispatch job retry | cancel | delete`: of the jobs named, or of all that match the filters of `job list`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from dispatch_cli import complete
from dispatch_cli.bulk import Outcomes
from dispatch_cli.change import Change, Chosen, Named, carry_out
from dispatch_cli.choices import in_words, many_ids
from dispatch_cli.consent import Confirm, DryRun, Reason, Yes
from dispatch_cli.failures import CommandError
from dispatch_cli.job.base import EXAMPLE, app
from dispatch_cli.job.filters import (
    Names,
    Queues,
    Selection,
    Since,
    States,
    Tags,
    Until,
    filters_of,
    states_among,
)
from dispatch_cli.session import session_of
from dispatch_cli.shell import verb

if TYPE_CHECKING:
    from dispatch.ids import JobID, RunID
    from dispatch_cli.admin import Admin

SomeIDs = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="ID…", help="The jobs' ids; - reads them from standard input.", autocompletion=complete.jobs
    ),
]


@verb(
    app,
    "retry",
    examples=(
        f"dispatch job retry {EXAMPLE} --dry-run",
        "dispatch job list --state failed -o ids | dispatch job retry -",
        "dispatch job retry --state failed --name add --since 2h --yes",
    ),
)
def retry(
    ctx: typer.Context,
    ids: SomeIDs = None,
    state: States = None,
    queue: Queues = None,
    name: Names = None,
    tag: Tags = None,
    since: Since = None,
    until: Until = None,
    reason: Reason = "",
    yes: Yes = False,
    confirm: Confirm = None,
    dry_run: DryRun = False,
) -> None:
    """Run failed or cancelled jobs again as the same rows; a job that waits for its next attempt is due now. Asks
    when they are chosen by filters."""
    chosen = _chosen(ids, ("failed", "cancelled", "retrying"), "retried", state, queue, name, tag, since, until)

    async def act(app: Admin, job_id: JobID, outcomes: Outcomes) -> None:
        now = await app.jobs.retry(job_id)
        outcomes.add(job_id, "retried", str(now), state=str(now))

    async def rehearse(app: Admin, job_id: JobID, outcomes: Outcomes) -> None:
        then = await _could_retry(app, job_id)
        outcomes.add(job_id, "would be retried", then, state=then)

    asks = "" if isinstance(chosen, Named) else "retry {}"
    change = Change("job.retry", "job", "retrying", act, rehearse, asks)
    carry_out(session_of(ctx), change, chosen, reason=reason, yes=yes, confirm=confirm, dry_run=dry_run)


@verb(
    app,
    "cancel",
    examples=(
        f"dispatch job cancel {EXAMPLE} --dry-run",
        "dispatch job list -s pending -o ids | dispatch job cancel - --yes",
        "dispatch job cancel --queue mailers --state pending --dry-run",
    ),
)
def cancel(
    ctx: typer.Context,
    ids: SomeIDs = None,
    state: States = None,
    queue: Queues = None,
    name: Names = None,
    tag: Tags = None,
    since: Since = None,
    until: Until = None,
    reason: Reason = "cancelled",
    yes: Yes = False,
    confirm: Confirm = None,
    dry_run: DryRun = False,
) -> None:
    """Cancel jobs: at once when they wait, by request when they run. Asks when it is more than one."""
    from dispatch.errors import DispatchError

    chosen = _chosen(ids, ("pending", "running", "retrying"), "cancelled", state, queue, name, tag, since, until)

    async def act(app: Admin, job_id: JobID, outcomes: Outcomes) -> None:
        _tell_cancelled(outcomes, job_id, str(await app.jobs.cancel(job_id, reason=reason)), "")

    async def act_on_many(app: Admin, job_ids: Sequence[JobID], outcomes: Outcomes) -> None:
        answers = await app.jobs.cancel_many(job_ids, reason=reason)
        for job_id, answer in zip(job_ids, answers, strict=True):
            if isinstance(answer, DispatchError):
                outcomes.add_failure(job_id, answer)
            else:
                _tell_cancelled(outcomes, job_id, str(answer), "")

    async def rehearse(app: Admin, job_id: JobID, outcomes: Outcomes) -> None:
        _tell_cancelled(outcomes, job_id, await _could_cancel(app, job_id), "would be ")

    change = Change(
        "job.cancel",
        "job",
        "cancelling",
        act,
        rehearse,
        "cancel {}",
        asks_for_one=False,
        act_on_many=act_on_many,
    )
    carry_out(session_of(ctx), change, chosen, reason=reason, yes=yes, confirm=confirm, dry_run=dry_run)


@verb(
    app,
    "delete",
    examples=(
        f"dispatch job delete {EXAMPLE} --dry-run",
        "dispatch job list -s cancelled -o ids | dispatch job delete - --yes",
        "dispatch job delete --state cancelled --until 30d --yes",
    ),
)
def delete(
    ctx: typer.Context,
    ids: SomeIDs = None,
    state: States = None,
    queue: Queues = None,
    name: Names = None,
    tag: Tags = None,
    since: Since = None,
    until: Until = None,
    reason: Reason = "",
    yes: Yes = False,
    confirm: Confirm = None,
    dry_run: DryRun = False,
) -> None:
    """Delete jobs that do not run, with results and attempts, for good; dead letters stay. Asks first."""
    from dispatch.jobs.model import JobState

    possible = ("pending", "retrying", "completed", "failed", "cancelled")
    chosen = _chosen(ids, possible, "deleted", state, queue, name, tag, since, until)

    # those that match are deleted while they do: one that was retried meanwhile waits for work that is wanted
    states = None if isinstance(chosen, Named) else [JobState(word) for word in state or possible]

    async def act(app: Admin, job_id: JobID, outcomes: Outcomes) -> None:
        await app.jobs.delete(job_id, states=states)
        outcomes.add(job_id, "deleted")

    async def rehearse(app: Admin, job_id: JobID, outcomes: Outcomes) -> None:
        await _must_be_deletable(app, job_id)
        outcomes.add(job_id, "would be deleted")

    change = Change("job.delete", "job", "deleting", act, rehearse, "delete {} for good")
    carry_out(session_of(ctx), change, chosen, reason=reason, yes=yes, confirm=confirm, dry_run=dry_run)


def _chosen(
    ids: list[str] | None,
    possible: tuple[str, ...],
    verb: str,
    state: list[str] | None,
    queue: list[str] | None,
    name: list[str] | None,
    tag: list[str] | None,
    since: str | None,
    until: str | None,
) -> Chosen[JobID]:
    """The jobs named, or those that match; a usage error for both and for neither."""
    from dispatch.ids import JobID

    filtered = any((state, queue, name, tag, since, until))
    if ids is not None and filtered:
        raise CommandError("--state, --queue, --name, --tag, --since and --until choose jobs; ids are already chosen")
    if ids is not None:
        return Named(many_ids(JobID, ids))
    if not filtered:
        raise CommandError(
            "which jobs?", hint="name their ids, or - for those on standard input, or filters: --state failed"
        )
    states = states_among(state, possible, verb)
    options = filters_of(states, queue=queue, name=name, tag=tag, since=since, until=until)
    return Selection(options, in_words(state=states, queue=queue, name=name, tag=tag, since=since, until=until))


def _tell_cancelled(outcomes: Outcomes, job_id: JobID, state: str, prefix: str) -> None:
    outcome = "cancelled" if state == "cancelled" else "asked to stop"
    detail = "" if state == "cancelled" else "it runs; its worker cancels it at the next beat"
    outcomes.add(job_id, prefix + outcome, detail, state=state)


async def _could_retry(app: Admin, job_id: JobID) -> str:
    """The state a retry would lead to; raises what a retry would raise."""
    from dispatch.errors import JobAlreadyComplete, JobNotRetryable
    from dispatch.jobs.model import JobState
    from dispatch.services.drivers import drives
    from dispatch.services.step_jobs import ended_step, not_retryable, unheard

    job = await app.jobs.get(job_id)
    if job.state is not JobState.COMPLETED and (told := drives(job, "retry")):
        raise JobNotRetryable(told)
    match job.state:
        case JobState.COMPLETED:
            raise JobAlreadyComplete(f"{job_id} has completed; enqueue a new job to run it again")
        case JobState.PENDING | JobState.RUNNING:
            raise not_retryable(job_id, job.state)
        case JobState.RETRYING:
            return "retrying"
        case _:
            if (place := ended_step(job)) is not None:
                raise unheard(job_id, "retried", place, job.name, run_is_kept=await _is_kept(app, place[0]))
            return "pending"


async def _is_kept(app: Admin, run_id: RunID) -> bool:
    from dispatch.errors import RunNotFound

    try:
        await app.workflows.get(run_id)
    except RunNotFound:
        return False
    return True


async def _could_cancel(app: Admin, job_id: JobID) -> str:
    """The state a cancel would lead to; raises what a cancel would raise."""
    from dispatch.errors import JobAlreadyComplete, JobNotCancellable
    from dispatch.jobs.model import JobState
    from dispatch.services.drivers import drives

    job = await app.jobs.get(job_id)
    if not job.state.terminal and (told := drives(job, "cancel")):
        raise JobNotCancellable(told)
    if job.state is JobState.COMPLETED:
        raise JobAlreadyComplete(f"{job_id} has completed; there is nothing to cancel")
    if job.state.terminal:
        raise JobNotCancellable(f"{job_id} is {job.state} already; `dispatch job show {job_id}` tells why")
    return "running" if job.state is JobState.RUNNING else "cancelled"


async def _must_be_deletable(app: Admin, job_id: JobID) -> None:
    """Raises what a deletion would raise."""
    from dispatch.errors import JobNotDeletable
    from dispatch.jobs.model import JobState
    from dispatch.services.drivers import drives
    from dispatch.services.jobs import running_not_deletable

    job = await app.jobs.get(job_id)
    if told := drives(job, "delete"):
        raise JobNotDeletable(told)
    if job.state is JobState.RUNNING:
        raise running_not_deletable(job_id)
