"""`dispatch audit list`: who did what to this store."""

from __future__ import annotations

import json
from collections import deque
from typing import TYPE_CHECKING, Annotated, Any

import typer

from dispatch_cli.consent import AUDIT
from dispatch_cli.render import Column
from dispatch_cli.session import session_of
from dispatch_cli.shell import noun, verb

if TYPE_CHECKING:
    from dispatch import Dispatch
    from dispatch.records import Record

app = noun(
    "See who paused, limited, drained, cancelled, replayed, discarded or purged what.",
    examples=("dispatch audit list",),
)

COLUMNS = (
    Column("when", "created_at"),
    Column("who", "who"),
    Column("verb", "verb"),
    Column("of", "first"),
    Column("why and how", "why"),
)


@verb(app, "list", examples=("dispatch audit list", "dispatch audit list --limit 5 --json"))
def list_records(
    ctx: typer.Context,
    limit: Annotated[int, typer.Option("--limit", min=1, max=500, metavar="N", help="At most so many.")] = 50,
) -> None:
    """List the audit records, newest first; they are kept for a year."""
    session = session_of(ctx)

    async def read(app: Dispatch) -> list[dict[str, Any]]:
        newest: deque[Record] = deque(maxlen=limit)
        cursor = None
        while True:
            page = await app.store.records.list(AUDIT, limit=500, cursor=cursor)
            newest.extend(page.items)
            if (cursor := page.next_cursor) is None:
                return [_document(record) for record in reversed(newest)]

    documents = session.on_app(read)
    if session.out.format == "table":
        documents = [{**document, **_in_words(document)} for document in documents]
    session.out.rows(documents, COLUMNS, empty="nobody has left a record yet")


def _in_words(document: dict[str, Any]) -> dict[str, str]:
    count = document["count"]
    many = f"{count} in all" if count != 1 else ""
    why = "; ".join(filter(None, (many, document["reason"], document["detail"])))
    return {"first": next(iter(document["ids"]), "-"), "why": why}


def _document(record: Record) -> dict[str, Any]:
    from dispatch_cli.render import iso

    held = json.loads(record.value)
    return {
        "id": record.key,
        "created_at": iso(record.created_at),
        "who": held["who"],
        "verb": held["verb"],
        "ids": held["ids"],
        "count": held["count"],
        "reason": held["reason"],
        "detail": held.get("detail", ""),
    }
