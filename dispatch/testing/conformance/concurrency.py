"""Concurrency keys: never more of a key run than it allows, and what is blocked by it comes back at once, in order."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

from dispatch.entity import Reply
from dispatch.ids import JobID
from dispatch.jobs.model import Job, JobState, KeyHolders, NewJob, Verdict
from dispatch.queues import QueueConfig
from dispatch.testing.conformance.env import BOOM, Env, new, pairs
from dispatch.testing.conformance.registry import case

BOTH = ("a", "b")


def keyed(key: str = "k", most: int = 1, **options: Any) -> NewJob:
    """A job with a concurrency key."""
    return new(options.pop("name", "work"), concurrency_key=key, concurrency_max=most, **options)


async def given_jobs(env: Env, *jobs: NewJob) -> list[JobID]:
    """Enqueues them and answers their ids."""
    await env.enqueue(*jobs)
    return [job.id for job in jobs]


def ids(jobs: Sequence[Job]) -> list[JobID]:
    """Their ids, in order."""
    return [job.id for job in jobs]


@case("I28")
async def no_more_jobs_of_a_key_run_than_its_maximum(env: Env) -> None:
    given = await given_jobs(env, *(keyed(most=2) for _ in range(5)))
    assert ids(await env.claim(10)) == given[:2]
    assert await env.claim(10, by=env.other) == []
    assert sorted(job.state for job in await env.jobs()) == ["pending"] * 3 + ["running"] * 2


@case("I28")
async def jobs_enqueued_one_by_one_share_the_key(env: Env) -> None:
    given = [(await given_jobs(env, keyed()))[0] for _ in range(3)]
    for expected in given:
        (job,) = await env.claim(10)
        assert job.id == expected
        await given_jobs(env, keyed("other"))
        (other,) = await env.claim(10)
        assert other.concurrency_key == "other"
        await env.finish(other, Verdict.COMPLETE)
        await env.finish(job, Verdict.COMPLETE)


@case("I28")
async def a_key_holds_over_all_queues_and_names(env: Env) -> None:
    await env.enqueue(*(keyed(most=2, queue=queue, name=name) for queue in BOTH for name in ("work", "other")))
    first = await env.claim(10, queues=BOTH, names=["work", "other"])
    assert len(first) == 2
    for job in first:
        await env.finish(job, Verdict.COMPLETE)
    assert len(await env.claim(10, queues=BOTH, names=["work", "other"])) == 2


@case("I28", "I6")
async def keys_do_not_meet_and_jobs_without_one_pass(env: Env) -> None:
    first, second, third, plain = await given_jobs(env, keyed(), keyed(), keyed("l"), new())
    assert ids(await env.claim(10)) == [first, third, plain]
    assert (await env.job(second)).state is JobState.PENDING


@case("I28", "I1")
async def every_way_out_of_running_lets_the_next_one_in_at_once(env: Env) -> None:
    ways = (Verdict.COMPLETE, Verdict.FAIL, Verdict.CANCEL, Verdict.RETRY, Verdict.SNOOZE)
    given = await given_jobs(env, *(keyed() for _ in range(len(ways) + 1)))
    for verdict, expected in zip(ways, given, strict=False):
        (job,) = await env.claim(10)
        assert job.id == expected, verdict
        assert (await env.finish(job, verdict, delay=600.0)).reply is Reply.APPLIED
    assert ids(await env.claim(10)) == given[-1:]


@case("I28", "I1")
async def a_batch_of_ends_lets_as_many_in(env: Env) -> None:
    given = await given_jobs(env, *(keyed(most=3) for _ in range(7)))
    first = await env.claim(10)
    await env.store.jobs.release(env.worker, pairs(first[0]))
    for job in first[1:]:
        await env.finish(job, Verdict.COMPLETE)
    assert ids(await env.claim(10)) == [given[0], given[3], given[4]]


@case("I28", "I10")
async def a_stolen_job_gives_its_place_back(env: Env) -> None:
    stolen, following = await given_jobs(env, keyed(), keyed())
    job = await env.take()
    await env.crash(job, delays=[60.0])
    assert ids(await env.claim(10)) == [following]
    env.clock.advance(61)
    assert await env.claim(10) == []
    (running,) = [job for job in await env.jobs() if job.state is JobState.RUNNING]
    await env.finish(running, Verdict.COMPLETE)
    assert ids(await env.claim(10)) == [stolen]


@case("I28")
async def a_lapsed_lease_keeps_its_place_until_it_is_stolen(env: Env) -> None:
    await env.enqueue(keyed(), keyed())
    await env.take(lease=5.0)
    env.clock.advance(60)
    assert await env.claim(10, by=env.other) == []
    await env.steal(max_crashes=0)
    assert len(await env.claim(10, by=env.other)) == 1


@case("I28", "I6")
async def what_was_blocked_comes_back_by_priority_then_time_then_id(env: Env) -> None:
    job = await env.start(concurrency_key="k", concurrency_max=1)
    low, late, high, early = await given_jobs(
        env, keyed(priority=-1), keyed(), keyed(priority=5), keyed(run_at=env.after(-50))
    )
    order = []
    for _ in range(4):
        await env.finish(job, Verdict.COMPLETE)
        (job,) = await env.claim(10)
        order.append(job.id)
    assert order == [high, early, late, low]


@case("I28", "I6")
async def a_more_urgent_job_enqueued_later_goes_first(env: Env) -> None:
    await given_jobs(env, keyed(), keyed())
    (urgent,) = await given_jobs(env, keyed(priority=9))
    assert ids(await env.claim(10)) == [urgent]


@case("I28", "I6")
async def a_delayed_job_holds_no_place_until_it_runs(env: Env) -> None:
    delayed, *due = await given_jobs(env, keyed(delay=60, priority=5), keyed(), keyed())
    (job,) = await env.claim(10)
    assert job.id == due[0]
    assert (await env.claimed(10)).next_due == env.after(60)
    await env.finish(job, Verdict.COMPLETE)
    (job,) = await env.claim(10)
    assert job.id == due[1]
    env.clock.advance(60)
    assert await env.claim(10) == []
    await env.finish(job, Verdict.COMPLETE)
    assert ids(await env.claim(10)) == [delayed]


@case("I28", "I1", "I29")
async def jobs_that_come_due_together_are_held_to_the_key(env: Env) -> None:
    given = await given_jobs(env, *(keyed(most=2, delay=60) for _ in range(6)))
    env.clock.advance(60)
    (first, second) = await env.claim(10)
    info = await env.store.queues.get("default")
    assert (info.blocked, info.pending, info.running) == (4, 4, 2)
    await env.store.jobs.release(env.worker, pairs(first, second))
    seen: list[JobID] = []
    while jobs := await env.claim(10):
        assert len(jobs) <= 2
        seen += ids(jobs)
        for job in jobs:
            await env.finish(job, Verdict.COMPLETE)
    assert seen == given


@case("I28", "I29")
async def jobs_of_a_full_key_are_not_due_for_a_claim(env: Env) -> None:
    await given_jobs(env, *(keyed(priority=9) for _ in range(50)), new())
    assert len(await env.claim(10)) == 2
    answer = await env.claimed(10)
    assert (answer.jobs, answer.next_due) == ([], None)
    info = await env.store.queues.get("default")
    assert (info.blocked, info.pending, info.running) == (49, 49, 2)
    assert sum(job.blocked for job in await env.jobs()) == 49


@case("I28")
async def the_latest_enqueue_says_how_many_may_run(env: Env) -> None:
    given = await given_jobs(env, *(keyed() for _ in range(6)))
    assert len(await env.claim(10)) == 1
    given += await given_jobs(env, keyed(most=3))
    assert ids(await env.claim(10)) == given[1:3]
    given += await given_jobs(env, keyed(most=1))
    running = [job for job in await env.jobs() if job.state is JobState.RUNNING]
    assert len(running) == 3
    for job in running[:2]:
        await env.finish(job, Verdict.COMPLETE)
        assert await env.claim(10) == []
    await env.finish(running[2], Verdict.COMPLETE)
    assert ids(await env.claim(10)) == given[3:4]


@case("I28")
async def a_maximum_is_forgotten_with_the_last_unfinished_job(env: Env) -> None:
    job = await env.start(concurrency_key="k", concurrency_max=4)
    holders = env.store.jobs.holders
    assert await holders("k") == KeyHolders(4, [job.id])
    await env.finish(job, Verdict.RETRY, failure=BOOM, delay=60)
    assert await holders("k") == KeyHolders(4, [])
    await env.store.jobs.cancel(job.id)
    assert await holders("k") == KeyHolders(None, [])


@case("I28", "I2")
async def an_enqueue_repeated_changes_nothing_of_the_key(env: Env) -> None:
    first, second = keyed(), keyed()
    await env.enqueue(first, second)
    (job,) = await env.claim(10)
    async with env.unchanged("a repeated enqueue"):
        answers = await env.enqueue(first, second)
    assert [answer.created for answer in answers] == [False, False]
    assert await env.claim(10) == []
    await env.finish(job, Verdict.COMPLETE)
    assert ids(await env.claim(10)) == [second.id]


@case("I28", "I4")
async def a_stale_end_lets_nobody_in(env: Env) -> None:
    await given_jobs(env, keyed(), keyed())
    job = await env.take()
    assert (await env.finish(job, Verdict.COMPLETE, epoch=job.epoch - 1)).reply is Reply.STALE
    assert await env.claim(10, by=env.other) == []


@case("I28")
async def a_queues_own_limits_hold_beside_a_key(env: Env) -> None:
    await env.store.queues.configure(QueueConfig("default", max_concurrency=2))
    await given_jobs(env, *(keyed(most=3) for _ in range(4)), *(keyed("l") for _ in range(2)))
    jobs = await env.claim(10)
    assert len(jobs) == 2
    await env.store.queues.configure(QueueConfig("default"))
    assert sorted(str(job.concurrency_key) for job in jobs + await env.claim(10)) == ["k", "k", "k", "l"]


@case("I28")
async def a_healthy_store_has_nothing_to_repair(env: Env) -> None:
    await given_jobs(env, *(keyed(str(n % 3)) for n in range(9)))
    assert [await env.store.jobs.unblock(limit=2) for _ in range(3)] == [0, 0, 0]
    assert len(await env.claim(10)) == 3
    assert await env.store.jobs.unblock(limit=10) == 0


@case("I28", "I7")
async def two_claims_at_once_keep_the_maximum(env: Env) -> None:
    sibling = await env.sibling()
    for _ in range(10):
        await given_jobs(env, *(keyed(most=2) for _ in range(6)))
        mine, yours = await asyncio.gather(env.claim(3), env.claim(3, by=env.other, via=sibling))
        assert len(mine) + len(yours) <= 2
        both = [*((env.worker, job) for job in mine), *((env.other, job) for job in yours)]
        for owner, job in both:
            await env.finish(job, Verdict.COMPLETE, by=owner)
        for job in await env.jobs():
            if not job.state.terminal:
                await env.store.jobs.cancel(job.id)


@case("I28", "I7")
async def ends_and_claims_at_once_lose_no_place(env: Env) -> None:
    sibling = await env.sibling()
    await given_jobs(env, *(keyed(most=2) for _ in range(30)))
    done = 0
    while jobs := await env.claim(2):
        assert len([job for job in await env.jobs() if job.state is JobState.RUNNING]) <= 2
        ended = asyncio.gather(*(env.finish(job, Verdict.COMPLETE) for job in jobs))
        more, _ = await asyncio.gather(env.claim(2, by=env.other, via=sibling), ended)
        for job in more:
            await env.finish(job, Verdict.COMPLETE, by=env.other)
        done += len(jobs) + len(more)
    assert done == 30
