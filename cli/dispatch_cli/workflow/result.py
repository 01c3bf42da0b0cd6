"""`dispatch workflow result`, and how the end of a run is awaited and printed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from dispatch_cli.choices import duration, one_id
from dispatch_cli.failures import TIMED_OUT, CommandError
from dispatch_cli.session import Session, session_of
from dispatch_cli.shell import verb
from dispatch_cli.workflow.base import EXAMPLE, OneRun, app

if TYPE_CHECKING:
    from dispatch.workflows.model import Run
    from dispatch_cli.admin import Admin

Wait = Annotated[bool, typer.Option("--wait", "-w", help="Wait until the run has ended, and print its result.")]
Timeout = Annotated[
    str | None, typer.Option("--timeout", metavar="DURATION", help="Wait at most so long (10s, 5m); exit 8 after that.")
]


@verb(
    app,
    "result",
    examples=(f"dispatch workflow result {EXAMPLE}", f"dispatch workflow result {EXAMPLE} --timeout 10s"),
)
def result(ctx: typer.Context, id_: OneRun, wait: Wait = False, timeout: Timeout = None) -> None:
    """Print a run's result as JSON. Exit 1 when it failed or was cancelled, 8 when it has not ended."""
    from dispatch.ids import RunID

    session = session_of(ctx)
    session.out.must_not_be_ids()
    run_id = one_id(RunID, id_)
    limit = duration("--timeout", timeout)

    async def look(app: Admin) -> Run:
        if wait or timeout is not None:
            return await app.workflows.wait(run_id, timeout=limit)
        return await app.workflows.get(run_id)

    print_result(session, session.administer(look))


def print_result(session: Session, run: Run) -> None:
    """Prints what the run returned; raises RunFailed and its kin, or exit 8 when it has not ended."""
    from dispatch.workflows.handle import outcome_of_run

    if not run.state.terminal:
        raise CommandError(
            f"{run.name} ({run.id}) has not ended: it is {run.state}",
            code="not_finished",
            exit_code=TIMED_OUT,
            hint=f"--wait or --timeout 10s wait for it; `dispatch workflow show {run.id}` says what it waits for",
        )
    session.out.json(outcome_of_run(run))
