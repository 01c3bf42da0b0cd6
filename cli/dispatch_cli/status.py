"""`dispatch status`: one screen about everything."""

from __future__ import annotations

from typing import Any

import typer

from dispatch_cli.render import Column
from dispatch_cli.session import Session, session_of
from dispatch_cli.shell import single

_SHOWN = 10
"""How many groups of dead letters a screen has room for; --json has all."""
_QUEUES = (
    Column("queue", "name"),
    Column("pending", "pending", right=True),
    Column("retrying", "retrying", right=True),
    Column("running", "running", right=True),
    Column("aside", "set_aside", right=True, spare=1),
    Column("oldest", "oldest_due_at"),
    Column("workers", "workers", right=True),
    Column("paused", "paused"),
)
_GROUPS = (
    Column("dead letters of", "job_name"),
    Column("error", "error_type"),
    Column("count", "count", right=True),
    Column("newest", "newest_at"),
)


@single(examples=("dispatch status", "dispatch status --json"))
def app(ctx: typer.Context) -> None:
    """Show the backlog, what runs, dead letters, pauses, workers, crons, and what needs a person, on one screen."""
    from dispatch.clock import utc_now

    session = session_of(ctx)
    session.out.must_not_be_ids()
    now = utc_now()
    document = dict(session.administer(lambda app: app.overview(now=now)))
    if session.out.format == "table":
        _draw(session, document)
    else:
        session.out.record(document, fields=())


def _in_words(counts: dict[str, int]) -> str:
    """The counts that are not 0, in words; "" when all are."""
    return ", ".join(f"{count} {word}" for word, count in counts.items() if count)


def _draw(session: Session, document: dict[str, Any]) -> None:
    out, jobs, workers = session.out, document["jobs"], document["workers"]
    fields = [
        ("store", document["store"]),
        ("jobs", ", ".join(f"{count} {word.replace('_', ' ')}" for word, count in jobs.items())),
        ("runs", _in_words(document["runs"])),
        ("workers", ", ".join(f"{count} {word.replace('_', ' ')}" for word, count in workers.items())),
        ("dead letters", f"{document['dead_letters']} open"),
    ]
    crons = {word: count for word, count in document["crons"].items() if count or word == "enabled"}
    if any(crons.values()):
        fields.append(("crons", ", ".join(f"{count} {word.replace('_', ' ')}" for word, count in crons.items())))
    out.record(document, fields=fields)
    if document["queues"]:
        out.write("\n")
        out.rows(document["queues"], _QUEUES)
    if document["groups"]:
        out.write("\n")
        out.rows(document["groups"][:_SHOWN], _GROUPS)
        more = len(document["groups"]) - _SHOWN
        if more > 0:
            out.write(f"and {more} more: dispatch dlq list --group\n")
    if document["attention"]:
        out.sentences("attention", document["attention"])
