"""The WebSocket: handshake, both formats, events of what other processes do, credits, and clients that misbehave."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx2
import msgspec
import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from dispatch import Dispatch
from dispatch.scope import Scope, use_scope
from dispatch.wire import session, subscriptions

from .conftest import Place, registry


class Peer:
    """A client that does exactly what it is told."""

    def __init__(self, socket: ClientConnection, *, binary: bool = False) -> None:
        self.socket = socket
        self._binary = binary
        self._number = 0
        self.events: asyncio.Queue[dict[str, Any]] = asyncio.Queue()

    async def send(self, **frame: Any) -> None:
        await self.socket.send(msgspec.msgpack.encode(frame) if self._binary else json.dumps(frame))

    async def frame(self) -> dict[str, Any]:
        async with asyncio.timeout(20):
            data = await self.socket.recv()
        assert isinstance(data, bytes) == self._binary
        found: dict[str, Any] = msgspec.msgpack.decode(data) if isinstance(data, bytes) else json.loads(data)
        return found

    async def ask(self, method: str, data: Any = None, **more: Any) -> dict[str, Any]:
        self._number += 1
        await self.send(type="request", id=str(self._number), method=method, data=data or {}, **more)
        while (frame := await self.frame()).get("correl_id") != str(self._number):
            self.events.put_nowait(frame)
        return frame

    async def event(self) -> dict[str, Any]:
        frame = await self.frame() if self.events.empty() else self.events.get_nowait()
        assert frame["type"] == "event", frame
        found: dict[str, Any] = frame["data"] | {"channel": frame["channel"]}
        return found

    async def close_code(self) -> int:
        with pytest.raises(ConnectionClosed) as caught:
            async with asyncio.timeout(20):
                while True:
                    await self.socket.recv()
        return caught.value.rcvd.code if caught.value.rcvd else 0


@asynccontextmanager
async def peer(place: Place, *, token: str | None = None, format: str = "json", **options: Any) -> AsyncIterator[Peer]:
    async with connect(f"ws://{place.host}:{place.port}/dwp", compression=None, **options) as socket:
        first = Peer(socket)
        hello = {"token": place.token if token is None else token, "format": format}
        answer = await first.ask("auth", hello)
        assert answer["type"] == "response" and answer["data"]["format"] == format, answer
        yield Peer(socket, binary=format == "msgpack")


@asynccontextmanager
async def bare(place: Place, **options: Any) -> AsyncIterator[Peer]:
    async with connect(f"ws://{place.host}:{place.port}/dwp", compression=None, **options) as socket:
        yield Peer(socket)


@pytest.mark.parametrize("format", ["json", "msgpack"])
async def test_both_formats_ask_and_are_answered(place: Place, format: str) -> None:
    async with peer(place, format=format) as client:
        made = await client.ask("job.enqueue", {"name": "greet", "payload": ["ada"]})
        assert made["data"]["state"] == "pending" and made["ts"].endswith("Z")
        await client.send(type="ping", id="p")
        assert (await client.frame())["correl_id"] == "p"
        assert (await client.ask("no.such"))["error"]["code"] == 405


async def test_what_a_format_cannot_hold_is_an_error_and_not_the_end(place: Place) -> None:
    made = await place.app.jobs.enqueue_named("greet", {"name": "ada", "times": 10**30})
    async with peer(place, format="msgpack") as client:
        assert "json can hold it" in (await client.ask("job.get", {"job_id": str(made.id)}))["error"]["message"]
        assert (await client.ask("stats"))["type"] == "response"
    async with peer(place) as client:
        assert (await client.ask("job.get", {"job_id": str(made.id)}))["data"]["payload"]["times"] == 10**30


async def test_the_token_may_stand_in_the_envelope(place: Place) -> None:
    async with bare(place) as client:
        assert (await client.ask("auth", token=place.token))["data"]["session_id"].startswith("ses_")


@pytest.mark.parametrize(
    "hello",
    [
        {"type": "request", "method": "auth", "data": {"token": "dk_wrong"}},
        {"type": "request", "method": "auth"},
        {"type": "request", "method": "job.list"},
        {"type": "event"},
        {"type": "request", "method": "auth", "data": {"token": 5}},
    ],
    ids=["wrong", "none", "other method", "event", "no text"],
)
async def test_who_does_not_prove_who_they_are_is_sent_away(place: Place, hello: dict[str, Any]) -> None:
    async with bare(place) as client:
        await client.send(**hello)
        assert (await client.frame())["error"]["code"] in (400, 401)
        assert await client.close_code() == 1008


async def test_who_says_nothing_is_sent_away(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(session, "AUTH_WITHIN", 0.05)
    async with bare(place) as client:
        assert await client.close_code() == 1008


async def test_a_page_of_another_origin_may_not_come_in(place: Place) -> None:
    with pytest.raises(Exception, match="HTTP 403"):
        async with bare(place, origin="https://evil.example"):
            raise AssertionError("let in")


async def test_a_key_that_is_revoked_ends_its_connection(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(session, "_LOOK_AGAIN", 0.05)
    monkeypatch.setattr(session.Session.__init__, "__kwdefaults__", {"look_again": 0.05})
    made = await place.app.keys.create("soon gone", scopes=("*",))
    async with peer(place, token=made.token) as client:
        await place.app.keys.revoke(made.key.id)
        assert await client.close_code() == 1008


async def test_a_frame_that_is_none_is_answered_and_the_connection_stays(place: Place) -> None:
    async with peer(place) as client:
        for garbage in ("", "{", "[]", '{"type": "shout"}', b"\x00\xff", "\x00"):
            await client.socket.send(garbage)
            assert (await client.frame())["error"]["code"] == 400
        assert (await client.ask("stats"))["type"] == "response"


async def test_a_frame_that_is_too_large_ends_the_connection(place: Place) -> None:
    async with peer(place) as client:
        await client.socket.send("x" * 1_100_000)
        assert await client.close_code() == 1009


async def test_events_of_work_done_elsewhere_arrive_in_order(place: Place) -> None:
    async with peer(place) as client, Dispatch(place.app.store.url, registry=registry) as other:
        subscribed = await client.ask("subscribe", {"channel": "queue:mail"})
        assert subscribed["data"]["status"] == "subscribed"
        jobs = [await other.jobs.enqueue_named("greet", ["ada"]) for _ in range(3)]
        await other.jobs.enqueue_named("fail")
        await other.start()
        seen = [await client.event() for _ in range(9)]
        for job in jobs:
            own = [event["type"] for event in seen if event["data"]["job_id"] == job.id]
            assert own == ["job.enqueued", "job.started", "job.completed"]
        assert {event["channel"] for event in seen} == {"queue:mail"}
        assert [event["after"] for event in seen] == sorted(event["after"] for event in seen)
        assert len({event["id"] for event in seen}) == 9
        assert seen[0]["topic"] == f"job:{seen[0]['data']['job_id']}"


async def test_a_subscription_is_made_once_and_ended_by_channel_or_id(place: Place) -> None:
    async with peer(place) as client:
        first = (await client.ask("subscribe", {"channel": "jobs"}))["data"]
        assert (await client.ask("subscribe", {"channel": "jobs"}))["error"]["code"] == 409
        assert (await client.ask("unsubscribe", {"subscription_id": first["subscription_id"]}))["data"][
            "channel"
        ] == "jobs"
        assert (await client.ask("unsubscribe", {"channel": "jobs"}))["error"]["code"] == 404
        assert (await client.ask("subscribe", {"channel": "jobs"}))["type"] == "response"
        assert (await client.ask("unsubscribe", {"channel": "jobs"}))["data"]["status"] == "unsubscribed"
        await place.app.jobs.enqueue_named("greet", ["ada"])
        assert (await client.ask("stats"))["data"]["jobs"]["pending"] == 1
        assert client.events.empty()


@pytest.mark.parametrize(
    ("channel", "code"),
    [("nowhere", 400), ("job:garbage", 404), ("workflow:run_00000000000000000000000000", 404), ("", 400)],
)
async def test_there_are_no_other_channels(place: Place, channel: str, code: int) -> None:
    async with peer(place) as client:
        assert (await client.ask("subscribe", {"channel": channel}))["error"]["code"] == code


async def test_a_tenant_hears_of_its_own_work_only(place: Place) -> None:
    tenant = Scope("shop", "t-1")
    foreign = await place.app.jobs.enqueue_named("greet", ["ada"])
    async with peer(place, token=await place.key("subscribe", tenant=tenant)) as client:
        assert (await client.ask("subscribe", {"channel": f"job:{foreign.id}"}))["error"]["code"] == 404
        for channel in ("jobs", "firehose", "queue:mail"):
            await client.ask("subscribe", {"channel": channel})
        await place.app.jobs.enqueue_named("greet", ["eve"])
        with use_scope("shop", "t-1"):
            own = await place.app.jobs.enqueue_named("greet", ["bob"])
        for _ in range(3):
            assert (await client.event())["data"]["job_id"] == own.id
        assert (await client.ask("subscribe", {"channel": f"job:{own.id}"}))["type"] == "response"


async def test_without_the_scope_nobody_subscribes(place: Place) -> None:
    async with peer(place, token=await place.key("job:read")) as client:
        assert (await client.ask("subscribe", {"channel": "jobs"}))["error"]["code"] == 403


async def test_who_counts_credits_gets_no_more_than_it_granted(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(subscriptions.Credits.__init__, "__defaults__", (2,))
    async with peer(place) as client:
        await client.ask("subscribe", {"channel": "jobs", "credits": 1})
        for _ in range(6):
            await place.app.jobs.enqueue_named("greet", ["ada"])
        first = [await client.event() for _ in range(3)]
        assert (await client.ask("stats"))["data"]["jobs"]["pending"] == 6
        assert client.events.empty()
        await client.send(type="ping", id="more", credits=3)
        rest: list[dict[str, Any]] = []
        while len(rest) < 3:
            frame = await client.frame()
            rest += [frame["data"]] if frame["type"] == "event" else []
        assert len({event["id"] for event in first + rest}) == 6


async def test_who_reads_too_slowly_is_told_how_much_it_missed(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(subscriptions, "_BUFFER", 5)
    monkeypatch.setattr(subscriptions, "_AT_ONCE", 1)
    monkeypatch.setattr(subscriptions.Credits.__init__, "__defaults__", (1,))
    async with peer(place) as client:
        await client.ask("subscribe", {"channel": "jobs", "credits": 0})
        first = await place.app.jobs.enqueue_named("greet", ["ada"])
        assert (await client.event())["data"]["job_id"] == first.id
        watcher = await place.app.feed.subscribe("jobs", tenant=None)
        for _ in range(40):
            await place.app.jobs.enqueue_named("greet", ["ada"])
        seen = 0
        while seen < 40:
            seen += len(await watcher.pull())
        await client.send(type="ping", credits=1000)
        told = missed = 0
        while told + missed < 40:
            frame = await client.frame()
            if frame["type"] == "event":
                missed += frame["data"].get("missed", 0)
                told += frame["data"]["type"] == "job.enqueued"
        assert missed >= 20 and told + missed == 40


async def test_who_comes_back_goes_on_where_it_was(place: Place) -> None:
    async with peer(place) as client:
        after = (await client.ask("subscribe", {"channel": "jobs"}))["data"]["after"]
        await place.app.jobs.enqueue_named("greet", ["ada"])
        seen = await client.event()
        assert seen["after"] > after
    missed = [(await place.app.jobs.enqueue_named("greet", [str(n)])).id for n in range(5)]
    async with peer(place) as client:
        await client.ask("subscribe", {"channel": "jobs", "after": seen["after"]})
        assert [(await client.event())["data"]["job_id"] for _ in range(5)] == missed


async def test_many_requests_at_once_are_all_answered(place: Place) -> None:
    async with peer(place) as client:
        for number in range(200):
            await client.send(
                type="request", id=f"r{number}", method="job.enqueue", data={"name": "greet", "payload": ["ada"]}
            )
        answers = {(await client.frame())["correl_id"] for _ in range(200)}
        assert answers == {f"r{number}" for number in range(200)}


async def test_server_sent_events_are_frames_too(place: Place) -> None:
    async with httpx2.AsyncClient(
        timeout=30, base_url=place.url, headers={"Authorization": f"Bearer {place.token}"}
    ) as http:
        assert (await http.get("/dwp/sse")).status_code == 400
        assert (await http.get("/dwp/sse", params={"channel": "nowhere"})).status_code == 400
        assert (await http.get("/dwp/sse", params={"channel": "jobs", "after": "x"})).status_code == 400
        assert (
            await http.get("/dwp/sse", params={"channel": "jobs"}, headers={"Authorization": ""})
        ).status_code == 401
        async with http.stream("GET", "/dwp/sse", params={"channel": ["jobs", "crons"]}) as answer:
            lines = answer.aiter_lines()
            assert (await anext(lines)).startswith("retry:")
            made = await place.app.jobs.enqueue_named("greet", ["ada"])
            async with asyncio.timeout(20):
                data = [line async for line in _until(lines, "data:")]
        frame = json.loads(data[-1].removeprefix("data:"))
        assert frame["channel"] == "jobs", frame
        assert frame["data"]["data"]["job_id"] == made.id


async def test_a_one_use_ticket_opens_a_stream_once(place: Place) -> None:
    async with httpx2.AsyncClient(timeout=30, base_url=place.url) as http:
        bearer = {"Authorization": f"Bearer {place.token}"}
        ticket = (await http.post("/v1/tickets", headers=bearer)).json()["ticket"]
        query = {"channel": "jobs", "ticket": ticket}
        async with http.stream("GET", "/dwp/sse", params=query) as answer:
            assert answer.status_code == 200
        assert (await http.get("/dwp/sse", params=query)).status_code == 401


async def _until(lines: AsyncIterator[str], prefix: str) -> AsyncIterator[str]:
    async for line in lines:
        yield line
        if line.startswith(prefix):
            return
