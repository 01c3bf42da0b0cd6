"""Successors: the one job that waits behind a running holder of its key, and what becomes of it."""

from __future__ import annotations

from dispatch.entity import Reply
from dispatch.ids import JobID
from dispatch.jobs.model import Job, JobState, Unique, Verdict
from dispatch.testing.conformance.env import BOOM, Env, new, pairs
from dispatch.testing.conformance.registry import case

REPLACE = Unique("k", on_conflict="replace")


async def _pair(env: Env) -> tuple[Job, JobID]:
    """A running holder and its successor."""
    holder = await env.start(payload=b"1", unique=REPLACE)
    successor = await env.add(payload=b"2", unique=REPLACE)
    return holder, successor


@case("I1")
async def replace_behind_a_running_job_stores_one_successor_that_cannot_be_claimed(env: Env) -> None:
    holder, successor = await _pair(env)
    row = await env.job(successor)
    assert (row.state, row.behind, row.payload) == (JobState.PENDING, holder.id, b"2")
    answer = await env.claimed(5)
    assert (answer.jobs, answer.next_due) == ([], None)
    assert (await env.job(holder.id)).payload == b"1"


@case("I1")
async def a_second_replace_rewrites_the_successor(env: Env) -> None:
    holder, successor = await _pair(env)
    (answer,) = await env.enqueue(new(payload=b"3", priority=5, unique=REPLACE))
    assert (answer.id, answer.created, answer.replaced) == (successor, False, True)
    row = await env.job(successor)
    assert (row.payload, row.priority, row.behind) == (b"3", 5, holder.id)
    assert len(await env.jobs()) == 2


@case("I1")
async def the_holders_end_makes_the_successor_claimable_and_hands_it_the_key(env: Env) -> None:
    for verdict in (Verdict.COMPLETE, Verdict.FAIL, Verdict.CANCEL):
        holder, successor = await _pair(env)
        assert (await env.finish(holder, verdict)).reply is Reply.APPLIED
        row = await env.job(successor)
        assert (row.state, row.behind) == (JobState.PENDING, None)
        (answer,) = await env.enqueue(new(unique=Unique("k")))
        assert (answer.id, answer.created) == (successor, False), "the key was not handed on"
        job = await env.take()
        assert (job.id, job.payload) == (successor, b"2")
        await env.finish(job, Verdict.COMPLETE)
        await env.store.jobs.cancel(await env.add(unique=Unique("k")))


@case("I1")
async def the_successor_of_a_job_cancelled_buried_or_expired_by_others_goes_free(env: Env) -> None:
    holder, successor = await _pair(env)
    await env.store.jobs.cancel(holder.id)
    await env.crash(holder)
    assert (await env.take()).id == successor
    await env.store.jobs.cancel(successor)
    await env.store.jobs.release(env.worker, pairs(await env.job(successor)))

    holder, successor = await _pair(env)
    await env.crash(holder, max_crashes=0)
    assert (await env.take()).id == successor


@case("I1", "I6")
async def a_successor_freed_early_still_waits_for_its_own_time(env: Env) -> None:
    holder = await env.start(unique=REPLACE)
    successor = await env.add(unique=REPLACE, delay=60)
    await env.finish(holder, Verdict.COMPLETE)
    answer = await env.claimed(5)
    assert (answer.jobs, answer.next_due) == ([], env.after(60))
    env.clock.advance(60)
    assert (await env.take()).id == successor


@case("I1")
async def a_successor_stays_behind_while_the_holder_only_pauses(env: Env) -> None:
    holder, successor = await _pair(env)
    for verdict in (Verdict.RETRY, Verdict.SNOOZE, Verdict.RELEASE):
        await env.finish(holder, verdict, failure=BOOM if verdict is Verdict.RETRY else None)
        claimed = await env.claim(5)
        assert [job.id for job in claimed] == [holder.id], verdict
        (holder,) = claimed
    holder = (await env.crash(holder)).job
    (holder,) = await env.claim(5)
    assert (await env.job(successor)).behind == holder.id
    await env.finish(holder, Verdict.COMPLETE)
    assert (await env.take()).id == successor


@case("I1")
async def the_cancelled_holder_of_a_waiting_pair_frees_the_successor(env: Env) -> None:
    holder, successor = await _pair(env)
    await env.finish(holder, Verdict.SNOOZE, delay=600)
    await env.store.jobs.cancel(holder.id)
    assert (await env.take()).id == successor


@case("I1", "I5")
async def a_cancelled_successor_is_gone_and_the_next_replace_makes_another(env: Env) -> None:
    holder, successor = await _pair(env)
    assert (await env.store.jobs.cancel(successor)).state is JobState.CANCELLED
    (answer,) = await env.enqueue(new(unique=Unique("k")))
    assert (answer.id, answer.created) == (holder.id, False), "the holder still has the key"
    another = await env.add(unique=REPLACE)
    await env.finish(holder, Verdict.COMPLETE)
    assert [job.id for job in await env.claim(5)] == [another]
    assert (await env.job(successor)).state is JobState.CANCELLED


@case("I1")
async def a_cancelled_successor_does_not_keep_the_key_from_being_freed(env: Env) -> None:
    holder, successor = await _pair(env)
    await env.store.jobs.cancel(successor)
    await env.finish(holder, Verdict.COMPLETE)
    await env.add(unique=Unique("k"))


@case("I1")
async def a_successor_has_a_life_of_its_own_with_a_successor_behind_it(env: Env) -> None:
    holder, first = await _pair(env)
    await env.finish(holder, Verdict.COMPLETE)
    job = await env.take()
    assert job.id == first
    second = await env.add(unique=REPLACE)
    assert (await env.job(second)).behind == first
    await env.finish(job, Verdict.COMPLETE)
    assert (await env.take()).id == second


@case("I1")
async def while_the_holder_waits_again_a_replace_rewrites_the_successor_not_the_older_work(env: Env) -> None:
    holder, successor = await _pair(env)
    await env.finish(holder, Verdict.RETRY, failure=BOOM)
    (answer,) = await env.enqueue(new(payload=b"3", unique=REPLACE))
    assert (answer.id, answer.created, answer.replaced) == (successor, False, True)
    payloads = []
    for _ in range(2):
        job = await env.take()
        payloads.append(job.payload)
        await env.finish(job, Verdict.COMPLETE)
    assert payloads == [b"1", b"3"], "the newest work runs last"
