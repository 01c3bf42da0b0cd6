"""Dispatch inside of FastAPI and Starlette: its life, its dependency, its API, its worker."""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from pathlib import Path
from typing import Annotated, Any

import pytest
from fastapi import Depends, FastAPI
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.testclient import TestClient

from dispatch import Config, Dispatch, Job, Registry, backoff
from dispatch.errors import ConfigError, NoOpenApp, SchemaMismatch
from dispatch.integrations.asgi import DispatchExtension, dispatch_lifespan, get_dispatch
from dispatch.jobs import CountOptions
from dispatch.stores.memory import MemoryStore

BASE = "http://localhost"


def registry_with_greet() -> Registry:
    registry = Registry()

    @registry.job
    async def greet(name: str) -> str:
        return f"hello {name}"

    return registry


def test_a_fastapi_application_enqueues_while_it_runs(tmp_path: Path) -> None:
    registry = registry_with_greet()
    greet = registry.jobs["greet"]
    dispatch = Dispatch(f"sqlite:///{tmp_path}/jobs.db", registry=registry)
    web = FastAPI(lifespan=dispatch_lifespan(dispatch))

    @web.post("/greet")
    async def ask() -> str:
        return (await greet.enqueue("ada")).id

    @web.post("/blocking")
    def ask_in_a_thread() -> str:
        return greet.sync.enqueue("ada").id

    @web.get("/count")
    async def count(app: Annotated[Dispatch, Depends(get_dispatch)]) -> int:
        assert app is dispatch
        return sum((await app.jobs.count(CountOptions())).values())

    for before in (0, 2):
        with TestClient(web) as client:
            assert client.get("/count").json() == before
            assert client.post("/greet").json().startswith("job_")
            assert client.post("/blocking").json().startswith("job_")
            assert client.get("/count").json() == before + 2
    with pytest.raises(NoOpenApp):
        _ = dispatch.loop


def test_the_applications_own_lifespan_runs_inside_and_keeps_its_state() -> None:
    dispatch, seen = Dispatch("memory://", registry=registry_with_greet()), []

    @asynccontextmanager
    async def own(web: Any) -> AsyncIterator[dict[str, int]]:
        seen.append(dispatch.loop.is_running())
        yield {"answer": 42}
        seen.append(dispatch.loop.is_running())

    async def look(request: Request) -> Response:
        return JSONResponse([request.state.answer, await get_dispatch(request) is dispatch])

    web = Starlette(routes=[Route("/", look)], lifespan=dispatch_lifespan(dispatch, inner=own))
    with TestClient(web) as client:
        assert client.get("/").json() == [42, True]
    assert seen == [True, True]


def test_a_request_without_the_lifespan_is_told_what_is_missing() -> None:
    async def look(request: Request) -> Response:
        await get_dispatch(request)
        raise AssertionError

    with pytest.raises(NoOpenApp, match=r"give it lifespan=dispatch_lifespan"):
        TestClient(Starlette(routes=[Route("/", look)])).get("/")


def test_the_extension_runs_jobs_with_its_middleware_and_backoff_and_serves_the_api(tmp_path: Path) -> None:
    seen: list[str] = []

    async def note(job: Job, call_next: Any) -> Any:
        seen.append(job.name)
        return await call_next(job)

    registry, tries = registry_with_greet(), []

    @registry.job
    async def stubborn() -> int:
        tries.append(1)
        if len(tries) < 2:
            raise OSError("not yet")
        return len(tries)

    extension = DispatchExtension(
        f"sqlite:///{tmp_path}/jobs.db",
        registry=registry,
        middleware=[note],
        backoff=backoff.Constant(0),
        path="/ops",
    )
    web = FastAPI()
    extension.install(web)

    @web.post("/greet")
    async def ask(app: Annotated[Dispatch, Depends(get_dispatch)]) -> list[Any]:
        first = await registry.jobs["greet"].enqueue("ada")
        second = await registry.jobs["stubborn"].enqueue()
        key = await app.keys.create("test", scopes=["job:read"])
        return [await first.result(timeout=20), await second.result(timeout=20), key.token]

    assert extension.engine is None
    with TestClient(web, base_url=BASE) as client:
        assert extension.engine is not None
        assert extension.engine.running
        *results, token = client.post("/greet").json()
        assert results == ["hello ada", 2]
        assert sorted(seen) == ["greet", "stubborn", "stubborn"]
        assert client.get("/ops/v1/jobs").status_code == 401
        jobs = client.get("/ops/v1/jobs", headers={"Authorization": f"Bearer {token}"}).json()["items"]
        assert {found["state"] for found in jobs} == {"completed"}
        assert client.get("/ops/v1/jobs", headers={"Host": "evil.example"}).status_code == 400
    assert extension.engine is None


def test_the_wire_protocol_is_reached_under_the_mounted_path() -> None:
    extension = DispatchExtension(
        MemoryStore(), registry=Registry(), path="/ops", worker=False, allowed_hosts=("testserver",)
    )
    web = Starlette()
    extension.install(web)
    with TestClient(web, base_url=BASE) as client, client.websocket_connect("/ops/dwp") as socket:
        socket.send_json({"type": "request", "id": "1", "method": "auth", "data": {"token": "dk_no"}})
        assert socket.receive_json()["error"]["code"] == 401


def test_routes_and_worker_can_be_left_out() -> None:
    extension = DispatchExtension(MemoryStore(), registry=Registry(), worker=False, disable_routes=True)
    web = FastAPI()
    extension.install(web)
    with TestClient(web, base_url=BASE) as client:
        assert client.get("/dispatch/v1/jobs").status_code == 404
        assert (extension.engine, extension.api) == (None, None)


def test_disable_migrate_refuses_an_older_schema_instead_of_changing_it(tmp_path: Path) -> None:
    file = tmp_path / "jobs.db"
    with Dispatch(f"sqlite:///{file}", registry=Registry()):
        pass
    with closing(sqlite3.connect(file)) as connection:
        connection.execute("pragma user_version = 1")
    refusing = Starlette()
    url = f"sqlite:///{file}"
    DispatchExtension(url, registry=registry_with_greet(), disable_migrate=True, worker=False).install(refusing)
    with pytest.raises(SchemaMismatch), TestClient(refusing):
        pass
    with closing(sqlite3.connect(file)) as connection:
        assert connection.execute("pragma user_version").fetchone() == (1,)
    with pytest.raises(ConfigError, match=r"disable_migrate goes with a store's URL"):
        DispatchExtension(MemoryStore(), disable_migrate=True)


@pytest.mark.parametrize("path", ["ops", "/", "/ops/", ""])
def test_a_path_that_could_not_be_mounted_is_refused(path: str) -> None:
    with pytest.raises(ConfigError, match="a slash at its beginning, none at its end"):
        DispatchExtension(MemoryStore(), config=Config(), path=path)
