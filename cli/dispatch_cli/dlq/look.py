"""`dispatch dlq list | count | show`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from dispatch_cli import complete
from dispatch_cli.choices import one_id, page_cursor
from dispatch_cli.dlq.base import (
    COLUMNS,
    EXAMPLE,
    GROUP_COLUMNS,
    Errors,
    Names,
    Queues,
    States,
    app,
    states_of,
)
from dispatch_cli.failures import CommandError
from dispatch_cli.session import session_of
from dispatch_cli.shell import verb

if TYPE_CHECKING:
    from dispatch.dlq.model import DLQEntry
    from dispatch_cli.admin import Admin


@verb(
    app,
    "list",
    examples=("dispatch dlq list", "dispatch dlq list --group", "dispatch dlq list --error ValueError -o ids"),
)
def list_entries(
    ctx: typer.Context,
    state: States = None,
    queue: Queues = None,
    name: Names = None,
    error: Errors = None,
    group: Annotated[
        bool, typer.Option("--group", help="Open ones by job and error type, largest group first.")
    ] = False,
    limit: Annotated[int, typer.Option("--limit", min=1, max=500, metavar="N", help="At most so many.")] = 50,
    cursor: Annotated[str | None, typer.Option("--cursor", metavar="TEXT", help="Where the page before ended.")] = None,
) -> None:
    """List dead letters, newest first; by default those that wait for a decision."""
    from dispatch.dlq.model import ListOptions
    from dispatch.documents.letters import group_document
    from dispatch.ids import DLQID

    session = session_of(ctx)
    if group:
        if state or queue or name or error or cursor:
            raise CommandError("--group counts all open dead letters: leave out the other filters")
        groups = session.administer(lambda app: app.dlq.groups())
        session.out.rows(
            [{"id": str(g.sample), **group_document(g)} for g in groups][:limit], GROUP_COLUMNS, empty="no dead letters"
        )
        return
    options = ListOptions(
        states=states_of(state),
        queues=queue or (),
        names=name or (),
        error_types=error or (),
        limit=limit,
        cursor=page_cursor(DLQID, cursor),
    )
    page = session.administer(lambda app: app.dlq.list(options))
    rows = [_row(entry) for entry in page.items]
    session.out.rows(rows, COLUMNS, empty="no dead letters match", extra={"next_cursor": page.next_cursor})
    if page.next_cursor is not None and session.out.format == "table":
        session.tell(f"there are more: --cursor {page.next_cursor}")


def _row(entry: DLQEntry) -> dict[str, Any]:
    from dispatch.documents.letters import entry_summary

    return {**entry_summary(entry), "why": entry.error.type if entry.error else entry.reason}


@verb(app, "count", examples=("dispatch dlq count", "dispatch dlq count --state all --json"))
def count(
    ctx: typer.Context, state: States = None, queue: Queues = None, name: Names = None, error: Errors = None
) -> None:
    """Count dead letters; by default those that wait for a decision."""
    from dispatch.dlq.model import ListOptions

    session = session_of(ctx)
    options = ListOptions(states=states_of(state), queues=queue or (), names=name or (), error_types=error or ())
    found = session.administer(lambda app: app.dlq.count(options))
    session.out.record({"count": found}, fields=[("count", found)])


@verb(app, "show", examples=(f"dispatch dlq show {EXAMPLE}", f"dispatch dlq show {EXAMPLE} --json"))
def show(
    ctx: typer.Context,
    id_: Annotated[str, typer.Argument(metavar="ID", help="The dead letter's id.", autocompletion=complete.letters)],
) -> None:
    """Show a dead letter: what the job carried, and how its attempts failed."""
    from dispatch.documents.letters import entry_document
    from dispatch.ids import DLQID
    from dispatch_cli.job.look import blocks_of

    session = session_of(ctx)
    entry_id = one_id(DLQID, id_)

    async def look(app: Admin) -> dict[str, Any]:
        entry = await app.dlq.get(entry_id)
        return dict(entry_document(entry, await app.dlq.attempts(entry_id)))

    document = session.administer(look)
    hidden = {"payload", "payload_text", "attempts", "error", "updated_at"}
    fields = [(key, value) for key, value in document.items() if key not in hidden]
    session.out.record(document, fields=fields, blocks=blocks_of(session.out, document))
