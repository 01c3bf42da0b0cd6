"""`dispatch workflow cancel | retry | migrate`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from dispatch_cli.bulk import Outcomes
from dispatch_cli.change import Change, Named, carry_out
from dispatch_cli.choices import many_ids
from dispatch_cli.consent import Confirm, DryRun, Reason, Yes
from dispatch_cli.session import session_of
from dispatch_cli.shell import verb
from dispatch_cli.workflow.base import EXAMPLE, SomeRuns, app

if TYPE_CHECKING:
    from dispatch.ids import RunID
    from dispatch_cli.admin import Admin


@verb(
    app,
    "cancel",
    examples=(f"dispatch workflow cancel {EXAMPLE}", f"dispatch workflow cancel {EXAMPLE} --dry-run"),
)
def cancel(
    ctx: typer.Context,
    ids: SomeRuns,
    reason: Reason = "",
    yes: Yes = False,
    confirm: Confirm = None,
    dry_run: DryRun = False,
) -> None:
    """Cancel runs; each takes back what it did before it ends."""
    from dispatch.errors import RunEnded
    from dispatch.ids import RunID
    from dispatch.workflows.model import RunState

    async def act(app: Admin, run_id: RunID, outcomes: Outcomes) -> None:
        state = await app.workflows.cancel(run_id, reason=reason or "cancelled")
        running = state is RunState.RUNNING
        outcomes.add(run_id, "requested" if running else "cancelled", f"it is {state} now", state=str(state))

    async def rehearse(app: Admin, run_id: RunID, outcomes: Outcomes) -> None:
        run = await app.workflows.get(run_id)
        if run.state.terminal or run.state is RunState.COMPENSATING:
            raise RunEnded(f"{run_id} is {run.state} already")
        outcomes.add(run_id, "would be cancelled", f"it is {run.state} now", state=str(run.state))

    change = Change(
        "workflow.cancel", "run", "cancelling", act, rehearse, "cancel {}, which take back what they did", False
    )
    carry_out(
        session_of(ctx),
        change,
        Named(many_ids(RunID, ids)),
        reason=reason,
        yes=yes,
        confirm=confirm,
        dry_run=dry_run,
    )


@verb(app, "retry", examples=(f"dispatch workflow retry {EXAMPLE}", f"dispatch workflow retry {EXAMPLE} --dry-run"))
def retry(ctx: typer.Context, ids: SomeRuns, reason: Reason = "", dry_run: DryRun = False) -> None:
    """Let failed, cancelled or blocked runs go on from what they have recorded."""
    from dispatch.errors import RunNotRetryable
    from dispatch.ids import RunID
    from dispatch.services.recorded import would_end_again
    from dispatch.workflows.model import RunState

    async def act(app: Admin, run_id: RunID, outcomes: Outcomes) -> None:
        state = await app.workflows.retry(run_id)
        outcomes.add(run_id, "retried", f"it is {state} now", state=str(state))

    async def rehearse(app: Admin, run_id: RunID, outcomes: Outcomes) -> None:
        run = await app.workflows.get(run_id)
        undone = run.compensated and not run.compensation_failed
        if run.state not in (RunState.FAILED, RunState.CANCELLED, RunState.BLOCKED) or undone:
            raise RunNotRetryable(f"{run_id} is {run.state}" + (" and has taken back what it did" if undone else ""))
        if told := await would_end_again(run, app.workflows):
            raise RunNotRetryable(f"{run_id} is {run.state} and cannot be retried: {told}")
        outcomes.add(run_id, "would be retried", f"it is {run.state} now", state=str(run.state))

    change = Change("workflow.retry", "run", "retrying", act, rehearse)
    carry_out(session_of(ctx), change, Named(many_ids(RunID, ids)), reason=reason, dry_run=dry_run)


@verb(app, "migrate", examples=(f"dispatch workflow migrate {EXAMPLE} --to-version 3 --dry-run",))
def migrate(
    ctx: typer.Context,
    ids: SomeRuns,
    to_version: Annotated[int, typer.Option("--to-version", metavar="N", help="The version to go on with.")],
    reason: Reason = "",
    dry_run: DryRun = False,
) -> None:
    """Move runs that have not ended to another version of their workflow; what they recorded stays."""
    from dispatch.errors import RunEnded
    from dispatch.ids import RunID

    async def act(app: Admin, run_id: RunID, outcomes: Outcomes) -> None:
        state = await app.workflows.migrate(run_id, version=to_version)
        outcomes.add(run_id, "migrated", f"it is {state} now", state=str(state))

    async def rehearse(app: Admin, run_id: RunID, outcomes: Outcomes) -> None:
        run = await app.workflows.get(run_id)
        if run.state.terminal:
            raise RunEnded(f"{run_id} is {run.state}; only runs that have not ended can be migrated")
        outcomes.add(run_id, "would be migrated", f"from version {run.version}", state=str(run.state))

    change = Change("workflow.migrate", "run", "migrating", act, rehearse)
    carry_out(session_of(ctx), change, Named(many_ids(RunID, ids)), reason=reason, dry_run=dry_run)
