"""`dispatch job list | count | show | explain`: what there is, and why it does or does not run."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Any

import typer

from dispatch_cli.choices import one_id, page_cursor, words_among
from dispatch_cli.job.base import COLUMNS, EXAMPLE, STATES, WAITING, OneID, app
from dispatch_cli.job.filters import Names, Queues, Since, States, Tags, Until, filters_of
from dispatch_cli.render import Column, Output
from dispatch_cli.session import Session, session_of
from dispatch_cli.shell import verb

if TYPE_CHECKING:
    from dispatch_cli.admin import Admin


@verb(
    app,
    "list",
    examples=(
        "dispatch job list",
        "dispatch job list --state failed,cancelled --queue mailers",
        "dispatch job list --tag nightly --since 2h --limit 10 -o ids",
    ),
)
def list_jobs(
    ctx: typer.Context,
    state: States = None,
    queue: Queues = None,
    name: Names = None,
    tag: Tags = None,
    since: Since = None,
    until: Until = None,
    limit: Annotated[int, typer.Option("--limit", min=1, max=500, metavar="N", help="At most so many.")] = 50,
    cursor: Annotated[str | None, typer.Option("--cursor", metavar="TEXT", help="Where the page before ended.")] = None,
) -> None:
    """List jobs, newest first."""
    from dispatch.clock import utc_now
    from dispatch.documents.jobs import job_summary
    from dispatch.ids import JobID

    session = session_of(ctx)
    states = words_among("state", state or (), STATES)
    options = filters_of(states, queue=queue, name=name, tag=tag, since=since, until=until)
    options = replace(options, limit=limit, cursor=page_cursor(JobID, cursor))
    page = session.administer(lambda app: app.jobs.list(options))
    extra = {"next_cursor": page.next_cursor}
    rows = [dict(job_summary(job)) for job in page.items]
    columns: tuple[Column, ...] = COLUMNS
    if session.out.format == "table":
        rows = [{**row, "due_at": row["run_at"] if row["state"] in WAITING else None} for row in rows]
        if not any(job.run_at > utc_now() for job in page.items if job.state in WAITING):
            columns = (*(replace(column, spare=0) for column in COLUMNS[:-1]), replace(COLUMNS[-1], spare=1))
    session.out.rows(rows, columns, empty="no jobs match", extra=extra)
    if page.next_cursor is not None and session.out.format == "table":
        session.tell(f"there are more: --cursor {page.next_cursor}")


@verb(app, "count", examples=("dispatch job count", "dispatch job count --queue mailers --json"))
def count(ctx: typer.Context, queue: Queues = None, name: Names = None) -> None:
    """Count jobs by state."""
    from dispatch.jobs.model import CountOptions

    session = session_of(ctx)
    found = session.administer(lambda app: app.jobs.count(CountOptions(queues=queue or (), names=name or ())))
    counts = {word: next((n for state, n in found.items() if state == word), 0) for word in STATES}
    document = {**counts, "total": sum(counts.values())}
    session.out.record(document, fields=list(document.items()))


@verb(app, "show", examples=(f"dispatch job show {EXAMPLE}", f"dispatch job show {EXAMPLE} --json"))
def show(ctx: typer.Context, id_: OneID) -> None:
    """Show a job with its arguments, its result and its failed attempts."""
    from dispatch.documents.jobs import job_document
    from dispatch.ids import JobID

    session = session_of(ctx)
    job_id = one_id(JobID, id_)

    async def look(app: Admin) -> dict[str, Any]:
        return dict(job_document(await app.jobs.get(job_id), await app.jobs.attempts(job_id)))

    document = session.administer(look)
    hidden = {"payload", "payload_text", "result", "result_text", "result_kept", "attempts", "error", "updated_at"}
    fields = [(key, value) for key, value in document.items() if key not in hidden and value is not False]
    session.out.record(document, fields=fields, blocks=blocks_of(session.out, document))


def blocks_of(out: Output, document: dict[str, Any]) -> list[tuple[str, str]]:
    """The longer texts of a job or dead letter: arguments, result, attempts with their tracebacks."""
    blocks = []
    for title, key in (("arguments", "payload"), ("result", "result")):
        if document.get(f"{key}_text") is not None:
            blocks.append((f"{title} (not JSON)", document[f"{key}_text"]))
        elif key == "payload" or document.get(f"{key}_kept"):
            blocks.append((title, json.dumps(document[key], indent=2, ensure_ascii=False)))
    for attempt in document["attempts"]:
        error = attempt["error"]
        where = f" on {attempt['worker_id']}" if attempt["worker_id"] else ""
        title = f"attempt {attempt['number']} {attempt['kind']} {out.when(attempt['ended_at'])}{where}"
        blocks.append((title, error["traceback"] or f"{error['type']}: {error['message']}"))
    if document["error"] and not document["attempts"]:
        error = document["error"]
        blocks.append(("error", error["traceback"] or f"{error['type']}: {error['message']}"))
    return blocks


@verb(app, "explain", examples=(f"dispatch job explain {EXAMPLE}",))
def explain(ctx: typer.Context, id_: OneID) -> None:
    """Say why a job does or does not run: each gate it has to pass, with evidence."""
    from dispatch.documents.jobs import explanation_document
    from dispatch.ids import JobID

    session = session_of(ctx)
    job_id = one_id(JobID, id_)
    document = dict(explanation_document(session.administer(lambda app: app.jobs.explain(job_id))))
    if session.out.format != "table":
        session.out.record({"id": document["job_id"], **document}, fields=())
        return
    _draw(session, document)


def _draw(session: Session, document: dict[str, Any]) -> None:
    session.out.record(document, fields=[(key, document[key]) for key in ("job_id", "state", "summary")])
    if document["gates"]:
        session.out.write("\n")
        marks = [{**gate, "open": "ok" if gate["open"] else "CLOSED"} for gate in document["gates"]]
        session.out.rows(marks, (Column("gate", "name"), Column("", "open"), Column("why", "text")))
