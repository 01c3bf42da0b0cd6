"""The client: every verb, both formats, errors by their kinds, and connections that are cut."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any

import pytest
from wire.conftest import Place, place

from dispatch.client import Client, ConnectionLost, Forbidden, RequestTimeout, SyncClient, Unauthenticated
from dispatch.client.link import address_of
from dispatch.errors import Conflict, InvalidArguments, NotFound, PayloadTooLarge

__all__ = ["place"]


class Cutter:
    """Stands between a client and its server, and cuts what goes through when told."""

    def __init__(self, place: Place) -> None:
        self._place = place
        self._open: list[asyncio.StreamWriter] = []
        self.refuses = False
        self.connections = 0

    async def __aenter__(self) -> Cutter:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.url = f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        self.cut()

    def cut(self) -> None:
        writers, self._open = self._open, []
        for writer in writers:
            writer.transport.abort()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self.refuses:
            writer.transport.abort()
            return
        self.connections += 1
        there, back = await asyncio.open_connection(self._place.host, self._place.port)
        self._open += [writer, back]
        await asyncio.gather(_copy(reader, back), _copy(there, writer))


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    except (ConnectionError, RuntimeError):
        return
    finally:
        writer.close()


@pytest.mark.parametrize("format", ["json", "msgpack"])
async def test_every_verb_does_what_it_says(place: Place, format: str) -> None:
    await place.app.start()
    async with await Client.connect(place.url, token=place.token, format=format) as client:
        made = await client.enqueue("greet", {"name": "ada"}, delay=timedelta(hours=1), priority=3)
        assert (await client.get_job(made["job_id"]))["priority"] == 3
        assert (await client.cancel_job(made["job_id"]))["state"] == "cancelled"
        assert len((await client.list_jobs(state=["cancelled"]))["items"]) == 1
        run = await client.start_workflow("approve", [4])
        states = []
        told = False
        async for document in client.watch(run["run_id"]):
            states.append(document["state"])
            if not told:
                told = True
                await client.publish_event("approved", {"bonus": 1}, key=4)
        assert states[-1] == "completed"
        assert (await client.get_workflow(run["run_id"]))["result"] == 12
        assert (await client.workflow_timeline(run["run_id"]))[0]["step_name"] == "look"
        with pytest.raises(Conflict):
            await client.cancel_workflow(run["run_id"])
        assert (await client.stats())["runs"]["completed"] == 1
        assert (await client.request("cron.list"))["items"] == []


async def test_refusals_have_the_names_they_have_in_process(place: Place) -> None:
    async with await Client.connect(place.url, token=await place.key("job:read", "job:write")) as client:
        with pytest.raises(NotFound):
            await client.get_job("job_00000000000000000000000000")
        with pytest.raises(InvalidArguments, match="nme"):
            await client.enqueue("greet", {"nme": "ada"})
        with pytest.raises(PayloadTooLarge):
            await client.enqueue("greet", ["x" * 300_000])
        with pytest.raises(Forbidden, match="stats:read"):
            await client.stats()
        with pytest.raises(InvalidArguments, match="no method"):
            await client.request("job.explode")


async def test_wrong_keys_addresses_and_formats_are_told_at_once(place: Place) -> None:
    with pytest.raises(Unauthenticated):
        await Client.connect(place.url, token="dk_nobody")
    with pytest.raises(ConnectionLost, match="does not answer"):
        await Client.connect("http://127.0.0.1:1", token=place.token)
    with pytest.raises(InvalidArguments, match="json and msgpack"):
        await Client.connect(place.url, token=place.token, format="yaml")
    with pytest.raises(InvalidArguments, match="no server's URL"):
        await Client.connect("localhost", token=place.token)


@pytest.mark.parametrize(
    ("url", "address"),
    [
        ("http://h:1", "ws://h:1/dwp"),
        ("https://h/", "wss://h/dwp"),
        ("ws://h:1/dwp", "ws://h:1/dwp"),
        ("https://h/ops", "wss://h/ops/dwp"),
    ],
)
def test_a_servers_url_and_its_socket_mean_the_same(url: str, address: str) -> None:
    assert address_of(url) == address


async def test_a_subscription_goes_on_over_connections_without_loss_or_repetition(place: Place) -> None:
    async with (
        Cutter(place) as cutter,
        await Client.connect(cutter.url, token=place.token) as client,
        await client.subscribe("jobs") as events,
    ):
        made: list[str] = []
        seen: list[Any] = []
        for number in range(4):
            made += [(await place.app.jobs.enqueue_named("greet", [str(number)])).id for _ in range(10)]
            seen += [await anext(events) for _ in range(5)]
            cutter.cut()
            made += [(await place.app.jobs.enqueue_named("greet", [str(number)])).id for _ in range(10)]
        async with asyncio.timeout(60):
            while len(seen) < len(made):
                seen.append(await anext(events))
        assert [event.data["job_id"] for event in seen] == made
        assert cutter.connections >= 3


async def test_a_request_that_can_be_repeated_waits_a_lost_connection_out(place: Place) -> None:
    async with Cutter(place) as cutter, await Client.connect(cutter.url, token=place.token, timeout=30) as client:
        cutter.refuses = True
        cutter.cut()
        waiting = asyncio.create_task(client.stats())
        keyed = asyncio.create_task(client.enqueue("greet", ["ada"], idempotency_key="once"))
        done, _ = await asyncio.wait([waiting, keyed], timeout=0.2)
        assert not done
        cutter.refuses = False
        assert (await waiting)["jobs"]["pending"] <= 1
        assert (await keyed)["created"]


async def test_a_request_that_may_have_been_done_is_not_repeated(place: Place) -> None:
    async with Cutter(place) as cutter, await Client.connect(cutter.url, token=place.token) as client:
        held: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        inner = place.app.jobs.enqueue_named

        async def slow(*args: Any, **kwargs: Any) -> Any:
            held.set_result(None)
            await asyncio.Event().wait()
            return await inner(*args, **kwargs)

        place.app.jobs.enqueue_named = slow  # type: ignore[method-assign]
        asked = asyncio.create_task(client.enqueue("greet", ["ada"]))
        await held
        cutter.cut()
        with pytest.raises(ConnectionLost):
            await asked


async def test_no_answer_in_time_is_an_error_of_its_own(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    async def never(*_: Any, **__: Any) -> Any:
        await asyncio.Event().wait()

    monkeypatch.setattr(place.app.jobs, "count", never)
    async with await Client.connect(place.url, token=place.token) as client:
        client._timeout = 0.1
        with pytest.raises(RequestTimeout, match="may or may not"):
            await client.stats()


async def test_without_reconnection_the_end_is_the_end(place: Place) -> None:
    async with Cutter(place) as cutter:
        client = await Client.connect(cutter.url, token=place.token, reconnect=False)
        events = await client.subscribe("jobs")
        cutter.cut()
        with pytest.raises(ConnectionLost):
            await anext(events)
        with pytest.raises(ConnectionLost):
            await client.stats()
        await client.close()


async def test_a_revoked_key_ends_the_subscriptions_with_the_reason(place: Place) -> None:
    made = await place.app.keys.create("soon gone", scopes=("*",))
    async with Cutter(place) as cutter, await Client.connect(cutter.url, token=made.token) as client:
        events = await client.subscribe("jobs")
        await place.app.keys.revoke(made.key.id)
        cutter.cut()
        with pytest.raises(Unauthenticated):
            await anext(events)
        with pytest.raises(Unauthenticated):
            await client.stats()


async def test_closing_ends_who_waits(place: Place) -> None:
    client = await Client.connect(place.url, token=place.token)
    events = await client.subscribe("jobs")
    waiting = asyncio.create_task(anext(events))
    await asyncio.sleep(0)
    await client.close()
    with pytest.raises(StopAsyncIteration):
        await waiting
    await client.close()


async def test_more_events_than_the_credits_of_a_connection_arrive(place: Place) -> None:
    async with await Client.connect(place.url, token=place.token) as client, await client.subscribe("jobs") as events:
        calls = 1500
        for _ in range(calls // 100):
            await asyncio.gather(*(place.app.jobs.enqueue_named("greet", ["ada"]) for _ in range(100)))
        seen = [await anext(events) for _ in range(calls)]
        assert len({event.id for event in seen}) == calls


def test_threads_have_the_same_client(tmp_path: Any) -> None:
    import threading

    ready, over = threading.Event(), threading.Event()
    facts: dict[str, str] = {}

    async def serve() -> None:
        async for found in place.__wrapped__(tmp_path):  # type: ignore[attr-defined]
            facts.update(url=found.url, token=found.token)
            ready.set()
            while not over.is_set():
                await asyncio.sleep(0.01)

    thread = threading.Thread(target=lambda: asyncio.run(serve()))
    thread.start()
    try:
        assert ready.wait(30)
        with SyncClient.connect(facts["url"], token=facts["token"]) as client:
            with client.subscribe("jobs") as events:
                made = client.enqueue("greet", ["ada"])
                assert next(events).data["job_id"] == made["job_id"]
            watched = client.watch(made["job_id"])
            assert next(watched)["state"] == "pending"
            client.cancel_job(made["job_id"])
            assert next(watched)["state"] == "cancelled"
            assert next(watched, None) is None
            assert client.stats()["jobs"]["cancelled"] == 1
    finally:
        over.set()
        thread.join()
