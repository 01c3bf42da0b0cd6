"""PostgreSQL goes by its indexes even when its statistics were taken between two rushes, when tables are empty."""

from __future__ import annotations

import asyncio

import asyncpg
from servers.postgres import new_namespace, postgres_url

from dispatch import Dispatch, WorkflowContext
from dispatch.config import Config
from dispatch.registry import Registry
from dispatch.stores.postgres import PostgresStore

BUSY = ("jobs", "runs", "checkpoints")
MANY = 300
"""Enough for a walk through a table to show in the rows that were read."""
READ = """
SELECT relname, seq_tup_read, idx_tup_fetch FROM pg_stat_user_tables WHERE schemaname = $1 AND relname = ANY ($2)
"""


async def test_a_rush_after_statistics_of_empty_tables_walks_through_none(registry: Registry) -> None:
    async def add(number: int) -> int:
        return number + 1

    @registry.workflow
    async def count(ctx: WorkflowContext) -> int:
        value = 0
        for step in range(3):
            value = await ctx.step(f"step {step}", add, value)
        return value

    namespace = new_namespace()
    server = await asyncpg.connect(postgres_url())
    try:
        async with Dispatch(PostgresStore(postgres_url(), namespace=namespace), config=Config(), registry=registry):
            pass
        for table in BUSY:
            await server.execute(f"VACUUM ANALYZE {namespace}.{table}")
        store = PostgresStore(postgres_url(), namespace=namespace)
        async with Dispatch(store, config=Config(), registry=registry) as app:
            runs = [await app.start_workflow(count) for _ in range(MANY)]
            await app.start()
            assert await runs[-1].result(timeout=50) == 3
            await app.stop()
        async with asyncio.timeout(10):  # a session tells its figures when it ends
            figures = await server.fetch(READ, namespace, BUSY)
            while min(found["idx_tup_fetch"] for found in figures) < MANY:
                await asyncio.sleep(0.05)
                figures = await server.fetch(READ, namespace, BUSY)
        assert {found["relname"]: found["seq_tup_read"] for found in figures} == dict.fromkeys(BUSY, 0)
    finally:
        await server.execute(f"DROP SCHEMA IF EXISTS {namespace} CASCADE")
        await server.close()
