"""What a Redis server that evicts keys does to running rows: they are missing, and stand in nobody's way."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
import redis
from servers.postgres import new_namespace
from servers.redis import forget, redis_url

from dispatch.clock import ManualClock
from dispatch.entity import Reply
from dispatch.ids import JobID, WorkerID
from dispatch.jobs.model import Job, NewJob, Transition, Verdict
from dispatch.scope import Scope
from dispatch.stores.redis import RedisStore

WORKER = WorkerID.new()


@pytest.fixture
async def evicting(clock: ManualClock) -> AsyncIterator[RedisStore]:
    """A store in a namespace of its own."""
    made = RedisStore(redis_url(), namespace=new_namespace(), clock=clock)
    await made.open()
    yield made
    await made.close()
    forget(made.namespace)


async def claim(store: RedisStore, limit: int) -> list[Job]:
    answer = await store.jobs.claim(WORKER, queues={"default": limit}, names=["work"], limit=limit, lease=30.0)
    return answer.jobs


def evict(store: RedisStore, *gone: Job) -> None:
    client = redis.Redis.from_url(redis_url())
    assert client.delete(*(f"{{{store.namespace}}}:j:{job.id}" for job in gone)) == len(gone)
    client.close()


def left(store: RedisStore, family: str) -> list[bytes | str]:
    """The keys of a family that are there."""
    client = redis.Redis.from_url(redis_url())
    found = [*client.keys(f"{{{store.namespace}}}:{family}:*")]
    client.close()
    return found


@pytest.mark.parametrize("scope", [Scope(), Scope("shop", "x")], ids=["plain", "with a tenant"])
@pytest.mark.parametrize("verdict", [Verdict.COMPLETE, Verdict.RETRY])
async def test_an_evicted_row_leaves_the_running_ones_when_it_ends(
    evicting: RedisStore, verdict: Verdict, scope: Scope
) -> None:
    await evicting.jobs.enqueue([NewJob(JobID.new(), "work", b"{}", scope=scope)])
    (gone,) = await claim(evicting, 1)
    evict(evicting, gone)
    (said,) = await evicting.jobs.finish(WORKER, [Transition(gone.id, gone.epoch, verdict)])
    assert said.reply is Reply.MISSING
    assert left(evicting, "s:R") == left(evicting, "h") == []


async def test_evicted_rows_keep_nobody_from_stealing_the_others(evicting: RedisStore, clock: ManualClock) -> None:
    await evicting.jobs.enqueue([NewJob(JobID.new(), "work", b"{}") for _ in range(6)])
    first, second, third, *others = await claim(evicting, 5)
    evict(evicting, first, second, third)
    clock.advance(31)
    stolen = await evicting.jobs.steal(limit=2, max_crashes=3, delays=[0.0])
    assert [found.job.id for found in stolen] == [job.id for job in others]
    assert left(evicting, "s:R") == []
    assert await evicting.jobs.steal(limit=2, max_crashes=3, delays=[0.0]) == []
    assert len(await claim(evicting, 9)) == 3
