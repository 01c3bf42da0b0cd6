"""Server-sent events over a real socket: what happened, in order, resumed, of one's own tenant, until the key ends."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from dispatch.access import EVERYTHING
from dispatch.api import stream
from dispatch.api.server import served
from dispatch.errors import ConfigError
from dispatch.ids import JobID
from dispatch.jobs.model import NewJob
from dispatch.scope import Scope
from tests.api.world import OURS, THEIRS, World, world


@asynccontextmanager
async def reading(port: int, path: str, **headers: str) -> AsyncIterator[AsyncIterator[dict[str, Any]]]:
    """The events that a GET answers, one by one."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    lines = [f"GET {path} HTTP/1.1", f"Host: localhost:{port}"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    writer.write("\r\n".join([*lines, "", ""]).encode())
    async with asyncio.timeout(20):
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
    status = int(head.split()[1])
    if status != 200:
        writer.close()
        raise AssertionError(f"{status}: {head}")
    assert "text/event-stream" in head

    async def events() -> AsyncIterator[dict[str, Any]]:
        found: dict[str, Any] = {}
        while True:
            async with asyncio.timeout(20):
                line = (await reader.readline()).decode().rstrip("\r\n")
                if not line and reader.at_eof():
                    return
            name, _, value = line.partition(": ")
            if name in ("id", "event", "data"):
                found[name] = json.loads(value) if name == "data" else value
            elif not line and "event" in found:
                yield found
                found = {}

    try:
        yield events()
    finally:
        writer.close()


async def enqueue(found: World, name: str, scope: Scope = OURS) -> JobID:
    job = NewJob(JobID.new(), name, b"{}", scope=scope)
    await found.app.store.jobs.enqueue([job])
    return job.id


async def take(events: AsyncIterator[dict[str, Any]], count: int) -> list[dict[str, Any]]:
    return [await anext(events) for _ in range(count)]


async def test_what_happens_is_streamed_in_order_and_resumed_without_loss() -> None:
    async with world() as found, served(found.app, host="127.0.0.1", port=0) as (_, port):
        token = f"Bearer {await found.key('subscribe')}"
        async with reading(port, "/v1/stream?channel=jobs", Authorization=token) as events:
            first = [await enqueue(found, f"n{n}") for n in range(3)]
            seen = await take(events, 3)
            assert [event["data"]["data"]["job_id"] for event in seen] == first
            assert {event["event"] for event in seen} == {"job.enqueued"}
            assert all(event["data"]["type"] == "job.enqueued" for event in seen)
        missed = [await enqueue(found, f"m{n}") for n in range(3)]
        last = seen[-1]["id"]
        async with reading(port, "/v1/stream?channel=jobs", Authorization=token, Last_Event_ID=last) as events:
            assert [event["data"]["data"]["job_id"] for event in await take(events, 3)] == missed
        async with reading(port, f"/v1/stream?channel=jobs&after={last}", Authorization=token) as events:
            assert [event["data"]["data"]["job_id"] for event in await take(events, 3)] == missed


async def test_a_tenant_s_stream_has_its_own_events_only() -> None:
    async with world() as found, served(found.app, host="127.0.0.1", port=0) as (_, port):
        token = f"Bearer {await found.key(EVERYTHING, scope=OURS)}"
        async with reading(port, "/v1/stream", Authorization=token) as events:
            await enqueue(found, "secret", THEIRS)
            own = await enqueue(found, "own", OURS)
            assert (await anext(events))["data"]["data"]["job_id"] == own


async def test_a_ticket_opens_one_stream_in_a_url() -> None:
    async with world() as found, served(found.app, host="127.0.0.1", port=0) as (_, port):
        ticket = (await found.ask("POST", "/v1/tickets", await found.key("subscribe"))).json()["ticket"]
        async with reading(port, f"/v1/stream?channel=jobs&ticket={ticket}") as events:
            own = await enqueue(found, "n")
            assert (await anext(events))["data"]["data"]["job_id"] == own
        with pytest.raises(AssertionError, match="401"):
            async with reading(port, f"/v1/stream?channel=jobs&ticket={ticket}"):
                pass


async def test_a_stream_ends_with_its_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stream, "_BEAT", 0.05)
    async with world() as found, served(found.app, host="127.0.0.1", port=0) as (_, port):
        token = await found.key("subscribe")
        async with reading(port, "/v1/stream?channel=jobs", Authorization=f"Bearer {token}") as events:
            await enqueue(found, "n")
            assert (await anext(events))["event"] == "job.enqueued"
            await found.app.keys.revoke(token.split("_")[1])
            assert [event async for event in events] == []


async def test_a_stopping_server_ends_its_streams() -> None:
    async with world() as found:
        token = f"Bearer {await found.key('subscribe')}"
        async with served(found.app, host="127.0.0.1", port=0) as (_, port):
            holding = reading(port, "/v1/stream?channel=jobs", Authorization=token)
            events = await holding.__aenter__()
        assert [event async for event in events] == []
        await holding.__aexit__(None, None, None)


async def test_what_other_machines_reach_needs_a_key() -> None:
    async with world() as found:
        with pytest.raises(ConfigError, match="no API key: make one with `dispatch apikey create"):
            async with served(found.app, host="0.0.0.0", port=0):
                raise AssertionError
        await found.key()
        async with served(found.app, host="0.0.0.0", port=0) as (host, port):
            assert (host, port > 0) == ("0.0.0.0", True)


@pytest.mark.parametrize("channel", ["nope", "job:", "job:a b", "tenant:x", ""])
async def test_a_channel_that_is_none_is_refused(channel: str) -> None:
    async with world() as found:
        answer = await found.ask("GET", f"/v1/stream?channel={channel}", await found.key())
        assert answer.status_code == 422
