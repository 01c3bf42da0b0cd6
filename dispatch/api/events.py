"""Routes about events."""

from __future__ import annotations

from contextlib import AsyncExitStack
from typing import Annotated, Any

from fastapi import Query
from pydantic import Field
from starlette.responses import Response

from dispatch.access import EVENT_WRITE, WORKFLOW_READ
from dispatch.api.idempotency import once
from dispatch.api.params import (
    DEFAULT_LIMIT,
    Body,
    Cursor,
    EventIDText,
    IdempotencyKey,
    Limit,
    Listed,
    Names,
    NameText,
    id_cursor,
    listed,
    page_size,
)
from dispatch.api.problems import reply
from dispatch.api.routing import Asked, Route
from dispatch.documents.runs import EventDocument, event_document
from dispatch.events.model import ListOptions
from dispatch.ids import EventID


class PublishBody(Body):
    """An event to publish."""

    name: NameText
    payload: Any = None
    key: Annotated[str, Field(max_length=500, pattern=r"^[^\x00]*$")] | None = Field(
        None, description="Which thing it is about; only waits with exactly this key match."
    )


async def list_events(
    ask: Asked,
    name: Names,
    key: Annotated[str | None, Query(max_length=500)] = None,
    limit: Limit = DEFAULT_LIMIT,
    cursor: Cursor = None,
) -> Response:
    """List events, newest first, signals to single runs among them."""
    options = ListOptions(
        names=name, key=key, scope=ask.scope, limit=page_size(ask, limit), cursor=id_cursor("evt", cursor)
    )
    page = await ask.app.events.list(options)
    return reply(listed(page, [event_document(event) for event in page.items]))


async def publish(ask: Asked, body: PublishBody, key: IdempotencyKey = None) -> Response:
    """Publish an event durably, and wake the runs that wait for it."""

    async def act() -> Response:
        async with AsyncExitStack() as stack:
            if ask.by_session:
                await stack.enter_async_context(ask.app.audit.act("event.publish", detail=body.name))
            event = await ask.app.events.publish(body.name, body.payload, key=body.key)
        return reply(event_document(event), status=201)

    return await once(ask, key, "event.publish", body, act)


async def show(ask: Asked, event_id: EventIDText) -> Response:
    """Show an event with its payload."""
    return reply(event_document(await ask.app.events.get(EventID(event_id), scope=ask.scope)))


ROUTES = (
    Route("GET", "/v1/events", list_events, WORKFLOW_READ, Listed[EventDocument]),
    Route("POST", "/v1/events", publish, EVENT_WRITE, EventDocument, status=201),
    Route("GET", "/v1/events/{event_id}", show, WORKFLOW_READ, EventDocument),
)
