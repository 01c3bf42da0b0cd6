"""Routes about cron entries."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated, Any

from fastapi import Query
from pydantic import Field
from starlette.responses import Response
from typing_extensions import TypedDict

from dispatch.access import CRON_READ, CRON_WRITE
from dispatch.api.guard import Ask
from dispatch.api.idempotency import once
from dispatch.api.params import (
    DEFAULT_LIMIT,
    TENANT,
    Body,
    CronKey,
    Cursor,
    IdempotencyKey,
    Items,
    Limit,
    Listed,
    Moment,
    Names,
    NameText,
    Payload,
    Priority,
    Reason,
    Seconds,
    Tag,
    Text,
    Why,
    WhyInURL,
    hidden,
    page_size,
    revealed,
    scope_named,
)
from dispatch.api.problems import Problem, reply
from dispatch.api.routing import Asked, Route
from dispatch.clock import utc_now
from dispatch.crons.model import CronEntry, ListOptions, Misfire, Overlap
from dispatch.crons.schedule import zone_of
from dispatch.documents.crons import (
    CronDocument,
    CronSummary,
    TickDocument,
    entry_document,
    entry_summary,
    tick_document,
)
from dispatch.jobs.options import EnqueueOptions
from dispatch.scope import Scope
from dispatch.services.audit import acting_as
from dispatch.services.named import named_payload
from dispatch.text import iso


class TimingBody(Body):
    """When an entry ticks, and what it does about late and overlapping ticks."""

    timezone: Text | None = None
    overlap: Overlap | None = None
    misfire: Misfire | None = None
    misfire_window: Seconds | None = None
    jitter: Seconds | None = None

    def timing(self) -> dict[str, Any]:
        """What is given, as the services take it."""
        names = ("timezone", "overlap", "misfire", "misfire_window", "jitter")
        return {name: value for name in names if (value := getattr(self, name)) is not None}


class CreateBody(TimingBody):
    """An entry to make."""

    name: NameText
    schedule: Text
    target: NameText = Field(description="The job or workflow that it calls.")
    payload: Payload = None
    queue: NameText | None = None
    priority: Priority | None = None
    tags: list[Tag] | None = Field(None, max_length=50)
    tenant: Annotated[str, Field(pattern=TENANT)] | None = Field(
        None, description="app/org: whose it is. Only for keys that are bound to no tenant; default: the key's own."
    )
    dry_run: bool = Field(False, description="Answer it as it would be, and write nothing.")
    reason: Reason = ""


class EditBody(TimingBody):
    """What is to change; the rest stays."""

    schedule: Text | None = None
    payload: dict[str, Any] | list[Any] | None = Field(None, description="All arguments of the call.")
    dry_run: bool = Field(False, description="Answer it as it would be, and write nothing.")
    reason: Reason = ""


class DisableBody(Body):
    """For how long, and why."""

    until: Moment | None = Field(None, description="Left out: until somebody enables it.")
    reason: Reason = ""


class ShownCron(CronDocument):
    """A cron entry with its next times."""

    next: list[str]


class NextDocument(TypedDict):
    """A tick to come, in UTC and on the entry's wall clock."""

    at: str
    wall: str


class PrunedCron(TypedDict):
    """An entry that was deleted."""

    name: str
    outcome: str


async def list_entries(
    ask: Asked,
    name: Names,
    enabled: bool | None = None,
    orphaned: bool | None = None,
    tenant: Annotated[str | None, Query(pattern=TENANT, description="app/org: only this tenant's.")] = None,
    limit: Limit = DEFAULT_LIMIT,
    cursor: Cursor = None,
) -> Response:
    """List cron entries by name: when they tick, what they call, whether they fire."""
    options = ListOptions(
        enabled,
        orphaned,
        name,
        scope=_whose(ask, tenant) if tenant is not None else ask.scope,
        limit=page_size(ask, limit),
        cursor=revealed(cursor),
    )
    page = await ask.app.crons.list(options)
    documents = [entry_summary(entry) for entry in page.items]
    return reply({"items": documents, "next_cursor": hidden(page.next_cursor)})


async def create(ask: Asked, body: CreateBody, key: IdempotencyKey = None) -> Response:
    """Make a cron entry for a job or workflow by its name."""

    async def act() -> Response:
        options = EnqueueOptions(queue=body.queue, priority=body.priority, tags=body.tags)
        with acting_as(ask.identity.who, body.reason):
            entry = await ask.app.crons.create_named(
                body.name,
                body.schedule,
                body.target,
                body.payload,
                options,
                scope=_whose(ask, body.tenant) if body.tenant is not None else ask.identity.scope,
                dry_run=body.dry_run,
                **body.timing(),
            )
        return reply(entry_document(entry), status=200 if body.dry_run else 201)

    return await once(ask, None if body.dry_run else key, "cron.create", body, act)


async def show(ask: Asked, cron: CronKey) -> Response:
    """Show a cron entry: what it calls and when, whether it fires, its next times."""
    entry = await _entry(ask, cron)
    following = await ask.app.crons.next(entry.name, count=3, scope=entry.spec.scope)
    return reply({**entry_document(entry), "next": [iso(moment) for moment in following]})


