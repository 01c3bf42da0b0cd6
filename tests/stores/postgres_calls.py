"""What tests of the PostgreSQL store call: a claim in short, and waiting for a fact."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from dispatch.ids import WorkerID
from dispatch.stores.postgres import PostgresStore

WORKER = WorkerID.new()


async def until(condition: Callable[[], Awaitable[Any]], within: float = 20.0) -> Any:
    """Waits for a fact, looking again and again."""
    async with asyncio.timeout(within):
        while not (found := await condition()):
            await asyncio.sleep(0.01)
        return found


async def claim(store: PostgresStore, limit: int = 1, **options: Any) -> list[Any]:
    queues = options.pop("queues", {"default": 1000})
    answer = await store.jobs.claim(WORKER, queues=queues, names=["work"], limit=limit, lease=30.0, **options)
    return answer.jobs
