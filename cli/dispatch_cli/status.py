"""`dispatch status`: one screen about everything."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

import typer

from dispatch_cli.render import Column
from dispatch_cli.session import Session, session_of
from dispatch_cli.shell import single

if TYPE_CHECKING:
    from datetime import datetime

    from dispatch import Dispatch
    from dispatch.services import Status

_SHOWN = 10
"""How many groups of dead letters a screen has room for; --json has all."""
_NAMED = 5
_QUEUES = (
    Column("queue", "name"),
    Column("pending", "pending", right=True),
    Column("retrying", "retrying", right=True),
    Column("running", "running", right=True),
    Column("aside", "set_aside", right=True),
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
    from dispatch.services import missed_ticks, read_status

    session = session_of(ctx)
    session.out.must_not_be_ids()
    now = utc_now()

    async def look(app: Dispatch) -> tuple[Status, dict[str, int]]:
        found = await read_status(app.store, now=now)
        return found, await missed_ticks(app.store, found.crons, since=now - timedelta(days=1))

    found, missed = session.on_app(look)
    document = _document(session, found, missed, now)
    if session.out.format == "table":
        _draw(session, document)
    else:
        session.out.record(document, fields=())


def _document(session: Session, found: Status, missed: dict[str, int], now: datetime) -> dict[str, Any]:
    from dispatch_cli.documents import group_document
    from dispatch_cli.fleet import crons_document, queue_document
    from dispatch_cli.render import iso

    queues = [queue_document(info, found.served_by[info.config.name]) for info in found.queues]
    return {
        "store": session.store_url,
        "at": iso(now),
        "jobs": {key: sum(queue[key] for queue in queues) for key in ("pending", "running", "retrying", "set_aside")},
        "runs": {str(state): count for state, count in found.runs.items()},
        "workers": {"live": len(found.live), "draining": found.draining, "stopped_last_hour": found.stopped_lately},
        "dead_letters": found.dead_letters,
        "crons": {**crons_document(found), "missed_last_day": sum(missed.values())},
        "attention": [*attention(found), *cron_attention(found, missed)],
        "queues": queues,
        "groups": [group_document(group) for group in found.groups],
    }


def attention(found: Status) -> list[str]:
    """What needs a person, a sentence each, with the command that helps."""
    lines = []
    if not found.live and found.unserved:
        lines.append("jobs wait and no worker is alive: start one with `dispatch run yourapp.tasks`")
    else:
        for info in found.unserved:
            name = info.config.name
            lines.append(f"jobs wait on queue {name!r}, which no live worker serves: `dispatch run … -q {name}`")
    for info in found.queues:
        name = info.config.name
        if info.pause is not None:
            by = f" by {info.pause.by}" if info.pause.by else ""
            why = f" ({info.pause.reason})" if info.pause.reason else ""
            lines.append(f"queue {name!r} is paused{by}{why}: `dispatch queue resume {name}`")
        if info.set_aside:
            what = "job of queue" if info.set_aside == 1 else "jobs of queue"
            lines.append(f"{info.set_aside} {what} {name!r} set aside: no live worker has announced the job's name")
    blocked = sum(count for state, count in found.runs.items() if state == "blocked")
    if blocked:
        runs = "workflow run is" if blocked == 1 else "workflow runs are"
        lines.append(f"{blocked} {runs} blocked: `dispatch workflow list --state blocked` shows why")
    if found.dead_letters:
        letters = "dead letter waits" if found.dead_letters == 1 else "dead letters wait"
        lines.append(f"{found.dead_letters} {letters} for a decision: `dispatch dlq list --group`")
    return lines


def cron_attention(found: Status, missed: dict[str, int]) -> list[str]:
    """What needs a person about cron entries; many of a kind are one sentence."""
    lines = []
    if len(found.disabled) > _NAMED:
        lines.append(f"{len(found.disabled)} cron entries are disabled: `dispatch cron list --state disabled`")
    for entry in found.disabled if len(found.disabled) <= _NAMED else ():
        by = f" by {entry.disabled_by}" if entry.disabled_by else ""
        until = f" until {entry.disabled_until:%Y-%m-%d %H:%M} UTC" if entry.disabled_until else ""
        why = f" ({entry.disabled_reason})" if entry.disabled_reason else ""
        lines.append(f"cron {entry.name!r} is disabled{by}{until}{why}: `dispatch cron enable {entry.name}`")
    if found.orphaned:
        names = ", ".join(entry.name for entry in found.orphaned[:_NAMED])
        more = ", …" if len(found.orphaned) > _NAMED else ""
        lines.append(f"no live worker has the code of cron {names}{more}, which does not fire: `dispatch cron prune`")
    if found.overdue:
        names = ", ".join(entry.name for entry in found.overdue[:_NAMED])
        more = ", …" if len(found.overdue) > _NAMED else ""
        lines.append(f"cron {names}{more} should have fired: `dispatch leader show` says who fires")
    for name, count in list(missed.items())[:_NAMED]:
        ticks = "1 tick" if count == 1 else f"{count} ticks"
        lines.append(f"cron {name!r} missed {ticks} within a day: `dispatch cron history {name}`")
    return lines


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
        out.block("attention", "\n".join(document["attention"]))
