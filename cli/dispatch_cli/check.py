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
    "blocked": "put the change into a new version beside this one, until its runs are done",
    "renamed": "keep the old name, or put the change into a new version beside this one",
    "inserted": "put the change into a new version beside this one, unless acting late is right",
    "dropped": "nothing, unless its undo may be needed: then keep the step until they are done",
    "fails": "make the body accept what they have recorded",
}
_GONE = "keep that version until they are done, `dispatch workflow migrate` them; --elsewhere if others serve it"


@single(
    local="it compares the code here with what waits in a store: name that by --against",
    storeless=True,
    examples=(
        "dispatch check myapp.tasks --elsewhere odd --elsewhere charge_card",
        "dispatch check myapp.tasks --against sqlite:///dispatch.db --elsewhere odd --json",
    ),
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
        list[str] | None,
        typer.Option("--elsewhere", metavar="NAME", help="A job or workflow that another application serves."),
    ] = None,
) -> None:
    """Before a deploy: would this code serve what waits and runs in the store? Exit 9 when it would not.

    It finds jobs of names that are no longer defined, jobs whose arguments no longer fit, and (a warning only) queues
    that no definition serves. It replays each unfinished workflow run against the new bodies, as far as that has
    recorded something: a version that is gone, a record of another kind (the run would be blocked), a step that was
    renamed (it would be done again) or inserted before what is done, and (a warning only) one that is gone.

    It imports the code, runs workflow bodies without their steps, and reads the store; it writes nothing.
    """
    from dispatch.discovery import discover
    from dispatch_cli.targets import registry_of

    session = session_of(ctx)
    session.out.must_not_be_ids()
    chosen = targets or ([session.config.app] if session.config.app else [])
    if not chosen:
        raise CommandError("which module?", hint="name it: dispatch check myapp.tasks; or set `app` in dispatch.toml")
    if against is None:
        session.must_have_store()
    session.must_exist(against)
    with contextlib.redirect_stdout(sys.stderr):  # stdout holds the answer and nothing else
        registry = registry_of(discover(*chosen).objects)
    seen, runs, concerns = asyncio.run(_look(session, registry, against, elsewhere or []))
    documents = [_document(concern) for concern in concerns]
    dangers = sum(concern.danger for concern in concerns)
    session.out.rows(documents, _COLUMNS, extra={"seen": seen, "runs": runs, "dangers": dangers})
    what = f"{seen} waiting and running jobs{f' and {runs} unfinished runs' if runs else ''}"
    session.tell(f"{what} looked at: {dangers or 'no'} danger{'s' if dangers > 1 else ''}")
    if dangers:
        raise typer.Exit(CHECK)


async def _look(
    session: Session, registry: Registry, url: str | None, elsewhere: list[str]
) -> tuple[int, int, list[Concern]]:
    from dispatch import Config, Dispatch
    from dispatch.current import using_app
    from dispatch.engine.runs.deploy import check_runs, count_runs
    from dispatch.services.deploy import by_weight, check_jobs, count_jobs

    queues = Dispatch("memory://", config=session.config, registry=registry).served_queues()
    handles = Dispatch("memory://", config=Config(), registry=registry)
    async with handles, session.bare_store(url) as store:
        with progress(session, "checking", await count_jobs(store) + await count_runs(store)) as advance:
            seen, jobs = await check_jobs(store, registry.jobs, queues=queues, elsewhere=elsewhere, tick=advance)
            with using_app(handles):
                runs, found = await check_runs(
                    store, registry.workflows, queues=queues, elsewhere=elsewhere, tick=advance
                )
            return seen, runs, by_weight([*jobs, *found])


def _document(concern: Concern) -> dict[str, Any]:
    return {
        "problem": str(concern.problem),
        "danger": concern.danger,
        "name": concern.name,
        "queue": concern.queue,
        "waiting": concern.waiting,
        "running": concern.running,
        "step": concern.step or None,
        "sample": [str(one) for one in concern.sample],
        "text": concern.text,
        "advice": _GONE if concern.problem == "removed" and "@" in concern.name else _ADVICE[concern.problem],
    }
