"""`dispatch health`: one exit code for whoever restarts things."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from dispatch_cli.failures import CHECK, describe
from dispatch_cli.session import Session, session_of
from dispatch_cli.shell import single

if TYPE_CHECKING:
    from dispatch.cluster.model import Worker
    from dispatch_cli.admin import Admin


@single(examples=("dispatch health", "dispatch health --worker here --json"))
def app(
    ctx: typer.Context,
    worker: Annotated[
        str | None, typer.Option("--worker", metavar="NAME", help="This one: by its --name, host or id.")
    ] = None,
) -> None:
    """Check that the store takes writes, or the server answers, and that a worker is alive: exit 0, else 9. It creates
    no store and migrates nothing."""
    from dispatch.client.errors import ClientError
    from dispatch.errors import StoreError

    session = session_of(ctx)
    session.out.must_not_be_ids()
    document: dict[str, Any] = {
        "healthy": False,
        "store": session.place,
        "worker": worker,
        "live_workers": None,
        "reason": "",
    }
    missing = session.missing_file() if session.server is None else None
    try:
        if session.server is not None:
            document.update(session.administer(lambda app: _workers(app, worker)))
        elif missing is not None:
            document["reason"] = f"there is no store at {missing}"
        else:
            document.update(asyncio.run(_look(session, worker)))
    except (ClientError, StoreError) as error:
        document["reason"] = describe(error)[0]
    session.out.record(document, fields=list(document.items()))
    if not document["healthy"]:
        raise typer.Exit(CHECK)


async def _look(session: Session, name: str | None) -> dict[str, Any]:
    from dispatch.stores.facts import refusal

    async with session.bare_store() as store:
        schema = await store.schema()
        if schema.pending:
            return {"reason": "the schema is older than this version: run `dispatch store migrate`"}
        found = _fitting(await store.cluster.list(live=True), name)
        refused = await refusal(store)
        return {**found, "healthy": False, "reason": f"the store refuses writes: {refused}"} if refused else found


async def _workers(app: Admin, name: str | None) -> dict[str, Any]:
    return _fitting(await app.workers.list(live=True), name)


def _fitting(live: Sequence[Worker], name: str | None) -> dict[str, Any]:
    fitting = [
        worker for worker in live if name is None or name in (worker.labels.get("name"), worker.hostname, worker.id)
    ]
    if fitting:
        return {"healthy": True, "live_workers": len(live)}
    reason = "no worker is alive" if name is None else f"no live worker is called {name!r}"
    return {"live_workers": len(live), "reason": reason}
