"""`dispatch check`: the gate before a deploy."""

from __future__ import annotations

import asyncio
import contextlib
import sys
from typing import TYPE_CHECKING, Annotated, Any

import typer

from dispatch_cli.failures import CHECK, CommandError
from dispatch_cli.progress import progress
from dispatch_cli.render import Column
from dispatch_cli.session import Session, session_of
from dispatch_cli.shell import single

if TYPE_CHECKING:
    from dispatch.registry import Registry
    from dispatch.services.deploy import Concern

_COLUMNS = (
    Column("problem", "problem"),
    Column("name", "name"),
    Column("waiting", "waiting", right=True),
    Column("running", "running", right=True),
    Column("what", "text"),
    Column("advice", "advice"),
)
_ADVICE = {
    "removed": "keep the definition until they are done, or `dispatch job cancel` them; --elsewhere if others serve it",
    "invalid": "keep accepting the old arguments (a default, an alias) until they are done",
    "unserved": "serve the queue with `dispatch run -q`, or name it in [queue.NAME]",
}


@single(
    examples=(
        "dispatch check myapp.tasks --elsewhere odd --elsewhere charge_card",
        "dispatch check myapp.tasks --against sqlite:///dispatch.db --elsewhere odd --json",
    )
)
def app(
    ctx: typer.Context,
    targets: Annotated[
        list[str] | None,
        typer.Argument(metavar="TARGET…", help="The new code's modules; default: `app` as configured."),
    ] = None,
    against: Annotated[
        str | None, typer.Option("--against", metavar="URL", help="The store to look at; default: the configured one.")
    ] = None,
    elsewhere: Annotated[
        list[str] | None, typer.Option("--elsewhere", metavar="NAME", help="A job that another application serves.")
    ] = None,
) -> None:
    """Before a deploy: would this code serve what waits and runs in the store? Exit 9 when it would not.

    It finds jobs of names that are no longer defined, jobs whose arguments no longer fit, and (a warning only) queues
    that no definition serves. It imports the code and reads the store; it runs and writes nothing.
    """
    from dispatch.discovery import discover
    from dispatch_cli.targets import registry_of

    session = session_of(ctx)
    session.out.must_not_be_ids()
    chosen = targets or ([session.config.app] if session.config.app else [])
    if not chosen:
        raise CommandError("which module?", hint="name it: dispatch check myapp.tasks; or set `app` in dispatch.toml")
    url = against or session.config.store
    session.must_exist(url)
    with contextlib.redirect_stdout(sys.stderr):  # stdout holds the answer and nothing else
        registry = registry_of(discover(*chosen).objects)
    seen, concerns = asyncio.run(_look(session, registry, url, elsewhere or []))
    documents = [_document(concern) for concern in concerns]
    dangers = sum(concern.danger for concern in concerns)
    session.out.rows(documents, _COLUMNS, extra={"seen": seen, "dangers": dangers})
    session.tell(f"{seen} waiting and running jobs looked at: {dangers or 'no'} danger{'s' if dangers > 1 else ''}")
    if dangers:
        raise typer.Exit(CHECK)


async def _look(session: Session, registry: Registry, url: str, elsewhere: list[str]) -> tuple[int, list[Concern]]:
    from dispatch import Dispatch
    from dispatch.services.deploy import check_jobs, count_jobs

    queues = Dispatch("memory://", config=session.config, registry=registry).served_queues()
    async with session.bare_store(url) as store:
        with progress(session, "checking", await count_jobs(store)) as advance:
            return await check_jobs(store, registry.jobs, queues=queues, elsewhere=elsewhere, tick=advance)


def _document(concern: Concern) -> dict[str, Any]:
    return {
        "problem": str(concern.problem),
        "danger": concern.danger,
        "name": concern.name,
        "queue": concern.queue,
        "waiting": concern.waiting,
        "running": concern.running,
        "sample": [str(job_id) for job_id in concern.sample],
        "text": concern.text,
        "advice": _ADVICE[concern.problem],
    }
