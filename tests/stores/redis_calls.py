"""What tests of the Redis store call: a store of its own, and its verbs in short."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from servers.postgres import new_namespace

from dispatch.entity import Reply
from dispatch.errors import StoreReadOnly, StoreUnreachable
from dispatch.ids import JobID, WorkerID
from dispatch.jobs.model import CountOptions, Job, JobState, NewJob, Transition, Verdict
from dispatch.stores.redis import RedisStore

WORKER = WorkerID.new()


@asynccontextmanager
async def opened(url: str, **options: Any) -> AsyncIterator[RedisStore]:
    """A store in a namespace of its own."""
    store = RedisStore(url, namespace=options.pop("namespace", new_namespace()), **options)
    await store.open()
    try:
        yield store
    finally:
        await store.close()


def jobs(count: int, **options: Any) -> list[NewJob]:
    return [NewJob(JobID.new(), "work", b"{}", **options) for _ in range(count)]


async def claim(store: RedisStore, limit: int) -> list[Job]:
    answer = await store.jobs.claim(WORKER, queues={"default": limit}, names=["work"], limit=limit, lease=30.0)
    return answer.jobs


async def complete(store: RedisStore, claimed: list[Job]) -> list[Reply]:
    given = [Transition(job.id, job.epoch, Verdict.COMPLETE, result=b"1") for job in claimed]
    return [answer.reply for answer in await store.jobs.finish(WORKER, given)]


async def count(store: RedisStore, state: JobState) -> int:
    return (await store.jobs.count(CountOptions()))[state]


async def again(act: Any) -> Any:
    """What `act` answers once the store does; fails when that takes too long."""
    async with asyncio.timeout(20):
        while True:
            try:
                return await act()
            except (StoreUnreachable, StoreReadOnly):
                await asyncio.sleep(0.02)
