"""What is promised of the HTTP API, the wire protocol, the client and the streams, used."""

from __future__ import annotations

import asyncio
from typing import Any

import httpx2

from .promised import QUIET, get, row


@row(42)
async def use_api(api: Any, app: Any) -> None:
    made = api(app)
    assert {"/v1/jobs", "/v1/dlq/{entry_id}/replay"} <= {route.path for route in made.router.routes}
    assert callable(made.asgi())
    async with httpx2.AsyncClient(transport=httpx2.ASGITransport(made.asgi()), base_url="http://localhost") as http:
        assert (await http.get("/v1/jobs")).status_code == 401


async def _call(server: Any, frame: dict[str, Any], token: str) -> dict[str, Any]:
    transport = httpx2.ASGITransport(server)
    async with httpx2.AsyncClient(transport=transport, base_url="http://localhost") as http:
        answer = await http.post("/dwp/rpc", json=frame, headers={"Authorization": f"Bearer {token}"})
        found: dict[str, Any] = answer.json()
        return found


@row(45)
async def use_extension(extension: Any, dispatch_lifespan: Any) -> None:
    registry = get("dispatch.Registry")()
    made = extension(
        "memory://",
        config=QUIET,
        registry=registry,
        middleware=(),
        backoff=get("dispatch.backoff.Constant")(1),
        disable_routes=True,
        disable_migrate=True,
    )
    async with made.lifespan()(None) as state:
        assert (state["dispatch"], made.engine.running) == (made.app, True)
    other = get("dispatch.Dispatch")("memory://", config=QUIET, registry=registry)
    async with dispatch_lifespan(other)(None) as state:
        assert (state["dispatch"], other.engine) == (other, None)


@row(46)
async def use_wire_server(server: Any, handler: Any, app: Any) -> None:
    token = (await app.keys.create("test", scopes=["stats:read"])).token
    answer = await _call(server(app), {"type": "request", "id": "1", "method": "stats"}, token)
    assert answer["correl_id"] == "1"
    frame, kinds = get("dispatch.wire.Frame"), get("dispatch.wire.FrameType")
    identity = await app.keys.authenticate(token)
    request = frame(type=kinds.REQUEST, id="2", method="stats")
    assert (await handler(app).handle(request, identity)).body["jobs"] == answer["data"]["jobs"]


@row(47)
def use_codecs(frame: Any, kinds: Any, json_codec: Any, msgpack_codec: Any) -> None:
    made = frame(type=kinds.EVENT, channel="jobs", data={"a": [1, None]})
    for codec in (json_codec(), msgpack_codec()):
        assert codec.decode(codec.encode(made)) == made


@row(48)
async def use_authenticator(identity: Any, entry: Any, authenticator: Any, app: Any) -> None:
    scopes = get("dispatch.access")
    who = identity("operator", "", frozenset({scopes.STATS_READ}))
    server = get("dispatch.wire.WireServer")(app, authenticator=authenticator(entry("a long random secret", who)))
    frame = {"type": "request", "method": "stats"}
    assert (await _call(server, frame, "a long random secret"))["type"] == "response"
    assert (await _call(server, frame, "another long secret"))["error"]["code"] == 401


@row(49)
async def use_transports(served: Any, app: Any) -> None:
    token = (await app.keys.create("test", scopes=["*"])).token
    async with served(app, host="127.0.0.1", port=0) as (host, port):
        key = {"Authorization": f"Bearer {token}"}
        async with httpx2.AsyncClient(base_url=f"http://{host}:{port}", headers=key, timeout=30) as http:
            answer = await http.post("/dwp/rpc", json={"type": "request", "method": "stats"})
            assert answer.json()["data"]["dead_letters"] == 0
            async with http.stream("GET", "/dwp/sse", params={"channel": "jobs"}) as events:
                assert events.headers["content-type"].startswith("text/event-stream")
        async with await get("dispatch.client.Client").connect(f"http://{host}:{port}", token=token) as client:
            assert (await client.stats())["dead_letters"] == 0


@row(50)
async def use_client(client: Any, sync_client: Any, app: Any) -> None:
    @app.registry.job
    async def greet(name: str) -> str:
        return f"hello {name}"

    token = (await app.keys.create("test", scopes=["*"])).token
    await app.start()
    async with get("dispatch.api.server.served")(app, host="127.0.0.1", port=0) as (host, port):
        url = f"http://{host}:{port}"
        async with await client.connect(url, token=token, format="msgpack", reconnect=True) as connected:
            made = await connected.enqueue("greet", ["ada"])
            states = [job["state"] async for job in connected.watch(made["job_id"])]
            assert states[-1] == "completed"

        def elsewhere() -> Any:
            with sync_client.connect(url, token=token) as twin:
                return twin.get_job(made["job_id"])["result"]

        assert await asyncio.to_thread(elsewhere) == "hello ada"
