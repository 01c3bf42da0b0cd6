"""`dispatch event tail`: events as they are published, a line each."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Annotated

import typer

from dispatch_cli.choices import duration
from dispatch_cli.event.base import Key, Names, app
from dispatch_cli.session import Session, session_of
from dispatch_cli.shell import verb

if TYPE_CHECKING:
    from dispatch.events.model import Event
    from dispatch_cli.admin import Admin

_LOOK = 0.5
_PAGE = 200


@verb(app, "tail", examples=("dispatch event tail --for 1s", "dispatch event tail --name payment.cleared --for 1s"))
def tail(
    ctx: typer.Context,
    name: Names = None,
    key: Key = None,
    for_: Annotated[
        str | None, typer.Option("--for", metavar="DURATION", help="Follow for that long; default: Ctrl-C ends it.")
    ] = None,
    last: Annotated[int, typer.Option("--last", min=0, max=200, metavar="N", help="Begin with the last N.")] = 10,
) -> None:
    """Follow events as they are published, oldest first, a line each (with --json a document a line)."""
    session = session_of(ctx)
    limit = duration("--for", for_)

    async def follow(app: Admin) -> None:
        version = app.version
        seen = await _newer(session, app, name, key, None, last)  # what there is comes however slow the server is
        try:
            async with asyncio.timeout(limit):
                while True:
                    await app.changed(version, _LOOK)
                    version = app.version
                    seen = await _newer(session, app, name, key, seen, last)
        except TimeoutError:
            return

    session.administer(follow)


async def _newer(
    session: Session, app: Admin, names: list[str] | None, key: str | None, seen: set[str] | None, last: int
) -> set[str]:
    """Writes what is new since the look before (None: there was none, so the last few); answers what there is."""
    from dispatch.events.model import ListOptions

    looked_at: list[Event] = []
    cursor: str | None = None
    while True:
        page = await app.events.list(ListOptions(names=names or (), key=key, limit=_PAGE, cursor=cursor))
        looked_at += page.items
        cursor = page.next_cursor
        if seen is None or cursor is None or any(event.id in seen for event in page.items):
            break
    fresh = looked_at[:last] if seen is None else [event for event in looked_at if event.id not in seen]
    for event in reversed(fresh):
        _write(session, event)
    return {event.id for event in looked_at}


def _write(session: Session, event: Event) -> None:
    from dispatch.documents.runs import event_document
    from dispatch.text import iso, safe

    document = event_document(event)
    if session.out.format in ("json", "jsonl"):
        session.out.rows([document], ()) if session.out.format == "jsonl" else session.out.json(document)
    elif session.out.format == "ids":
        session.out.write(f"{event.id}\n")
    else:
        parts = [iso(event.created_at) or "-", event.name, event.key or "-", event.run_id or "-"]
        payload = event.payload.decode("utf-8", "backslashreplace")
        session.out.write(safe("  ".join([*parts, payload])).replace("\n", "\\n") + "\n")
