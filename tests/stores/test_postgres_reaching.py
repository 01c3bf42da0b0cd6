"""What is told of a PostgreSQL server that cannot be reached, and how the store outlives one that goes away."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
from collections.abc import Iterator
from typing import Any

import pytest
from postgres_calls import claim, until
from servers.postgres import Server, free_port, new_namespace, postgres_url

from dispatch.errors import StoreError, StoreReadOnly, StoreUnreachable
from dispatch.stores.postgres import PostgresStore
from dispatch.testing.conformance.env import new

# -- what cannot be reached --------------------------------------------------------------------------------------------


async def _refused(url: str, kind: type[StoreError], says: str, **options: Any) -> None:
    store = PostgresStore(url, namespace=new_namespace(), **options)
    async with asyncio.timeout(10):
        with pytest.raises(kind, match=says) as caught:
            await store.open()
    assert "secret" not in str(caught.value)
    await store.close()


async def test_a_server_that_is_not_there_is_told_at_once_with_the_password_masked() -> None:
    url = f"postgresql://me:secret@127.0.0.1:{free_port()}/jobs"
    await _refused(url, StoreUnreachable, r"me:\*\*\*@127.0.0.1.*host and port")


async def test_a_server_that_says_nothing_is_told_in_bounded_time() -> None:
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        url = f"postgresql://me:secret@127.0.0.1:{silent.getsockname()[1]}/jobs"
        await _refused(url, StoreError, "too long", connect_timeout=0.3, command_timeout=1.0)


async def test_an_unknown_database_is_told() -> None:
    await _refused(postgres_url().rsplit("/", 1)[0] + "/nowhere", StoreUnreachable, "nowhere.*createdb")


async def test_a_user_who_may_not_create_is_told_what_to_do(admin: Any) -> None:
    role = f"guest_{os.getpid()}"
    await admin.execute(f"CREATE ROLE {role} LOGIN PASSWORD 'secret'")
    try:
        await _refused(postgres_url().replace("postgres@", f"{role}:secret@"), StoreReadOnly, "GRANT")
    finally:
        await admin.execute(f"DROP ROLE {role}")


async def test_an_unknown_user_is_told() -> None:
    await _refused(postgres_url().replace("postgres@", "nobody:secret@"), StoreUnreachable, "user, password")


# -- lost connections --------------------------------------------------------------------------------------------------


async def test_cut_connections_are_replaced_and_listening_goes_on(
    postgres: PostgresStore, namespace: str, admin: Any
) -> None:
    other = postgres.sibling()
    await other.open()
    try:
        await postgres.wakeups.wait(postgres.wakeups.version, 0.01)
        for _ in range(3):
            await until(lambda: _listening(admin, namespace))
            await admin.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = $1",
                f"dispatch {namespace}",
            )
            await until(lambda: _works(postgres))
            await until(lambda: _works(other))
        await until(lambda: _listening(admin, namespace))
        seen = postgres.wakeups.version
        waiting = asyncio.ensure_future(postgres.wakeups.wait(seen, 20.0))
        await other.jobs.enqueue([new()])
        async with asyncio.timeout(10):
            assert await waiting > seen
    finally:
        await other.close()


async def _listening(admin: Any, namespace: str) -> bool:
    return bool(
        await admin.fetchval(
            "SELECT count(*) FROM pg_stat_activity WHERE application_name = $1 AND query LIKE '%pg_notify%'",
            f"dispatch {namespace}",
        )
    )


async def _works(store: PostgresStore) -> bool:
    try:
        await store.jobs.enqueue([new()])
    except StoreUnreachable:
        return False
    return True


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    made = Server({})
    yield made
    made.close()


@pytest.mark.slow
@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGQUIT])
async def test_an_outage_of_the_server_is_told_and_outlived(server: Server, how: signal.Signals) -> None:
    store = PostgresStore(server.url, namespace=new_namespace(), connect_timeout=2.0, command_timeout=3.0)
    await store.open()
    try:
        await store.jobs.enqueue([new()])
        server.stop(how)
        async with asyncio.timeout(15):
            with pytest.raises(StoreUnreachable):
                await store.jobs.enqueue([new()])
        server.start()
        await until(lambda: _works(store))
        assert len(await claim(store, 5)) >= 2
    finally:
        await store.close()
