"""`dispatch workflow fork`: a new run that begins with what another has recorded."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated, Any

import typer

from dispatch_cli.choices import one_id
from dispatch_cli.consent import DryRun
from dispatch_cli.failures import CommandError
from dispatch_cli.session import session_of
from dispatch_cli.shell import verb
from dispatch_cli.workflow.base import EXAMPLE, OneRun, app

if TYPE_CHECKING:
    from dispatch.workflows.model import Run
    from dispatch_cli.admin import Admin


@verb(
    app,
    "fork",
    examples=(
        f"dispatch workflow fork {EXAMPLE} --from ship",
        f"dispatch workflow fork {EXAMPLE} --from ship --set charge.amount=5 --dry-run",
        f"dispatch workflow fork {EXAMPLE} --from ship --undo-inherited",
    ),
)
def fork(
    ctx: typer.Context,
    id_: OneRun,
    before: Annotated[
        str,
        typer.Option(
            "--from", metavar="STEP", help="The step to go on with, or the one that failed; what came before is copied."
        ),
    ],
    edits: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="STEP.PATH=JSON", help="Start with another result of a copied step, or a part."),
    ] = None,
    force: Annotated[
        bool, typer.Option("--force", help="Let --set add a field that the recorded result does not have.")
    ] = False,
    undo_inherited: Annotated[
        bool, typer.Option("--undo-inherited", help="Take back the copied steps, too, when the new run fails.")
    ] = False,
    dry_run: DryRun = False,
) -> None:
    """Start a new run with what a run recorded before a step, to go on from there; prints its id."""
    from dispatch.documents.runs import run_summary
    from dispatch.ids import RunID
    from dispatch.services.forks import edited, inherited

    session = session_of(ctx)
    run_id = one_id(RunID, id_)
    chosen = dict(_edit(text) for text in edits or ())
    if force and not chosen:
        raise CommandError("--force lets --set add a field: there is no --set")

    async def act(app: Admin) -> Run | None:
        if dry_run:
            start = inherited(await app.workflows.get(run_id), await app.workflows.timeline(run_id), before)
            changed = edited(start, chosen, force=force)
            shown = ", ".join(f"{name} (edited)" if name in changed else name for name in start.copied) or "nothing"
            session.tell(f"nothing was written; a new run would begin with: {shown}")
            return None
        created = await app.workflows.fork(
            run_id, before=before, edits=chosen, force=force, undo_inherited=undo_inherited
        )
        return await app.workflows.get(created.id)

    run = session.administer(act)
    if run is None:
        return
    if session.out.format == "table":
        session.tell(f"forked {run.name} version {run.version} before {before!r}")
        session.out.write(f"{run.id}\n")
    else:
        session.out.record(run_summary(run), fields=())


def _edit(text: str) -> tuple[str, Any]:
    path, separator, value = text.partition("=")
    if not separator or not path:
        raise CommandError(f"--set {text!r} is no edit", hint="write STEP=json or STEP.path=json: charge.amount=5")
    try:
        return path, json.loads(value)
    except ValueError as error:
        raise CommandError(
            f"--set {text!r}: the value is not JSON: {error}", hint=f"text is written {path}='\"{value}\"'"
        ) from None
