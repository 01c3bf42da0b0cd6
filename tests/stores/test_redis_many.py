"""Batches on Redis: more than a script takes, rows of several kinds, rows that are gone, calls that are cut short."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
import redis
from redis_audit import audit
from redis_calls import WORKER, claim, complete, count, jobs, opened
from servers.redis import forget, redis_url

from dispatch.entity import Reply
from dispatch.errors import DuplicateJob
from dispatch.jobs.model import JobState, Transition, Unique, Verdict
from dispatch.stores.redis import RedisStore


@pytest.fixture
async def store() -> AsyncIterator[RedisStore]:
    async with opened(redis_url()) as made:
        yield made
    forget(made.namespace)


async def test_a_large_batch_is_enqueued_whole_or_not_at_all(store: RedisStore) -> None:
    many = jobs(650)
    assert [answer.created for answer in await store.jobs.enqueue(many)] == [True] * 650
    assert [answer.created for answer in await store.jobs.enqueue(many)] == [False] * 650
    await store.jobs.enqueue(jobs(1, unique=Unique("taken")))
    with pytest.raises(DuplicateJob, match="taken"):
        await store.jobs.enqueue([*jobs(640), *jobs(1, unique=Unique("taken", on_conflict="raise"))])
    doubled = [*jobs(1, unique=Unique("new")), *jobs(400), *jobs(1, unique=Unique("new", on_conflict="raise"))]
    with pytest.raises(DuplicateJob, match="new"):
        await store.jobs.enqueue(doubled)
    assert await count(store, JobState.PENDING) == 651
    keyed = [job for n in range(300) for job in jobs(1, unique=Unique(f"k{n % 250}"))]
    answers = await store.jobs.enqueue(keyed)
    assert sum(answer.created for answer in answers) == 250
    audit(redis_url(), store.namespace)


async def test_more_than_a_script_takes_is_claimed_renewed_and_finished(store: RedisStore) -> None:
    await store.jobs.enqueue(jobs(650))
    claimed = await claim(store, 600)
    assert len({job.id for job in claimed}) == 600
    renewed = await store.jobs.renew(WORKER, [(job.id, job.epoch) for job in claimed[:450]], lease=30.0)
    assert (len(renewed.held), renewed.lost, len(renewed.unnamed)) == (450, [], 150)
    assert await complete(store, claimed) == [Reply.APPLIED] * 600
    assert (await count(store, JobState.COMPLETED), await count(store, JobState.PENDING)) == (600, 50)
    assert await store.jobs.prune(completed=-1.0, failed=None, cancelled=None, limit=500) == 500
    audit(redis_url(), store.namespace)


async def test_plain_rows_and_others_are_claimed_together_and_end_as_they_must(store: RedisStore) -> None:
    given = [*jobs(3), *jobs(1, unique=Unique("k")), *jobs(2, metadata={"a": "b"}), *jobs(1, expires_in=60.0), *jobs(3)]
    for job in given:
        await store.jobs.enqueue([job])
    claimed = await claim(store, 20)
    assert [job.id for job in claimed] == [job.id for job in given]
    assert [job.unique_key for job in claimed] == [job.unique and "k" for job in given]
    assert [job.metadata for job in claimed] == [job.metadata for job in given]
    stored = [await store.jobs.get(job.id) for job in claimed]
    assert stored == claimed
    audit(redis_url(), store.namespace)
    await store.jobs.cancel(claimed[0].id)
    audit(redis_url(), store.namespace)
    assert await complete(store, claimed) == [Reply.APPLIED] * 10
    assert await count(store, JobState.COMPLETED) == 10
    audit(redis_url(), store.namespace)


async def test_a_row_that_the_server_has_evicted_is_missing_when_it_ends(store: RedisStore) -> None:
    await store.jobs.enqueue([*jobs(5), *jobs(1, unique=Unique("k"))])
    client = redis.Redis.from_url(redis_url())
    for together in (2, 4):
        gone, *others = await claim(store, together)
        client.delete(f"{{{store.namespace}}}:j:{gone.id}")
        assert await complete(store, [gone, *others]) == [Reply.MISSING] + [Reply.APPLIED] * len(others)
        assert await store.jobs.get(gone.id) is None
        assert await complete(store, others) == [Reply.APPLIED] * len(others)
    client.close()
    audit(redis_url(), store.namespace)


async def test_a_job_completed_twice_in_a_call_keeps_its_first_result(store: RedisStore) -> None:
    await store.jobs.enqueue([*jobs(2), *jobs(1, unique=Unique("k"))])
    for together in (1, 2):
        job, *others = await claim(store, together)
        said = [Transition(job.id, job.epoch, Verdict.COMPLETE, result=result) for result in (b"1", b"2")]
        said += [Transition(other.id, other.epoch, Verdict.COMPLETE) for other in others]
        assert [answer.reply for answer in await store.jobs.finish(WORKER, said)] == [Reply.APPLIED] * (together + 1)
        kept = await store.jobs.get(job.id)
        assert kept is not None
        assert kept.result == b"1"
    audit(redis_url(), store.namespace)


async def test_forgotten_scripts_are_brought_again(store: RedisStore) -> None:
    client = redis.Redis.from_url(redis_url())
    client.script_flush()
    await store.jobs.enqueue(jobs(500))
    client.script_flush()
    claimed = await claim(store, 450)
    client.script_flush()
    assert await complete(store, claimed) == [Reply.APPLIED] * 450
    client.close()
    assert await count(store, JobState.PENDING) == 50


async def test_a_call_cancelled_at_any_await_leaves_a_store_that_answers_right(store: RedisStore) -> None:
    await store.jobs.enqueue(jobs(40))
    (kept,) = await store.jobs.enqueue(jobs(1, priority=-9))
    for steps in range(25):
        act = asyncio.ensure_future(claim(store, 1) if steps % 2 else store.jobs.get(kept.id))
        for _ in range(steps):
            await asyncio.sleep(0)
        act.cancel()
        await asyncio.wait([act])
        found = await store.jobs.get(kept.id)
        assert found is not None
        assert found.id == kept.id
    lost = (await store.jobs.renew(WORKER, [], lease=30.0)).unnamed
    assert set(await store.jobs.release(WORKER, lost)) <= {Reply.APPLIED}
    assert await count(store, JobState.PENDING) == 41
    audit(redis_url(), store.namespace)


async def test_the_audit_notices_an_index_that_disagrees(store: RedisStore) -> None:
    await store.jobs.enqueue(jobs(2))
    audit(redis_url(), store.namespace)
    client = redis.Redis.from_url(redis_url())
    (ready,) = client.keys(f"{{{store.namespace}}}:r:*")
    client.zpopmin(ready)
    client.close()
    with pytest.raises(AssertionError, match="r:7:default"):
        audit(redis_url(), store.namespace)
