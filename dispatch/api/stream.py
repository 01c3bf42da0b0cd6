"""The route that streams what happens: server-sent events out of the feed, resumed by Last-Event-ID."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from typing import Annotated

from fastapi import Header, Query
from starlette.responses import Response, StreamingResponse

from dispatch.access import SUBSCRIBE
from dispatch.api.guard import Ask
from dispatch.api.problems import Problem
from dispatch.api.routing import Asked, Route
from dispatch.clock import boot_seconds
from dispatch.errors import APIKeyNotFound
from dispatch.streams import Event, Item, Lagged, Subscription
from dispatch.text import iso

_BEAT = 15.0
"""Seconds of silence after which a comment keeps the connection open."""
_BUFFER = 1000
_AT_ONCE = 100
_MOST_STREAMS = 500
_LARGEST = 2**62


async def stream(
    ask: Asked,
    channel: Annotated[
        str,
        Query(
            max_length=160,
            pattern=r"^(jobs|workflows|crons|firehose|(job|workflow|queue):[A-Za-z0-9_.:-]{1,128})$",
            description="job:<id>, workflow:<run id>, queue:<name>, jobs, workflows, crons or firehose.",
        ),
    ] = "firehose",
    after: Annotated[
        int | None, Query(ge=0, le=_LARGEST, description="The id of the last event that was seen.")
    ] = None,
    last: Annotated[str | None, Header(alias="Last-Event-ID", max_length=20, pattern="^[0-9]*$")] = None,
    ticket: Annotated[str | None, Query(max_length=256, description="Instead of a key: see POST /v1/tickets.")] = None,
) -> Response:
    """Stream what happens, whatever process does it, as server-sent events.

    Each event's `id` is where to go on (`Last-Event-ID`, which browsers send by themselves), its `event` is
    `job.completed` and so on, its `data` the JSON object `{id, type, ts, topic, data}`. `lagged` (`{missed}`) and
    `reset` tell that events are missing.
    """
    position = int(last) if last else after
    if position is not None and position > _LARGEST:
        raise Problem(422, "invalid_request", "Last-Event-ID is the id of no event")
    if len(ask.streams) >= _MOST_STREAMS:
        raise Problem(503, "too_many_streams", "too many streams are open on this server", headers={"Retry-After": "5"})
    tenant = ask.identity.scope.tenant if ask.identity.bound else None
    subscription = await ask.app.feed.subscribe(channel, tenant=tenant, after=position, buffer=_BUFFER)
    ask.streams.add(subscription)
    headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
    return StreamingResponse(_sent(subscription, ask), media_type="text/event-stream", headers=headers)


async def _sent(subscription: Subscription, ask: Ask) -> AsyncIterator[bytes]:
    """The stream's bytes; the subscription ends with whoever reads them, and with the key or session."""
    pull: asyncio.Task[list[Item]] | None = None
    looked = boot_seconds()
    try:
        yield b"retry: 1000\n\n"
        while True:
            if boot_seconds() - looked >= _BEAT:
                if not await _still_welcome(ask):
                    return
                looked = boot_seconds()
            pull = pull or asyncio.ensure_future(subscription.pull(_AT_ONCE))
            done, _ = await asyncio.wait({pull}, timeout=_BEAT)
            if not done:
                yield b": still here\n\n"
                continue
            items, pull = pull.result(), None
            if not items:
                return
            yield b"".join(frame(item) for item in items)
    finally:
        if pull is not None:
            pull.cancel()
        ask.streams.discard(subscription)
        await subscription.close()


async def _still_welcome(ask: Ask) -> bool:
    """Whether the key or session that opened the stream is valid still."""
    try:
        if ask.token:
            return await ask.app.logins.session(ask.token) is not None
        if ask.identity.key_id:
            await ask.app.keys.get(ask.identity.key_id)
    except APIKeyNotFound:
        return False
    return True


def frame(item: Item) -> bytes:
    """One server-sent event."""
    if isinstance(item, Event):
        kind, ts = item.type, iso(item.ts)
        data: Mapping[str, object] = {"id": item.id, "type": kind, "ts": ts, "topic": item.topic, "data": item.data}
    elif isinstance(item, Lagged):
        kind, data = "lagged", {"missed": item.missed}
    else:
        kind, data = "reset", {}
    return f"id: {item.position}\nevent: {kind}\ndata: {json.dumps(data)}\n\n".encode()


ROUTES = (
    Route("GET", "/v1/stream", stream, SUBSCRIBE, media="text/event-stream", ticket=True),
)  # fmt: skip
