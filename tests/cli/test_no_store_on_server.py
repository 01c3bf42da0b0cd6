"""Servers and empty files hold no store yet: what only looks, and what only rehearses, makes none there either."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest
from servers import mysql, redis
from servers.mysql import mysql_url
from servers.postgres import new_namespace, postgres_url
from servers.redis import redis_url

from dispatch.ids import RunID
from dispatch.stores import open_store
from tests.cli.conftest import run, spawn

LOOKS = (
    *(("status",), ("job", "list"), ("dlq", "list"), ("top", "--once"), ("audit", "list"), ("queue", "list")),
    *(("workflow", "show", RunID.new()), ("workflow", "start", "checkout"), ("job", "enqueue", "add", "--dry-run")),
    *(("queue", "pause", "mailers", "--dry-run"), ("store", "prune", "--dry-run")),
)


@pytest.fixture(params=["postgres", "mysql", "redis"])
def server(request: pytest.FixtureRequest, folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[str, str]]:
    """A namespace without a store, which the commands mean: the server's URL and its name."""
    kind = request.param
    url = {"postgres": postgres_url, "mysql": lambda: f"sqlalchemy+{mysql_url()}", "redis": redis_url}[kind]()
    namespace = new_namespace()
    monkeypatch.setenv("DISPATCH_STORE", url)
    monkeypatch.setenv("DISPATCH_NAMESPACE", namespace)
    yield url, namespace
    if kind != "postgres":
        {"mysql": mysql, "redis": redis}[kind].forget(namespace)


def schema(url: str, namespace: str) -> int:
    """The number of the schema there; 0 when there is none."""

    async def look() -> int:
        store = open_store(url, namespace=namespace, migrate="never")
        await store.open()
        try:
            return (await store.schema()).current
        finally:
            await store.close()

    return asyncio.run(look())


def test_what_looks_and_what_rehearses_makes_no_store_on_a_server(server: tuple[str, str]) -> None:
    for argv in LOOKS:
        ran = run(*argv)
        assert (ran.code, ran.out) == (6, ""), f"{argv}: {ran.err}"
        assert "there is no store at " in ran.err, argv
        assert "`dispatch store init` create it" in ran.err, argv
        assert schema(*server) == 0, argv
    assert run("queue", "pause", "mailers").code == 0, "what may make a store does"
    assert schema(*server) > 0
    assert run("status").code == 0


@pytest.mark.parametrize("server", ["postgres"], indirect=True)
def test_serve_without_a_target_makes_no_store_on_a_server(server: tuple[str, str]) -> None:
    process = spawn("serve", "--port", "0")
    try:
        _, err = process.communicate(timeout=60)
    finally:
        process.kill()
    assert process.returncode == 6
    assert "there is no store at " in err
    assert schema(*server) == 0


def test_what_looks_and_what_rehearses_makes_no_store_of_an_empty_file(folder: Path) -> None:
    module = folder / "__init__.py"
    module.touch()
    for argv in LOOKS:
        ran = run(*argv, "--store", f"sqlite:///{module}")
        assert (ran.code, ran.out) == (6, ""), f"{argv}: {ran.err}"
        assert f"there is no store at {module}" in ran.err, argv
    assert run("store", "init", "--store", f"sqlite:///{module}.db").code == 0
    assert module.stat().st_size == 0
    assert not list(folder.glob("__init__.py.gate*"))
