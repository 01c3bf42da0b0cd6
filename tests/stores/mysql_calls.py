"""What tests of the store on MariaDB call: its verbs in short, and waiting for a fact."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from dispatch.ids import WorkerID
from dispatch.jobs.model import CountOptions, Transition, Verdict
from dispatch.store import Store

WORKER = WorkerID.new()


async def work(store: Store, n: int = 1) -> int:
    """Claims and completes up to n jobs."""
    answer = await store.jobs.claim(WORKER, queues={"default": 1000}, names=["work"], limit=n, lease=30.0)
    await store.jobs.finish(WORKER, [Transition(job.id, job.epoch, Verdict.COMPLETE) for job in answer.jobs])
    return len(answer.jobs)


async def total(store: Store) -> int:
    return sum((await store.jobs.count(CountOptions())).values())


async def until(condition: Callable[[], Awaitable[Any]], within: float = 30.0) -> None:
    async with asyncio.timeout(within):
        while not await condition():
            await asyncio.sleep(0.02)
