"""Concurrency keys: whoever leaves a key lets the next one in, and whoever comes back is held to it."""

from __future__ import annotations

from dispatch.entity import Reply
from dispatch.ids import JobID
from dispatch.jobs.model import JobState, Unique, Verdict
from dispatch.testing.conformance.concurrency import given_jobs, ids, keyed
from dispatch.testing.conformance.env import Env
from dispatch.testing.conformance.registry import case


@case("I28", "I1")
async def a_waiting_job_that_is_cancelled_deleted_or_replaced_lets_the_next_one_in(env: Env) -> None:
    async def cancel(job_id: JobID) -> None:
        assert (await env.store.jobs.cancel(job_id)).state is JobState.CANCELLED

    async def delete(job_id: JobID) -> None:
        assert await env.store.jobs.delete(job_id) is Reply.APPLIED

    async def postpone(job_id: JobID) -> None:
        (answer,) = await env.enqueue(keyed(delay=600, unique=Unique("u", on_conflict="replace")))
        assert (answer.id, answer.replaced) == (job_id, True)

    for go_away in (cancel, delete, postpone):
        first, second = await given_jobs(env, keyed(unique=Unique("u")), keyed())
        await go_away(first)
        (job,) = await env.claim(10)
        assert job.id == second, go_away.__name__
        await env.finish(job, Verdict.COMPLETE)


@case("I28", "I5")
async def a_blocked_job_can_be_cancelled_and_is_not_blocked_any_more(env: Env) -> None:
    holder, blocked, last = await given_jobs(env, keyed(), keyed(), keyed())
    job = await env.take()
    await env.store.jobs.cancel(blocked)
    row = await env.job(blocked)
    assert (row.state, row.blocked) == (JobState.CANCELLED, False)
    assert (await env.store.queues.get("default")).blocked == 1
    await env.finish(job, Verdict.COMPLETE)
    assert ids(await env.claim(10)) == [last], f"{holder} ended"


@case("I28", "I1")
async def a_replaced_job_takes_its_new_keys_place(env: Env) -> None:
    replacing = Unique("u", on_conflict="replace")
    holder = await env.start(concurrency_key="k", concurrency_max=1)
    moved, stays = await given_jobs(env, keyed(unique=replacing), keyed())
    await env.enqueue(keyed("l", unique=replacing))
    (job,) = await env.claim(10)
    assert (job.id, job.concurrency_key) == (moved, "l")
    await env.finish(holder, Verdict.COMPLETE)
    assert ids(await env.claim(10)) == [stays]


@case("I28", "I1")
async def an_expired_job_in_front_lets_the_next_one_in(env: Env) -> None:
    await given_jobs(env, *(keyed(expires_in=10) for _ in range(3)))
    (last,) = await given_jobs(env, keyed())
    env.clock.advance(11)
    expired, jobs = 0, []
    for _ in range(5):
        answer = await env.claimed(10)
        expired += len(answer.expired)
        jobs += answer.jobs
    assert (ids(jobs), expired) == ([last], 3)


@case("I28", "I29")
async def a_job_set_aside_lets_the_next_one_in(env: Env) -> None:
    await env.register(names=["work"], lease=600.0)
    lost, known = await given_jobs(env, keyed(name="unknown", priority=5), keyed())
    env.clock.advance(61)
    while await env.store.jobs.set_aside(due_for=60.0, limit=100):
        pass
    (job,) = await env.claim(10)
    assert job.id == known
    await env.register(id=env.other, names=["unknown"])
    assert await env.claim(10, names=["unknown"]) == []
    await env.finish(job, Verdict.COMPLETE)
    assert ids(await env.claim(10, names=["unknown"])) == [lost]


@case("I28", "I29")
async def nobody_waits_for_a_job_that_cannot_start_elsewhere(env: Env) -> None:
    await given_jobs(env, keyed(queue="paused", priority=9), keyed(name="other", priority=9))
    (free,) = await given_jobs(env, keyed())
    await env.store.queues.pause("paused")
    assert ids(await env.claim(10, queues=["paused", "default"])) == [free]


@case("I28", "I10")
async def a_quarantined_job_is_held_to_its_key(env: Env) -> None:
    killer = await env.start(concurrency_key="k", concurrency_max=1)
    await env.crash(killer)
    await env.crash(await env.take())
    (other,) = await given_jobs(env, keyed())
    (job,) = await env.claim(10)
    assert job.id == other
    assert not await env.store.jobs.quarantined(queues=["default"], names=["work"], due_for=0.0)
    assert await env.claim(10, alone=True, by=env.other) == []
    await env.finish(job, Verdict.COMPLETE)
    assert await env.store.jobs.quarantined(queues=["default"], names=["work"], due_for=0.0)
    assert ids(await env.claim(10, alone=True, by=env.other)) == [killer.id]


@case("I28", "I1")
async def a_successor_is_held_to_the_key_when_it_goes_free(env: Env) -> None:
    replacing = Unique("u", on_conflict="replace")
    holder = await env.start(concurrency_key="k", concurrency_max=1, unique=replacing)
    older, successor = await given_jobs(env, keyed(run_at=env.after(-5)), keyed(unique=replacing))
    await env.finish(holder, Verdict.COMPLETE)
    (job,) = await env.claim(10)
    assert job.id == older
    await env.finish(job, Verdict.COMPLETE)
    assert ids(await env.claim(10)) == [successor]


@case("I28", "I1", "I11")
async def a_job_retried_or_replayed_keeps_its_key(env: Env) -> None:
    job_id, letter_id = await env.bury(concurrency_key="k", concurrency_max=1)
    other_id, other_letter = await env.bury(concurrency_key="k", concurrency_max=1)
    letter = await env.letter(letter_id)
    assert (letter.concurrency_key, letter.concurrency_max) == ("k", 1)
    await env.store.jobs.retry(job_id)
    new_id = JobID.new()
    assert (await env.store.dlq.replay(other_letter, new_id)).reply is Reply.APPLIED
    first = await env.claim(10)
    assert ids(first) == [job_id], f"{other_id} was replayed as {new_id}, which must wait"
    await env.finish(first[0], Verdict.COMPLETE)
    (replayed,) = await env.claim(10)
    assert (replayed.id, replayed.concurrency_key, replayed.concurrency_max) == (new_id, "k", 1)


@case("I28", "I1")
async def follow_ups_are_held_to_their_keys(env: Env) -> None:
    job = await env.start(concurrency_key="k", concurrency_max=1)
    following = [keyed(), keyed()]
    await env.finish(job, Verdict.COMPLETE, then=tuple(following))
    assert ids(await env.claim(10)) == [following[0].id]
