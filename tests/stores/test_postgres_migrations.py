"""A PostgreSQL store is migrated beside workers that use it, without standing in each other's way for good."""

from __future__ import annotations

import asyncio

import asyncpg
import pytest
from servers.postgres import new_namespace, postgres_url

from dispatch.stores.scripts import migration_scripts


@pytest.mark.parametrize("number", [5])
async def test_a_transaction_that_has_read_jobs_may_still_write_them_while_a_migration_waits(number: int) -> None:
    namespace = new_namespace()
    scripts = list(migration_scripts(postgres_url(), namespace).values())
    worker, migrating = [await asyncpg.connect(postgres_url()) for _ in range(2)]
    try:
        for script in scripts[: number - 1]:
            await worker.execute(script)
        async with worker.transaction():
            await worker.fetch(f'SELECT * FROM "{namespace}".jobs')
            migration = asyncio.create_task(migrating.execute(scripts[number - 1]))
            async with asyncio.timeout(20):
                while not await worker.fetchval("SELECT cardinality(pg_blocking_pids($1))", migrating.get_server_pid()):
                    await asyncio.sleep(0.01)
            await worker.execute(f'UPDATE "{namespace}".jobs SET priority = 1')
        await migration
        assert await worker.fetchval(f'SELECT max(number) FROM "{namespace}".dispatch_migrations') == number
    finally:
        migrating.terminate()
        await worker.execute(f'DROP SCHEMA IF EXISTS "{namespace}" CASCADE')
        await worker.close()
