"""`dispatch worker list | show`."""

from __future__ import annotations

from typing import Annotated

import typer

from dispatch_cli import complete
from dispatch_cli.choices import one_id
from dispatch_cli.render import Column
from dispatch_cli.session import session_of
from dispatch_cli.shell import verb
from dispatch_cli.worker.base import EXAMPLE, app

COLUMNS = (
    Column("id", "id"),
    Column("host", "hostname", spare=1, folds_first=True),
    Column("pid", "pid", right=True, spare=2, folds_first=True),
    Column("state", "state"),
    Column("busy", "busy", right=True),
    Column("queues", "queues"),
    Column("seen", "last_seen_at"),
)


@verb(app, "list", examples=("dispatch worker list", "dispatch worker list --all --json"))
def list_workers(
    ctx: typer.Context, every: Annotated[bool, typer.Option("--all", help="Those that have stopped too.")] = False
) -> None:
    """List the workers that are alive, newest first."""
    from dispatch.documents.fleet import worker_document

    session = session_of(ctx)
    found = session.administer(lambda app: app.workers.list(live=not every))
    documents = [dict(worker_document(worker)) for worker in found]
    if session.out.format == "table":
        documents = [{**document, "busy": f"{document['running']}/{document['concurrency']}"} for document in documents]
    session.out.rows(documents, COLUMNS, empty="no worker is alive: start one with `dispatch run yourapp.tasks`")


@verb(app, "show", examples=(f"dispatch worker show {EXAMPLE}", f"dispatch worker show {EXAMPLE} --json"))
def show(
    ctx: typer.Context,
    id_: Annotated[str, typer.Argument(metavar="ID", help="The worker's id.", autocompletion=complete.workers)],
) -> None:
    """Show a worker: where it runs, what it serves, how busy it is."""
    from dispatch.documents.fleet import worker_document
    from dispatch.ids import WorkerID

    session = session_of(ctx)
    worker_id = one_id(WorkerID, id_)
    document = worker_document(session.administer(lambda app: app.workers.get(worker_id)))
    session.out.record(document, fields=list(document.items()))
