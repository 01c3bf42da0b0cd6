"""`dispatch workflow list | show | diff`."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated, Any

import typer

from dispatch_cli import complete
from dispatch_cli.choices import one_id, page_cursor, words_among
from dispatch_cli.failures import CommandError
from dispatch_cli.render import Column
from dispatch_cli.session import session_of
from dispatch_cli.shell import verb
from dispatch_cli.workflow.base import ACTIVE, COLUMNS, EXAMPLE, OTHER, STATES, OneRun, app

if TYPE_CHECKING:
    from dispatch.workflows.model import Run
    from dispatch_cli.admin import Admin

_SHOWN = (
    *("id", "name", "version", "state", "reason", "queue", "created_at", "started_at", "finished_at", "wakes_at"),
    "held_up",
    *("parent", "step", "forked_from", "checkpoints", "compensated", "compensation_failed", "tags", "scope"),
    *("metadata", "driver"),
)


@verb(
    app,
    "list",
    examples=(
        "dispatch workflow list",
        "dispatch workflow list --name checkout --version 1 --active",
        "dispatch workflow list --state blocked,failed -o ids",
    ),
)
def list_runs(
    ctx: typer.Context,
    state: Annotated[
        list[str] | None,
        typer.Option(
            "--state",
            "-s",
            metavar="STATE",
            help="Those in these states.",
            autocompletion=complete.words_of(STATES),
        ),
    ] = None,
    active: Annotated[bool, typer.Option("--active", help="Those that have not ended.")] = False,
    name: Annotated[
        list[str] | None,
        typer.Option("--name", "-n", metavar="NAME", help="Of these workflows.", autocompletion=complete.workflows),
    ] = None,
    version: Annotated[int | None, typer.Option("--version", metavar="N", help="Of this version.")] = None,
    parent: Annotated[str | None, typer.Option("--parent", metavar="RUN", help="Children of this run.")] = None,
    limit: Annotated[int, typer.Option("--limit", min=1, max=500, metavar="N", help="At most so many.")] = 50,
    cursor: Annotated[str | None, typer.Option("--cursor", metavar="TEXT", help="Where the page before ended.")] = None,
) -> None:
    """List runs, newest first."""
    from dispatch.ids import RunID
    from dispatch.workflows.model import ListOptions, RunState

    session = session_of(ctx)
    if state and active:
        raise CommandError("--active stands for several states: leave out --state, or --active")
    words = ACTIVE if active else words_among("state", state or (), STATES)
    options = ListOptions(
        states=[RunState(word) for word in words],
        names=name or (),
        version=version,
        parent=one_id(RunID, parent) if parent is not None else None,
        limit=limit,
        cursor=page_cursor(RunID, cursor),
    )
    page = session.administer(lambda app: app.workflows.list(options))
    rows = [_row(run) for run in page.items]
    session.out.rows(rows, COLUMNS, empty="no runs match", extra={"next_cursor": page.next_cursor})
    if page.next_cursor is not None and session.out.format == "table":
        session.tell(f"there are more: --cursor {page.next_cursor}")


def _row(run: Run) -> dict[str, Any]:
    from dispatch.documents.runs import run_summary

    return {**run_summary(run), "why": run.error.type if run.error and run.state != "completed" else run.reason}


@verb(app, "show", examples=(f"dispatch workflow show {EXAMPLE}", f"dispatch workflow show {EXAMPLE} --json"))
def show(ctx: typer.Context, id_: OneRun) -> None:
    """Show a run: where it stands, what it waits for, its input, result and children."""
    from dispatch.documents.runs import run_document
    from dispatch.ids import RunID

    session = session_of(ctx)
    run_id = one_id(RunID, id_)

    async def look(app: Admin) -> dict[str, Any]:
        workflows = app.workflows
        run = await workflows.get(run_id)
        document = run_document(
            run,
            await workflows.timeline(run_id),
            await workflows.waits(run_id),
            await workflows.children(run_id),
            held_up=await workflows.held_up(run),
        )
        return dict(document)

    document = session.administer(look)
    fields = [(key, document[key]) for key in _SHOWN if document[key] not in (False, 0)]
    session.out.record(document, fields=fields, blocks=_blocks(document))


def _blocks(document: dict[str, Any]) -> list[tuple[str, str]]:
    blocks = [("input", _text(document, "payload"))]
    if document["result_kept"]:
        blocks.append(("result", _text(document, "result")))
    for wait in document["waits"]:
        until = f" until {wait['deadline']}" if wait["deadline"] else ""
        keyed = f" with key {wait['key']!r}" if wait["key"] is not None else ""
        blocks.append((f"waits in {wait['name']!r}", f"for {' or '.join(wait['events'])}{keyed}{until}"))
    if document["children"]:
        lines = [f"{child['step']}  {child['child']}  {child['state']}" for child in document["children"]]
        blocks.append(("children that have ended", "\n".join(lines)))
    error = document["error"]
    if error and document["state"] != "completed":
        blocks.append(("error", error["traceback"] or f"{error['type']}: {error['message']}"))
    return blocks


def _text(document: dict[str, Any], key: str) -> str:
    text: str | None = document[f"{key}_text"]
    return text if text is not None else json.dumps(document[key], indent=2, ensure_ascii=False)


@verb(app, "diff", examples=(f"dispatch workflow diff {EXAMPLE} {OTHER}",))
def diff(ctx: typer.Context, left: OneRun, right: OneRun) -> None:
    """Show where the records of two runs differ: steps that only one has, and steps with other data."""
    from dispatch.ids import RunID

    session = session_of(ctx)
    session.out.must_not_be_ids()
    first, second = one_id(RunID, left), one_id(RunID, right)

    rows = [dict(found) for found in session.administer(lambda app: app.differences(first, second))]
    columns = (Column("step", "step_name"), Column("left", "left"), Column("right", "right"))
    session.out.rows(rows, columns, empty="the two runs have recorded the same")
