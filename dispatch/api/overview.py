"""Routes about everything at once: status, numbers, and what scales and watches the fleet."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated, Any

from fastapi import Query
from starlette.responses import Response
from typing_extensions import TypedDict

from dispatch.access import STATS_READ
from dispatch.api.guard import ANYBODY
from dispatch.api.metrics import CONTENT_TYPE
from dispatch.api.params import Queues
from dispatch.api.problems import Problem, reply
from dispatch.api.routing import Asked, Route
from dispatch.clock import utc_now
from dispatch.crons.model import ListOptions as CronOptions
from dispatch.dlq.model import ListOptions as LetterOptions
from dispatch.documents.overview import SeriesDocument, StatusDocument, series_document, status_document
from dispatch.entity import LARGEST_PAGE
from dispatch.errors import DispatchError, code_of
from dispatch.jobs.model import CountOptions
from dispatch.services import missed_ticks, read_status
from dispatch.services.scale import read_demand
from dispatch.services.series import read_series
from dispatch.text import iso


class StatsDocument(TypedDict):
    """How many of what there are, as far as the key sees."""

    at: str
    jobs: dict[str, int]
    runs: dict[str, int]
    dead_letters: int
    crons: int


class ScaleDocument(TypedDict):
    """How many workers the backlog calls for."""

    desired: int
    runnable: int
    slots: int


class HealthDocument(TypedDict):
    """Whether this process makes progress, and may be counted on."""

    live: bool
    ready: bool
    reasons: list[str]


async def status(ask: Asked) -> Response:
    """Show backlog, workers, dead letters, pauses, crons, and what needs a person."""
    now = utc_now()
    found = await read_status(ask.app.store, now=now)
    missed = await missed_ticks(ask.app.store, found.crons, since=now - timedelta(days=1))
    return reply(status_document(found, missed, store=ask.app.store.url, at=iso(now)))


async def stats(ask: Asked) -> Response:
    """Count jobs and runs by state, open dead letters, and cron entries (as 500 when there are more)."""
    jobs = await ask.app.jobs.count(CountOptions(scope=ask.scope))
    runs = await ask.app.workflows.count(scope=ask.scope)
    crons = await ask.app.crons.list(CronOptions(scope=ask.scope, limit=LARGEST_PAGE))
    document: StatsDocument = {
        "at": iso(utc_now()),
        "jobs": {str(state): count for state, count in jobs.items()},
        "runs": {str(state): count for state, count in runs.items()},
        "dead_letters": await ask.app.dlq.count(LetterOptions(scope=ask.scope)),
        "crons": len(crons.items),
    }
    return reply(document)


async def series(
    ask: Asked,
    minutes: Annotated[int, Query(ge=1, le=10_080, description="How far back.")] = 60,
    parts: Annotated[int, Query(ge=1, le=500, description="How many parts that time has.")] = 60,
) -> Response:
    """Say how many jobs ended, and how long they waited and ran, over time, from the newest 3,000 that ended."""
    now = utc_now()
    since = now - timedelta(minutes=minutes)
    found = await read_series(ask.app.store, since=since, until=now, parts=parts, scope=ask.scope)
    return reply(series_document(found))


async def scale(
    ask: Asked,
    queue: Queues,
    slots: Annotated[
        int | None, Query(ge=1, le=100_000, description="Jobs at once in one worker; default: `concurrency`.")
    ] = None,
) -> Response:
    """Say how many workers the backlog calls for, limits considered."""
    found = await read_demand(ask.app.store, slots=slots or ask.app.config.concurrency, queues=queue)
    return reply({"desired": found.desired, "runnable": found.runnable, "slots": found.slots})


async def metrics(ask: Asked) -> Response:
    """Get what this process has measured, as Prometheus reads it."""
    try:
        found = None if ask.measure is None else ask.measure()
    except DispatchError as error:
        raise Problem(404, code_of(type(error)), str(error)) from error
    if found is None:
        raise Problem(404, "not_measured", "this server measures nothing")
    return Response(found, media_type=CONTENT_TYPE)


async def health(ask: Asked) -> Response:
    """Say whether this process makes progress: 200, else 503."""
    document = await _health(ask)
    return reply(document, status=200 if document["live"] else 503)


async def ready(ask: Asked) -> Response:
    """Say whether this process may be counted on: 200, else 503."""
    document = await _health(ask)
    return reply(document, status=200 if document["ready"] else 503)


async def _health(ask: Any) -> HealthDocument:
    engine = ask.app.engine
    own = None if engine is None else engine.health()
    reasons = [] if own is None else list(own.reasons)
    try:
        await ask.app.store.ping()
        answers = True
    except DispatchError:
        answers = False
        reasons.append("the store does not answer")
    live, prepared = (True, True) if own is None else (own.live, own.ready)
    return {"live": live, "ready": prepared and answers, "reasons": reasons}


_UNWELL = {503: "It does not: the same document says why."}
ROUTES = (
    Route("GET", "/v1/status", status, STATS_READ, StatusDocument, shared=True),
    Route("GET", "/v1/stats", stats, STATS_READ, StatsDocument),
    Route("GET", "/v1/stats/series", series, STATS_READ, SeriesDocument),
    Route("GET", "/scale", scale, STATS_READ, ScaleDocument, shared=True),
    Route("GET", "/metrics", metrics, STATS_READ, shared=True, media="text/plain"),
    Route("GET", "/healthz", health, ANYBODY, HealthDocument, also=_UNWELL),
    Route("GET", "/readyz", ready, ANYBODY, HealthDocument, also=_UNWELL),
)
