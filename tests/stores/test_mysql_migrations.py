"""Migrations on MariaDB: two at once, one that died half way, printed ones, tables of others, scratch stores."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import AsyncIterator
from typing import Any

import pytest
from mysql_calls import total, work
from servers.mysql import forget, mysql_url
from servers.postgres import new_namespace
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from dispatch.errors import SchemaMismatch, StoreCorrupt
from dispatch.stores import open_store
from dispatch.stores.mysql_put import rows
from dispatch.stores.scratch import scratch
from dispatch.stores.scripts import migration_scripts
from dispatch.testing.conformance.env import new


@pytest.fixture
def namespace() -> Any:
    name = new_namespace()
    mysql_url()
    yield name
    forget(name)


@pytest.fixture
async def engine() -> AsyncIterator[AsyncEngine]:
    made = create_async_engine(mysql_url(), pool_size=3, max_overflow=0)
    yield made
    await made.dispose()


_MIGRATE = """
import asyncio, sys
from dispatch.stores import open_store
async def main():
    store = open_store(sys.argv[1], namespace=sys.argv[2], migrate="never", command_timeout=60.0)
    await store.open()
    print(len(await store.migrate()))
    await store.close()
asyncio.run(main())
"""


def test_two_processes_that_migrate_at_once_apply_each_migration_once(namespace: str) -> None:
    command = [sys.executable, "-c", _MIGRATE, mysql_url(), namespace]
    both = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    applied = [int(process.communicate(timeout=120)[0]) for process in both]
    assert sorted(applied) == [0, len(migration_scripts(mysql_url(), namespace))]


async def test_a_migration_that_died_half_way_is_continued(namespace: str, engine: AsyncEngine) -> None:
    scripts = migration_scripts(mysql_url(), namespace)
    statements = next(iter(scripts.values())).split(";\n\n")
    async with engine.begin() as connection:
        for statement in statements[: len(statements) // 2]:
            await connection.exec_driver_sql(statement)
    store = open_store(mysql_url(), namespace=namespace)
    await store.open()
    await store.jobs.enqueue([new()])
    assert await work(store) == 1
    await store.close()


async def test_the_printed_migrations_make_the_store(namespace: str, engine: AsyncEngine) -> None:
    async with engine.connect() as connection:
        raw: Any = (await connection.get_raw_connection()).driver_connection
        for script in migration_scripts(mysql_url(), namespace).values():
            for statement in script.rstrip().rstrip(";").split(";\n\n"):
                await rows(raw, statement)
        await raw.commit()
    store = open_store(mysql_url(), namespace=namespace, migrate="never")
    await store.open()
    await store.jobs.enqueue([new()])
    await store.close()


async def test_tables_of_another_program_are_left_alone(namespace: str, engine: AsyncEngine) -> None:
    async with engine.begin() as connection:
        await connection.execute(text(f"CREATE TABLE {namespace}_events (id INT)"))
    with pytest.raises(StoreCorrupt, match="another program"):
        await open_store(mysql_url(), namespace=namespace).open()


async def test_never_creates_nothing(namespace: str) -> None:
    store = open_store(mysql_url(), namespace=namespace, migrate="never")
    await store.open()
    with pytest.raises(SchemaMismatch):
        await store.jobs.enqueue([new()])
    assert await store.migrate()
    await store.jobs.enqueue([new()])
    await store.close()


async def test_scratch_stores_are_tables_that_go_in_the_end(engine: AsyncEngine) -> None:
    async with scratch(mysql_url()) as make:
        for _ in range(2):
            made = await make(None)
            await made.open()
            await made.jobs.enqueue([new()])
            assert await total(made) == 1
            await made.close()
    async with engine.connect() as connection:
        left = await connection.execute(text("SHOW TABLES LIKE 'dispatch\\_scratch%'"))
        assert left.all() == []
