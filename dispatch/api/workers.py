"""Routes about workers, and who leads; they serve all tenants."""

from __future__ import annotations

from typing import Annotated

from fastapi import Query
from starlette.responses import Response

from dispatch.access import JOB_READ, WORKER_READ, WORKER_WRITE
from dispatch.api.bulk import BulkDocument, one_by_one
from dispatch.api.params import Items, Why, WorkerIDText
from dispatch.api.problems import Problem, reply
from dispatch.api.routing import Asked, Route
from dispatch.documents.fleet import (
    DefinitionDocument,
    LeaderDocument,
    WorkerDocument,
    definition_document,
    leader_document,
    worker_document,
)
from dispatch.ids import WorkerID
from dispatch.services.audit import acting_as


async def list_workers(
    ask: Asked, stopped: Annotated[bool, Query(description="Those that have stopped too.")] = False
) -> Response:
    """List the workers that are alive, newest first."""
    return reply({"items": [worker_document(worker) for worker in await ask.app.workers.list(live=not stopped)]})


async def show(ask: Asked, worker_id: WorkerIDText) -> Response:
    """Show a worker: where it runs, what it serves, how busy it is."""
    return reply(worker_document(await ask.app.workers.get(WorkerID(worker_id))))


async def drain(ask: Asked, worker_id: WorkerIDText, body: Why | None = None) -> Response:
    """Ask a worker to claim nothing more, finish what runs, and end."""
    with acting_as(ask.identity.who, "" if body is None else body.reason):
        await ask.app.workers.drain(WorkerID(worker_id))
    return reply(worker_document(await ask.app.workers.get(WorkerID(worker_id))))


async def drain_all(ask: Asked, body: Why | None = None) -> Response:
    """Ask every live worker to finish what it runs and end."""

    async def one(worker_id: str) -> str:
        await ask.app.workers.drain(WorkerID(worker_id))
        return "draining"

    ids = [worker.id for worker in await ask.app.workers.list(live=True)]
    return reply(await one_by_one(ask, "worker.drain", ids, one, reason="" if body is None else body.reason))


async def leader(ask: Asked) -> Response:
    """Say which worker leads and fires cron entries; nulls when none does."""
    return reply(leader_document(await ask.app.workers.leadership()))


async def resign(ask: Asked, body: Why | None = None) -> Response:
    """End the leader's term, so that another worker leads."""
    with acting_as(ask.identity.who, "" if body is None else body.reason):
        found = await ask.app.workers.resign()
    if found is None:
        raise Problem(409, "nobody_leads", "nobody leads, so nobody can resign")
    return reply(leader_document(found))


async def definitions(ask: Asked) -> Response:
    """List the jobs and workflows that apps have announced, with the schema of their arguments."""
    return reply({"items": [definition_document(found) for found in await ask.app.workers.definitions()]})


ROUTES = (
    Route("GET", "/v1/workers", list_workers, WORKER_READ, Items[WorkerDocument], shared=True),
    Route("POST", "/v1/workers/drain", drain_all, WORKER_WRITE, BulkDocument, shared=True),
    Route("GET", "/v1/workers/{worker_id}", show, WORKER_READ, WorkerDocument, shared=True),
    Route("POST", "/v1/workers/{worker_id}/drain", drain, WORKER_WRITE, WorkerDocument, shared=True),
    Route("GET", "/v1/leader", leader, WORKER_READ, LeaderDocument, shared=True),
    Route("POST", "/v1/leader/resign", resign, WORKER_WRITE, LeaderDocument, shared=True),
    Route("GET", "/v1/definitions", definitions, JOB_READ, Items[DefinitionDocument]),
)
