"""`dispatch event list | show`."""

from __future__ import annotations

import json
from typing import Annotated

import typer

from dispatch_cli.choices import one_id, page_cursor
from dispatch_cli.event.base import COLUMNS, EXAMPLE, Key, Names, app
from dispatch_cli.session import session_of
from dispatch_cli.shell import verb


@verb(app, "list", examples=("dispatch event list", "dispatch event list --name payment.cleared --key order-42"))
def list_events(
    ctx: typer.Context,
    name: Names = None,
    key: Key = None,
    limit: Annotated[int, typer.Option("--limit", min=1, max=500, metavar="N", help="At most so many.")] = 50,
    cursor: Annotated[str | None, typer.Option("--cursor", metavar="TEXT", help="Where the page before ended.")] = None,
) -> None:
    """List events, newest first, signals to single runs among them."""
    from dispatch.documents.runs import event_document
    from dispatch.events.model import ListOptions
    from dispatch.ids import EventID

    session = session_of(ctx)
    options = ListOptions(names=name or (), key=key, limit=limit, cursor=page_cursor(EventID, cursor))
    page = session.administer(lambda app: app.events.list(options))
    rows = [event_document(event) for event in page.items]
    session.out.rows(rows, COLUMNS, empty="no events match", extra={"next_cursor": page.next_cursor})
    if page.next_cursor is not None and session.out.format == "table":
        session.tell(f"there are more: --cursor {page.next_cursor}")


@verb(app, "show", examples=(f"dispatch event show {EXAMPLE}", f"dispatch event show {EXAMPLE} --json"))
def show(ctx: typer.Context, id_: Annotated[str, typer.Argument(metavar="ID", help="The event's id.")]) -> None:
    """Show an event with its payload."""
    from dispatch.documents.runs import event_document
    from dispatch.ids import EventID

    session = session_of(ctx)
    event_id = one_id(EventID, id_)
    document = event_document(session.administer(lambda app: app.events.get(event_id)))
    fields = [(key, value) for key, value in document.items() if not key.startswith("payload")]
    text = document["payload_text"]
    shown = text if text is not None else json.dumps(document["payload"], indent=2, ensure_ascii=False)
    session.out.record(document, fields=fields, blocks=[("payload", shown)])
