"""`dispatch audit list`: who did what to this store."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from dispatch_cli.render import Column
from dispatch_cli.session import session_of
from dispatch_cli.shell import noun, verb

app = noun(
    "See who changed what: paused, limited, drained, cancelled, replayed, purged and so on.",
    examples=("dispatch audit list",),
)

COLUMNS = (
    Column("when", "created_at"),
    Column("who", "who"),
    Column("verb", "verb"),
    Column("outcome", "outcome"),
    Column("of", "first"),
    Column("why and how", "why"),
)
_NARROW = (*COLUMNS[:-2], Column("of what, why and how", "all"))


@verb(app, "list", examples=("dispatch audit list", "dispatch audit list --limit 5 --json"))
def list_records(
    ctx: typer.Context,
    limit: Annotated[int, typer.Option("--limit", min=1, max=500, metavar="N", help="At most so many.")] = 50,
) -> None:
    """List the audit records, newest first; they are kept for a year. "started" is an act that goes on, or one whose
    process died before it ended."""
    from dispatch.documents.overview import audit_document

    session = session_of(ctx)
    documents = [dict(audit_document(record)) for record in session.administer(lambda app: app.audit.list(limit=limit))]
    if session.out.format == "table":
        documents = [{**document, **_in_words(document)} for document in documents]
    columns = COLUMNS if session.out.room_beside(documents, COLUMNS) >= 0 else _NARROW
    session.out.rows(documents, columns, empty="nobody has left a record yet")


def _in_words(document: dict[str, Any]) -> dict[str, str]:
    count = document["count"]
    many = f"{count} in all" if count != 1 and document["outcome"] != "refused" else ""
    why = "; ".join(filter(None, (many, document["reason"], document["detail"])))
    first = next(iter(document["ids"]), "-")
    return {"first": first, "why": why, "all": f"{first}: {why}" if why else first}
