"""`dispatch queue list | show`."""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING, Any

import typer

from dispatch_cli.failures import NOT_FOUND, CommandError
from dispatch_cli.queue.base import Name, app, document_of, known_queues, queue_name
from dispatch_cli.render import Column
from dispatch_cli.session import Session, session_of
from dispatch_cli.shell import verb

if TYPE_CHECKING:
    from dispatch_cli.admin import Admin

COLUMNS = (
    Column("queue", "name"),
    Column("pending", "pending", right=True),
    Column("retrying", "retrying", right=True),
    Column("running", "running", right=True),
    Column("aside", "set_aside", right=True, spare=1),
    Column("oldest", "oldest_due_at"),
    Column("workers", "workers", right=True),
    Column("paused", "paused"),
    Column("limits", "limits"),
)


@verb(app, "list", examples=("dispatch queue list", "dispatch queue list --json", "dispatch queue list -o ids"))
def list_queues(ctx: typer.Context) -> None:
    """List the queues with jobs, limits or a pause, and those that live workers serve."""
    from dispatch.clock import utc_now
    from dispatch.documents.fleet import queue_document
    from dispatch.queues import QueueConfig
    from dispatch_cli.fleet import limits_in_words

    session = session_of(ctx)
    found = session.administer(lambda app: app.status(now=utc_now()))
    _tell_of_limits_left(
        session, [info.config.name for info in found.queues if info.config != QueueConfig(info.config.name)]
    )
    documents = [dict(queue_document(info, found.served_by[info.config.name])) for info in found.queues]
    if session.out.format == "table":
        documents = [{**document, "limits": limits_in_words(document) or None} for document in documents]
    session.out.rows(documents, COLUMNS, empty="there are no queues yet: no jobs, no settings, no live workers")


def _tell_of_limits_left(session: Session, limited: list[str]) -> None:
    """A table that was taken out of the configuration lifts nothing; whoever took it out may expect that."""
    left = [name for name in limited if name not in session.tables]
    if session.tables and left:
        names = ", ".join(left)
        session.tell(
            f"limited in the store, not by [queue.NAME]: {names}; `dispatch queue limit NAME --none` lifts that"
        )


@verb(app, "show", examples=("dispatch queue show mailers", "dispatch queue show mailers --json"))
def show(ctx: typer.Context, name: Name) -> None:
    """Show a queue: its jobs, its limits, its pause, who serves it."""
    session = session_of(ctx)
    wanted = queue_name(name)

    async def look(app: Admin) -> dict[str, Any]:
        known = await known_queues(session, app)
        if wanted not in known:
            near = difflib.get_close_matches(wanted, known, 1)
            raise CommandError(
                f"there is no queue {wanted!r}: it has no jobs, settings or workers",
                code="queue_not_found",
                exit_code=NOT_FOUND,
                hint=f"did you mean {near[0]!r}?" if near else "`dispatch queue list` shows what there is",
            )
        return await document_of(app, await app.queues.get(wanted))

    document = session.administer(look)
    pause = document["pause"] or {}
    fields = [(key, value) for key, value in document.items() if key != "pause" and value is not False]
    fields += [(f"paused {key}", pause.get(key)) for key in ("by", "reason", "since", "until")]
    session.out.record(document, fields=fields)