async def edit(ask: Asked, cron: CronKey, body: EditBody) -> Response:
    """Change an entry that was made at run time."""
    entry = await _entry(ask, cron)
    changes = body.timing()
    if body.schedule is not None:
        changes["schedule"] = body.schedule
    if body.payload is not None:
        announced = await ask.app.crons.announced(entry.spec.target)
        schema = announced.schema if announced else None
        changes["payload"] = named_payload(entry.spec.target, body.payload, schema)
    if not changes:
        raise Problem(422, "invalid_request", "what is to change? Name the schedule, the payload or a rule")
    with acting_as(ask.identity.who, body.reason):
        after = await ask.app.crons.edit(entry.name, scope=entry.spec.scope, dry_run=body.dry_run, **changes)
    return reply(entry_document(after))


async def enable(ask: Asked, cron: CronKey, body: Why | None = None) -> Response:
    """Let an entry fire again, from its next tick on."""
    entry = await _entry(ask, cron)
    with acting_as(ask.identity.who, "" if body is None else body.reason):
        await ask.app.crons.enable(entry.name, scope=entry.spec.scope)
    return reply(entry_document(await _entry(ask, entry.id)))


async def disable(ask: Asked, cron: CronKey, body: DisableBody | None = None) -> Response:
    """Keep an entry from firing, for good or until then; deploys do not change that."""
    entry, given = await _entry(ask, cron), body or DisableBody(until=None)
    if given.until is not None and given.until < utc_now() - timedelta(days=1):
        raise Problem(422, "invalid_request", "`until` has passed")
    who = ask.identity.who
    await ask.app.crons.disable(
        entry.name, until=given.until, reason=given.reason, by=who, scope=entry.spec.scope
    )  # fmt: skip
    return reply(entry_document(await _entry(ask, entry.id)))


async def trigger(ask: Asked, cron: CronKey, body: Why | None = None, key: IdempotencyKey = None) -> Response:
    """Make the entry's call now, enabled or not; its schedule goes on as before."""

    async def act() -> Response:
        entry = await _entry(ask, cron)
        with acting_as(ask.identity.who, "" if body is None else body.reason):
            tick = await ask.app.crons.trigger(entry.name, scope=entry.spec.scope)
        return reply(tick_document(tick), status=201)

    return await once(ask, key, f"cron.trigger {cron}", body or Why(), act)


async def delete(ask: Asked, cron: CronKey, reason: WhyInURL = "") -> Response:
    """Delete an entry with its history; what it has made runs on."""
    entry = await _entry(ask, cron)
    with acting_as(ask.identity.who, reason):
        await ask.app.crons.delete(entry.name, scope=entry.spec.scope)
    return Response(status_code=204)


async def history(ask: Asked, cron: CronKey, limit: Annotated[int, Query(ge=1, le=500)] = DEFAULT_LIMIT) -> Response:
    """List the latest ticks of an entry, newest first, and what became of them."""
    entry = await _entry(ask, cron)
    ticks = await ask.app.crons.history(entry.name, limit=limit, scope=entry.spec.scope)
    return reply({"items": [tick_document(tick) for tick in ticks]})


async def following(ask: Asked, cron: CronKey, count: Annotated[int, Query(ge=1, le=1000)] = 10) -> Response:
    """Say when an entry ticks next, were it enabled."""
    entry = await _entry(ask, cron)
    zone = zone_of(entry.spec.timezone)
    moments = await ask.app.crons.next(entry.name, count=count, scope=entry.spec.scope)
    return reply({"items": [{"at": iso(one), "wall": one.astimezone(zone).isoformat()} for one in moments]})


async def prune(ask: Asked, body: Why | None = None) -> Response:
    """Delete the entries whose code no live worker has."""
    with acting_as(ask.identity.who, "" if body is None else body.reason):
        names = await ask.app.crons.prune_orphans()
    return reply({"items": [{"name": name, "outcome": "deleted"} for name in names]})


def _whose(ask: Ask, tenant: str) -> Scope:
    """The tenant that is named, by a key that is bound to none or to this one. Raises Problem (403)."""
    scope = scope_named(tenant)
    if ask.scope not in (None, scope):
        raise Problem(403, "forbidden", "this key belongs to another tenant")
    return scope


async def _entry(ask: Ask, key: str) -> CronEntry:
    return await ask.app.crons.find(key, scope=ask.scope)


_ONE = "/v1/crons/{cron}"
ROUTES = (
    Route("GET", "/v1/crons", list_entries, CRON_READ, Listed[CronSummary]),
    Route("POST", "/v1/crons", create, CRON_WRITE, CronDocument, status=201, also={200: "What it would be."}),
    Route("POST", "/v1/crons/prune", prune, CRON_WRITE, Items[PrunedCron], shared=True),
    Route("GET", _ONE, show, CRON_READ, ShownCron),
    Route("PATCH", _ONE, edit, CRON_WRITE, CronDocument),
    Route("DELETE", _ONE, delete, CRON_WRITE, status=204),
    Route("POST", f"{_ONE}/enable", enable, CRON_WRITE, CronDocument),
    Route("POST", f"{_ONE}/disable", disable, CRON_WRITE, CronDocument),
    Route("POST", f"{_ONE}/trigger", trigger, CRON_WRITE, TickDocument, status=201),
    Route("GET", f"{_ONE}/history", history, CRON_READ, Items[TickDocument]),
    Route("GET", f"{_ONE}/next", following, CRON_READ, Items[NextDocument]),
)
