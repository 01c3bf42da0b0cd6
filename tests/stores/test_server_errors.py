"""What is wrong with a server is said the same way for PostgreSQL and Redis: an error of one kind, with what to do."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import psycopg
import pytest
from servers.postgres import Server, free_port
from servers.redis import RedisServer

from dispatch.errors import (
    MissingExtra,
    SchemaMismatch,
    StoreAway,
    StoreError,
    StoreFull,
    StoreReadOnly,
    StoreUnreachable,
)
from dispatch.ids import JobID
from dispatch.jobs.model import NewJob
from dispatch.store import Store
from dispatch.stores import open_store

NOBODY = 65534


def new(size: int = 2) -> NewJob:
    return NewJob(JobID.new(), "note", b'"' + b"x" * size + b'"')


class Kind(NamedTuple):
    """A kind of server, and how it is brought into trouble."""

    start: Callable[..., Any]
    nowhere: str
    set_schema: Callable[[str, int], None]
    """(url, version): changes what the store in the namespace "old" says of itself."""


def _set_postgres_schema(url: str, version: int) -> None:
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("DELETE FROM old.dispatch_migrations WHERE number > %s", (version,))
        if version:
            connection.execute(
                "INSERT INTO old.dispatch_migrations SELECT later.* FROM old.dispatch_migrations AS m, "
                "jsonb_populate_record(m, jsonb_build_object('number', %s::int)) AS later LIMIT 1",
                (version,),
            )


def _set_redis_schema(url: str, version: int) -> None:
    import redis

    client = redis.Redis.from_url(url)
    client.set("{old}:schema", version)
    client.close()


KINDS = {
    "postgres": Kind(Server, "postgresql://me:s3cret@127.0.0.1:{}/jobs", _set_postgres_schema),
    "redis": Kind(RedisServer, "redis://me:s3cret@127.0.0.1:{}/0", _set_redis_schema),
}


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest) -> Kind:
    return KINDS[request.param]


@pytest.fixture
def server(kind: Kind) -> Iterator[Any]:
    made = kind.start()
    yield made
    made.close()


async def told(store: Store, error: type[StoreError], *words: str) -> None:
    """Opening the store fails with exactly this error, which holds the words and no password."""
    with pytest.raises(error) as caught:
        await store.open()
    assert type(caught.value) is error
    message = str(caught.value)
    assert [word for word in words if word not in message] == []
    assert "s3cret" not in message


async def test_a_server_that_is_not_there_may_come(kind: Kind) -> None:
    await told(open_store(kind.nowhere.format(free_port())), StoreAway, "127.0.0.1", "host and port", "***")


async def test_a_server_that_is_somebody_else_is_told(kind: Kind) -> None:
    other = KINDS["redis" if kind is KINDS["postgres"] else "postgres"].start()
    try:
        with pytest.raises(StoreError, match=r"127\.0\.0\.1"):
            await open_store(kind.nowhere.format(other.port)).open()
    finally:
        other.close()


async def test_a_wrong_password_does_not_pass_by_itself(server: Any) -> None:
    if isinstance(server, Server):
        with psycopg.connect(server.url, autocommit=True) as connection:
            connection.execute("ALTER ROLE postgres PASSWORD 'right'")
            hba = connection.execute("SHOW hba_file").fetchone()
            assert hba is not None
            Path(hba[0]).write_text("host all all 127.0.0.1/32 scram-sha-256\n")
            connection.execute("SELECT pg_reload_conf()")
        url = server.url.replace("postgres@", "postgres:s3cret@")
    else:
        server.admin.config_set("requirepass", "right")
        url = server.url.replace("//", "//:s3cret@")
    await told(open_store(url), StoreUnreachable, "password")
    right = open_store(url.replace("s3cret", "right"))
    await right.open()
    await right.close()


async def test_a_schema_of_another_version_is_told(kind: Kind, server: Any) -> None:
    store = open_store(server.url, namespace="old")
    await store.open()
    wanted = (await store.schema()).wanted
    await store.close()
    kind.set_schema(server.url, wanted + 7)
    await told(open_store(server.url, namespace="old"), SchemaMismatch, str(wanted + 7), "upgrade dispatch-tasks")
    kind.set_schema(server.url, 0)
    behind = open_store(server.url, namespace="old", migrate="never")
    await behind.open()
    with pytest.raises(SchemaMismatch, match="dispatch store migrate"):
        await behind.jobs.enqueue([new()])
    await behind.close()


def test_a_driver_that_is_not_installed_is_told_with_the_line_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "asyncpg", None)
    for name in [name for name in sys.modules if name.startswith("dispatch.stores.postgres")]:
        monkeypatch.delitem(sys.modules, name)
    with pytest.raises(MissingExtra, match=r"pip install 'dispatch-tasks\[postgres\]'"):
        open_store("postgresql://h/d")


@contextmanager
def small_disk(folder: Path) -> Iterator[Path]:
    """A disk of 24 MB that the servers may use; skips the test where this user may not mount one."""
    folder.mkdir()
    options = f"size=24m,uid={NOBODY},gid={NOBODY},mode=777"
    mount = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(folder)]
    try:
        mounted = os.geteuid() == 0 and subprocess.run(mount, capture_output=True, timeout=10).returncode == 0
    except OSError:
        mounted = False
    if not mounted:
        pytest.skip("mounting a small disk needs root")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True, timeout=10)


async def fill(store: Store) -> StoreError:
    """Enqueues until the store refuses; answers what it said."""
    for _ in range(500):
        try:
            await store.jobs.enqueue([new(200_000)])
        except StoreError as error:
            return error
    raise AssertionError("a small disk took 100 MB")


@pytest.mark.slow
async def test_a_full_disk_of_postgres_refuses_enqueues_until_there_is_room() -> None:
    server = Server()
    try:
        with small_disk(server.folder / "disk") as disk:
            ballast = disk / "ballast"
            ballast.write_bytes(b"\0" * 8_000_000)
            space = disk / "space"
            space.mkdir()
            shutil.chown(space, NOBODY, NOBODY)
            with psycopg.connect(server.url, autocommit=True) as connection:
                connection.execute(f"CREATE TABLESPACE small LOCATION '{space}'")
                connection.execute("ALTER ROLE postgres SET default_tablespace = small")
            store = open_store(server.url)
            await store.open()
            with psycopg.connect(server.url, autocommit=True) as connection:
                connection.execute("ALTER TABLE dispatch.jobs ALTER payload SET STORAGE EXTERNAL")
            refusal = await fill(store)
            assert type(refusal) is StoreFull
            assert "no room left" in str(refusal) and "nothing was written" in str(refusal)
            ballast.unlink()
            assert (await store.jobs.enqueue([new()]))[0].created
            await store.close()
            server.stop()
    finally:
        server.close()


@pytest.mark.slow
async def test_a_full_disk_of_redis_refuses_enqueues_until_there_is_room(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk") as disk:
        ballast = disk / "ballast"
        ballast.write_bytes(b"\0" * 8_000_000)
        server = RedisServer("--dir", str(disk), "--appendonly", "yes", "--auto-aof-rewrite-percentage", "0")
        try:
            store = open_store(server.url)
            await store.open()
            refusal = await fill(store)
            assert type(refusal) is StoreReadOnly
            assert "cannot save its data to disk" in str(refusal) and "nothing was written" in str(refusal)
            ballast.unlink()
            for _ in range(200):  # the server tries again once a second
                try:
                    await store.jobs.enqueue([new()])
                    break
                except StoreReadOnly:
                    server.admin.debug("sleep", "0.02")
            else:
                pytest.fail("enqueues are still refused")
            await store.close()
        finally:
            server.close()
