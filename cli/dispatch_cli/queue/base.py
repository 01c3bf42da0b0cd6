"""What the verbs of `dispatch queue` share: the noun, its names, and how a queue and a change of one are shown."""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING, Annotated, Any

import typer

from dispatch_cli import complete
from dispatch_cli.failures import CommandError
from dispatch_cli.named import slip_of
from dispatch_cli.session import Session
from dispatch_cli.shell import noun

if TYPE_CHECKING:
    from dispatch.queues import QueueInfo
    from dispatch_cli.admin import Admin

app = noun(
    "Look at, pause, resume, limit and empty queues.",
    examples=("dispatch queue list", "dispatch queue pause mailers --for 1h --reason 'the mail server is down'"),
)

Force = Annotated[bool, typer.Option("--force", help="Also a queue whose name looks like a slip of one that is known.")]
FORCED = "pass --force if that is its name, as of a queue that is still to come"
Name = Annotated[str, typer.Argument(metavar="NAME", help="The queue's name.", autocompletion=complete.queues)]


def queue_name(text: str) -> str:
    """A name that a queue can have; a usage error says what is wrong with it."""
    from dispatch.jobs.base import NAME

    if not NAME.fullmatch(text):
        raise CommandError(f"{text!r} is no queue name: 1 to 128 of letters, digits and _ . : -")
    return text


async def known_queues(session: Session, app: Admin) -> set[str]:
    """Every queue that has settings or jobs, that a live worker serves, or that an announced job or a table names."""
    names = {info.config.name for info in await app.queues.list()}
    names |= {queue for worker in await app.workers.list(live=True) for queue in worker.queues}
    return names | {found.queue for found in await app.workers.definitions()} | set(session.tables)


async def must_be_meant(
    session: Session,
    app: Admin,
    name: str,
    *,
    force: bool = False,
    hint: str = "`dispatch queue list` shows what there is",
) -> None:
    """Refuses a queue that nobody has used when its name looks like a slip; warns of another: it may be one to come."""
    known = await known_queues(session, app)
    if name in known:
        return
    slip = None if force else slip_of(name, known)
    if slip:
        raise CommandError(f"queue {name!r} has no jobs, settings or workers; did you mean {slip!r}?", hint=hint)
    near = [] if force else difflib.get_close_matches(name, known, 1)
    told = f"; did you mean {near[0]!r}?" if near else ""
    session.tell(f"warning: queue {name!r} has no jobs, settings or workers{told}")


async def document_of(app: Admin, info: QueueInfo) -> dict[str, Any]:
    """The queue's document, with the live workers that serve it counted."""
    from dispatch.documents.fleet import queue_document

    workers = await app.workers.list(live=True)
    return dict(queue_document(info, sum(info.config.name in worker.queues for worker in workers)))


def show_change(session: Session, document: dict[str, Any], outcome: str, *, dry_run: bool) -> None:
    """Writes what became of a queue, or would have."""
    from dispatch_cli.fleet import limits_in_words

    document = {**document, "outcome": f"would be {outcome}" if dry_run else outcome, "dry_run": dry_run}
    pause = document["pause"] or {}
    fields = [
        ("queue", document["name"]),
        ("outcome", document["outcome"]),
        ("paused until", pause.get("until") or ("resumed" if pause else None)),
        ("reason", pause.get("reason")),
        ("limits", limits_in_words(document) or "none"),
    ]
    session.out.record(document, fields=fields)
