"""`dispatch worker drain`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from dispatch_cli import complete
from dispatch_cli.bulk import Outcomes, each, finish
from dispatch_cli.choices import many_ids
from dispatch_cli.consent import Confirm, DryRun, Reason, Yes, ask, leave_record
from dispatch_cli.failures import CommandError
from dispatch_cli.session import session_of
from dispatch_cli.shell import verb
from dispatch_cli.worker.base import EXAMPLE, app

if TYPE_CHECKING:
    from dispatch import Dispatch
    from dispatch.ids import WorkerID


@verb(
    app,
    "drain",
    examples=(f"dispatch worker drain {EXAMPLE} --dry-run", "dispatch worker drain --all --yes --reason 'new version'"),
)
def drain(
    ctx: typer.Context,
    ids: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="ID…", help="The workers' ids; - reads them from standard input.", autocompletion=complete.workers
        ),
    ] = None,
    every: Annotated[bool, typer.Option("--all", help="All that are alive; asks first.")] = False,
    reason: Reason = "",
    yes: Yes = False,
    confirm: Confirm = None,
    dry_run: DryRun = False,
) -> None:
    """Ask workers to claim nothing more, finish what runs, and end. They see it at their next beat."""
    from dispatch.errors import WorkerStopped
    from dispatch.ids import WorkerID

    session = session_of(ctx)
    if bool(ids) == every:
        raise CommandError("which workers?", hint="name their ids, or - for those on standard input, or --all")
    given = many_ids(WorkerID, ids or ())

    async def one_of(app: Dispatch, worker_id: WorkerID, outcomes: Outcomes) -> None:
        worker = await app.workers.get(worker_id)
        if worker.state == "dead":
            raise WorkerStopped(f"{worker_id} has stopped or lost touch; `dispatch worker list` shows who is alive")
        if not dry_run:
            await app.workers.drain(worker_id)
        detail = f"{worker.running} of its jobs run"
        outcomes.add(worker_id, "would be asked to drain" if dry_run else "asked to drain", detail)

    async def act(app: Dispatch) -> Outcomes:
        chosen = [worker.id for worker in await app.workers.list(live=True)] if every else given
        if chosen and not dry_run:
            count = f"{len(chosen)} worker{'s' if len(chosen) > 1 else ''}"
            ask(session, f"drain {count}", yes=yes, confirm=confirm, many=every or len(chosen) > 1)
        outcomes = await each(chosen, lambda worker_id, all_: one_of(app, worker_id, all_))
        if outcomes.done and not dry_run:
            await leave_record(app, "worker.drain", outcomes.done, reason=reason)
        return outcomes

    finish(session, session.on_app(act), empty="no worker is alive, so nothing was done")
