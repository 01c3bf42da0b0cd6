"""`dispatch job result`, and how a result is awaited and printed wherever a command waits for one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from dispatch_cli.choices import duration, one_id
from dispatch_cli.failures import TIMED_OUT, CommandError
from dispatch_cli.job.base import EXAMPLE, OneID, app
from dispatch_cli.session import Session, session_of
from dispatch_cli.shell import verb

if TYPE_CHECKING:
    from dispatch.jobs.model import Job
    from dispatch_cli.admin import Admin

Wait = Annotated[bool, typer.Option("--wait", "-w", help="Wait until the job has ended, and print its result.")]
Timeout = Annotated[
    str | None, typer.Option("--timeout", metavar="DURATION", help="Wait at most so long (10s, 5m); exit 8 after that.")
]


@verb(
    app,
    "result",
    examples=(f"dispatch job result {EXAMPLE}", f"dispatch job result {EXAMPLE} --timeout 10s"),
)
def result(ctx: typer.Context, id_: OneID, wait: Wait = False, timeout: Timeout = None) -> None:
    """Print a job's result as JSON. Exit 1 when it failed or was cancelled, 8 when it has not ended."""
    from dispatch.ids import JobID

    session = session_of(ctx)
    session.out.must_not_be_ids()
    job_id = one_id(JobID, id_)
    limit = duration("--timeout", timeout)

    async def look(app: Admin) -> Job:
        if wait or timeout is not None:
            return await app.jobs.wait(job_id, timeout=limit)
        return await app.jobs.get(job_id)

    print_result(session, session.administer(look))


def print_result(session: Session, job: Job) -> None:
    """Prints what the job returned; raises JobFailed and its kin, or exit 8 when it has not ended."""
    from dispatch.jobs.handle import outcome_of

    if not job.state.terminal:
        raise CommandError(
            f"{job.name} ({job.id}) has not ended: it is {job.state}",
            code="not_finished",
            exit_code=TIMED_OUT,
            hint=f"--wait or --timeout 10s wait for it; `dispatch job explain {job.id}` says why it does not run",
        )
    session.out.json(outcome_of(job))
