"""A Redis server that is full, evicts, dies, follows another one, cuts connections or wants a password."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Iterator

import pytest
from redis_audit import audit
from redis_calls import WORKER, again, claim, complete, count, jobs, opened
from servers.redis import RedisServer

from dispatch.clock import utc_now
from dispatch.entity import Reply
from dispatch.errors import ConfigError, StoreFull, StoreReadOnly, StoreUnreachable
from dispatch.jobs.model import JobState, Unique
from dispatch.services import read_status
from dispatch.services.attention import attention
from dispatch.stores.facts import refusal
from dispatch.stores.redis import RedisStore


@pytest.fixture
def own() -> Iterator[RedisServer]:
    """A server that the test may ruin."""
    started = RedisServer("--appendonly", "yes", "--appendfsync", "always")
    yield started
    started.close()


async def test_at_maxmemory_enqueues_are_refused_and_workers_go_on(own: RedisServer) -> None:
    async with opened(own.url) as store:
        await store.jobs.enqueue(jobs(30))
        claimed = await claim(store, 10)
        own.admin.config_set("maxmemory", 1)
        for given in (jobs(1), jobs(450), jobs(1, unique=Unique("k")), jobs(400, unique=Unique("l"))):
            with pytest.raises(StoreFull, match="maxmemory"):
                await store.jobs.enqueue(given)
        assert len((await store.jobs.renew(WORKER, [(job.id, job.epoch) for job in claimed], lease=30.0)).held) == 10
        assert await complete(store, claimed[:5]) == [Reply.APPLIED] * 5
        assert await store.jobs.release(WORKER, [(job.id, job.epoch) for job in claimed[5:]]) == [Reply.APPLIED] * 5
        assert len(await claim(store, 25)) == 25
        own.admin.config_set("maxmemory", 0)
        assert len(await store.jobs.enqueue(jobs(450))) == 450
        audit(own.url, store.namespace)


async def test_a_server_at_its_maxmemory_is_told_before_anybody_writes(own: RedisServer) -> None:
    async with opened(own.url) as store:
        assert await refusal(store) == ""
        own.admin.config_set("maxmemory", 1)
        assert "maxmemory" in await refusal(store)
        facts = await store.server_facts()
        assert int(facts["used_memory"]) > int(facts["maxmemory"]) == 1
        (told,) = [line for line in attention(await read_status(store, now=utc_now())) if "refuses writes" in line]
        assert "maxmemory" in told
        own.admin.config_set("maxmemory", 0)
        assert await refusal(store) == ""


async def test_a_server_that_evicts_is_refused_when_the_store_is_opened(own: RedisServer) -> None:
    own.admin.config_set("maxmemory-policy", "allkeys-lru")
    with pytest.raises(ConfigError, match="allkeys-lru"):
        await RedisStore(own.url).open()
    async with opened(own.url, allow_eviction=True) as store:
        await store.jobs.enqueue(jobs(1))


async def test_what_was_acknowledged_survives_a_kill_of_the_server(own: RedisServer) -> None:
    async with opened(own.url) as store:
        await store.jobs.enqueue(jobs(20))
        claimed = await claim(store, 10)
        await complete(store, claimed[:5])
        own.stop(signal.SIGKILL)
        with pytest.raises(StoreUnreachable, match="cannot be reached"):
            await store.jobs.get(claimed[0].id)
        own.start()
        assert await again(lambda: complete(store, claimed[:5])) == [Reply.APPLIED] * 5, "as often as it is said"
        assert await complete(store, claimed[5:]) == [Reply.APPLIED] * 5
        assert (await count(store, JobState.COMPLETED), await count(store, JobState.PENDING)) == (10, 10)
        audit(own.url, store.namespace)


async def test_a_listener_hears_again_after_the_server_was_gone(own: RedisServer) -> None:
    async with opened(own.url) as store, opened(own.url, namespace=store.namespace) as other:
        seen = await store.wakeups.wait(store.wakeups.version, timeout=0.2)
        own.stop(signal.SIGKILL)
        own.start()
        waiter = asyncio.ensure_future(store.wakeups.wait(seen, timeout=20.0))
        await again(lambda: other.jobs.enqueue(jobs(1)))
        async with asyncio.timeout(10):
            assert await waiter != seen


async def test_who_is_told_hears_of_a_change_before_anybody_who_waits_and_no_more_once_that_is_ended(
    own: RedisServer,
) -> None:
    async with opened(own.url) as store, opened(own.url, namespace=store.namespace) as other:
        heard: list[int] = []
        come = asyncio.Event()

        def changed() -> None:
            heard.append(store.wakeups.version)
            come.set()

        hush = store.wakeups.tell(changed)
        await store.jobs.enqueue(jobs(1))
        assert heard == [store.wakeups.version], "of its own"
        seen = await store.wakeups.wait(store.wakeups.version, timeout=20.0)  # the subscription has begun
        come.clear()
        await other.jobs.enqueue(jobs(1))
        async with asyncio.timeout(10):
            await come.wait()
        assert heard[-1] > seen, "of others"
        hush()
        before = len(heard)
        await store.jobs.enqueue(jobs(1))
        assert len(heard) == before


async def test_a_replica_refuses_writes_until_it_leads(own: RedisServer) -> None:
    async with opened(own.url) as store:
        await store.jobs.enqueue(jobs(1))
        own.admin.config_set("replica-serve-stale-data", "yes")
        own.admin.replicaof("127.0.0.1", 1)
        with pytest.raises(StoreReadOnly, match="read-only replica"):
            await store.jobs.enqueue(jobs(1))
        own.admin.replicaof("NO", "ONE")
        await again(lambda: store.jobs.enqueue(jobs(1)))
        assert await count(store, JobState.PENDING) == 2


async def test_connections_that_the_server_has_cut_are_not_used_again(own: RedisServer) -> None:
    async with opened(own.url) as store:
        await asyncio.gather(*(store.jobs.enqueue(jobs(1)) for _ in range(8)))
        own.admin.execute_command("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
        await asyncio.sleep(0)
        await again(store.ping)
        assert await count(store, JobState.PENDING) == 8


async def test_a_password_that_is_missing_or_wrong_is_told_without_showing_it(own: RedisServer) -> None:
    own.admin.config_set("requirepass", "s3cret")
    for url in (own.url, own.url.replace("redis://", "redis://:wr0ng@")):
        with pytest.raises(StoreUnreachable, match="password") as caught:
            await RedisStore(url).open()
        assert "wr0ng" not in str(caught.value)
    async with opened(own.url.replace("redis://", "redis://:s3cret@")) as store:
        await store.jobs.enqueue(jobs(1))
        assert "s3cret" not in store.url


async def test_a_server_that_is_not_there_is_told_at_once() -> None:
    with pytest.raises(StoreUnreachable, match=r"cannot be reached.*Is it running"):
        await RedisStore("redis://127.0.0.1:1", timeout=2.0).open()
