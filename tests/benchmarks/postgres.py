"""What a PostgreSQL server can be asked and made to do while it is measured."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from urllib.parse import urlsplit


def is_postgres(url: str) -> bool:
    """Whether the store is on such a server, by asyncpg."""
    return urlsplit(url).scheme in ("postgres", "postgresql")


def deadlocks(url: str) -> int:
    """How many the server has resolved in this database so far."""

    async def ask() -> int:
        import asyncpg

        connection = await asyncpg.connect(url)
        try:
            # what its sessions count arrives in its statistics with a delay
            await connection.execute("SELECT pg_stat_force_next_flush()")
            found = await connection.fetchval(
                "SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()"
            )
            return int(found)
        finally:
            await connection.close()

    return asyncio.run(ask())


@asynccontextmanager
async def open_snapshot(url: str) -> AsyncIterator[None]:
    """Another session has a transaction open that still sees every row as it is now, so no dead row can be removed."""
    import asyncpg

    connection = await asyncpg.connect(url)
    try:
        await connection.execute("BEGIN ISOLATION LEVEL REPEATABLE READ")
        await connection.fetchval("SELECT count(*) FROM pg_class")
        yield
        await connection.execute("ROLLBACK")
    finally:
        await connection.close()
