"""Routes about queues; they are what all tenants share."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated

from pydantic import Field
from starlette.responses import Response
from typing_extensions import TypedDict

from dispatch.access import QUEUE_WRITE, STATS_READ
from dispatch.api.guard import Ask
from dispatch.api.params import Body, Items, Moment, QueueName, Reason, Seconds, Why
from dispatch.api.problems import Problem, reply
from dispatch.api.routing import Asked, Route
from dispatch.clock import utc_now
from dispatch.documents.fleet import QueueDocument, queue_document
from dispatch.entity import MOST
from dispatch.queues.model import SLOWEST
from dispatch.services import read_status
from dispatch.services.audit import acting_as
from dispatch.text import iso

Places = Annotated[int, Field(ge=1, le=MOST)]


class PauseBody(Body):
    """For how long, and why."""

    duration: Seconds | None = Field(None, description="Seconds; left out: until somebody resumes it.")
    reason: Reason = ""
    force: Annotated[bool, Field(description="Whether somebody else's pause may end earlier; else 409.")] = False


class LimitsBody(Body):
    """Limits to set; null lifts one, what is left out stays."""

    max_concurrency: Places | None = None
    rate_limit: Annotated[float, Field(ge=SLOWEST, le=MOST, allow_inf_nan=False)] | None = None
    rate_burst: Places | None = None
    tenant_concurrency: Places | None = None
    fair: bool | None = None
    reason: Reason = ""


class PurgeBody(Body):
    """Which of the waiting jobs to delete."""

    before: Moment | None = Field(None, description="Those enqueued before then; left out: until now.")
    reason: Reason = ""


class PurgedQueue(TypedDict):
    """How many waiting jobs were deleted, and of which."""

    name: str
    purged: int
    before: str


async def list_queues(ask: Asked) -> Response:
    """List the queues with jobs, limits or a pause, and those that live workers serve."""
    found = await read_status(ask.app.store, now=utc_now())
    return reply({"items": [queue_document(info, found.served_by[info.config.name]) for info in found.queues]})


async def show(ask: Asked, queue: QueueName) -> Response:
    """Show a queue: its jobs, its limits, its pause, who serves it. One that nobody has used is empty."""
    return reply(await _document(ask, queue))


async def pause(ask: Asked, queue: QueueName, body: PauseBody | None = None) -> Response:
    """Stop the queue from giving out jobs; somebody else's pause ends no earlier unless with force."""
    given = body or PauseBody(duration=None)
    who = ask.identity.who
    await ask.app.queues.pause(queue, by=who, reason=given.reason, duration=given.duration or None, force=given.force)
    return reply(await _document(ask, queue))


async def resume(ask: Asked, queue: QueueName, body: Why | None = None) -> Response:
    """End a pause; without one nothing happens."""
    await ask.app.queues.resume(queue, reason="" if body is None else body.reason)
    return reply(await _document(ask, queue))


async def limit(ask: Asked, queue: QueueName, body: LimitsBody) -> Response:
    """Set or lift limits for the whole fleet, at once."""
    given = body.model_dump(exclude={"reason"}, exclude_unset=True)
    given["fair"] = bool(given["fair"]) if given.get("fair") is not None else None
    changes = {name: value for name, value in given.items() if name != "fair" or value is not None}
    if not changes:
        raise Problem(422, "invalid_request", "which limit? Name one")
    after = replace((await ask.app.queues.get(queue)).config, **changes)
    if after.rate_burst is not None and after.rate_limit is None:
        raise Problem(422, "invalid_request", "rate_burst limits nothing without a rate_limit")
    with acting_as(ask.identity.who, body.reason):
        await ask.app.queues.configure(after)
    return reply(await _document(ask, queue))


async def purge(ask: Asked, queue: QueueName, body: PurgeBody | None = None) -> Response:
    """Delete the queue's waiting jobs for good, at most 500 at once; ask again, with its `before`, until it says 0."""
    given = body or PurgeBody(before=None)
    before = given.before or (await ask.app.queues.get(queue)).at or utc_now()
    with acting_as(ask.identity.who, given.reason):
        purged = await ask.app.queues.purge(queue, before=before)
    return reply({"name": queue, "purged": purged, "before": iso(before)})


async def _document(ask: Ask, queue: str) -> QueueDocument:
    workers = await ask.app.workers.list(live=True)
    return queue_document(await ask.app.queues.get(queue), sum(queue in worker.queues for worker in workers))


_ONE = "/v1/queues/{queue}"
ROUTES = (
    Route("GET", "/v1/queues", list_queues, STATS_READ, Items[QueueDocument], shared=True),
    Route("GET", _ONE, show, STATS_READ, QueueDocument, shared=True),
    Route("POST", f"{_ONE}/pause", pause, QUEUE_WRITE, QueueDocument, shared=True),
    Route("POST", f"{_ONE}/resume", resume, QUEUE_WRITE, QueueDocument, shared=True),
    Route("PATCH", f"{_ONE}/limits", limit, QUEUE_WRITE, QueueDocument, shared=True),
    Route("POST", f"{_ONE}/purge", purge, QUEUE_WRITE, PurgedQueue, shared=True),
)
