"""Races: two parties in both orders one after the other, and at once from two clients."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import Any

from dispatch.entity import Reply
from dispatch.ids import JobID, WorkerID
from dispatch.jobs.model import Idempotency, JobState, Unique, Verdict
from dispatch.queues import QueueConfig
from dispatch.scope import Scope
from dispatch.testing.conformance.env import BOOM, Env, new, pairs
from dispatch.testing.conformance.registry import case

ROUNDS = 6


@case("I3", "I7")
async def claims_at_once_from_two_clients_are_disjoint_and_miss_nothing(env: Env) -> None:
    sibling = await env.sibling()
    await env.enqueue(*(new(priority=i % 3) for i in range(60)))
    answers = await asyncio.gather(
        *(env.claim(10, by=WorkerID.new(), via=store) for _ in range(4) for store in (env.store, sibling))
    )
    taken = Counter(job.id for jobs in answers for job in jobs)
    assert all(len(jobs) <= 10 for jobs in answers)
    assert len(taken) == 60
    assert set(taken.values()) == {1}


@case("I28")
async def claims_at_once_keep_a_limit(env: Env) -> None:
    sibling = await env.sibling()
    await env.store.queues.configure(QueueConfig("default", max_concurrency=5, tenant_concurrency=3))
    await env.enqueue(*(new(scope=Scope("shop", str(i % 2))) for i in range(60)))
    for _ in range(ROUNDS):
        answers = await asyncio.gather(
            *(env.claim(4, via=store) for _ in range(4) for store in (env.store, sibling)),
            *(store.queues.take_slot("default", "slot", lease=30) for store in (env.store, sibling)),
        )
        running = [job for job in await env.jobs() if job.state is JobState.RUNNING]
        assert len(running) + len((await env.store.queues.get("default")).slots) == 5
        assert max(Counter(job.scope for job in running).values()) <= 3
        del answers
        await env.finish(running[0], Verdict.COMPLETE)


@case()
async def claims_at_once_keep_a_rate(env: Env) -> None:
    sibling = await env.sibling()
    await env.store.queues.configure(QueueConfig("default", rate_limit=1.0, rate_burst=5))
    await env.enqueue(*(new() for _ in range(30)))
    answers = await asyncio.gather(*(env.claim(3, via=store) for _ in range(4) for store in (env.store, sibling)))
    assert sum(len(jobs) for jobs in answers) == 5


@case("I4", "I3")
async def a_finish_before_the_steal_wins_and_after_it_is_stale(env: Env) -> None:
    job = await env.start(lease=5)
    env.clock.advance(6)
    assert (await env.finish(job, Verdict.COMPLETE)).reply is Reply.APPLIED
    assert await env.steal() == []
    job = await env.start(lease=5)
    env.clock.advance(6)
    assert len(await env.steal()) == 1
    assert (await env.finish(job, Verdict.COMPLETE)).reply is Reply.STALE


@case("I3", "I4", "I5")
async def of_a_finish_and_a_steal_at_once_one_wins(env: Env) -> None:
    sibling = await env.sibling()
    for _ in range(ROUNDS):
        job = await env.start(lease=5)
        env.clock.advance(6)
        finished, stolen = await asyncio.gather(
            env.finish(job, Verdict.COMPLETE, via=sibling), env.steal(delays=[9999.0])
        )
        row = await env.job(job.id)
        if finished.reply is Reply.APPLIED:
            assert (stolen, row.state, row.crashes) == ([], JobState.COMPLETED, 0)
        else:
            assert [s.job.id for s in stolen] == [job.id]
            assert (finished.reply, row.state, row.crashes) == (Reply.STALE, JobState.RETRYING, 1)


@case("I29", "I3")
async def of_a_renewal_and_a_steal_at_once_one_wins(env: Env) -> None:
    sibling = await env.sibling()
    for _ in range(ROUNDS):
        job = await env.start(lease=5)
        env.clock.advance(6)
        renewed, stolen = await asyncio.gather(
            sibling.jobs.renew(env.worker, pairs(job), lease=30), env.steal(delays=[9999.0])
        )
        assert (renewed.held == [job.id]) != (len(stolen) == 1)
        row = await env.job(job.id)
        assert row.state is (JobState.RUNNING if renewed.held else JobState.RETRYING)
        await env.finish(job, Verdict.COMPLETE)


@case("I5", "I3")
async def a_cancel_before_the_claim_leaves_nothing_to_claim_and_after_it_is_a_request(env: Env) -> None:
    job_id = await env.add()
    assert (await env.store.jobs.cancel(job_id)).state is JobState.CANCELLED
    assert await env.claim(1) == []
    job = await env.start()
    assert (await env.store.jobs.cancel(job.id)).state is JobState.RUNNING


@case("I5", "I3")
async def of_a_cancel_and_a_claim_at_once_the_cancel_is_never_lost(env: Env) -> None:
    sibling = await env.sibling()
    for _ in range(ROUNDS):
        job_id = await env.add()
        changed, claimed = await asyncio.gather(env.store.jobs.cancel(job_id), env.claim(1, via=sibling))
        row = await env.job(job_id)
        if claimed:
            assert (changed.state, row.state, row.cancel_requested) == (JobState.RUNNING, JobState.RUNNING, True)
            assert (await env.finish(claimed[0], Verdict.RETRY)).state is JobState.CANCELLED
        else:
            assert (changed.state, row.state) == (JobState.CANCELLED, JobState.CANCELLED)


@case("I5")
async def of_a_cancel_and_a_finish_at_once_the_answers_agree_with_the_row(env: Env) -> None:
    sibling = await env.sibling()
    for verdict in (Verdict.COMPLETE, Verdict.RETRY) * (ROUNDS // 2):
        job = await env.start()
        changed, finished = await asyncio.gather(
            env.store.jobs.cancel(job.id), env.finish(job, verdict, via=sibling, delay=9999.0)
        )
        assert finished.reply is Reply.APPLIED
        row = await env.job(job.id)
        if verdict is Verdict.COMPLETE:
            assert row.state is JobState.COMPLETED
            assert changed.reply is (Reply.CONFLICT if changed.state is JobState.COMPLETED else Reply.APPLIED)
        else:
            assert (row.state, changed.reply) == (JobState.CANCELLED, Reply.APPLIED)


@case("I12")
async def replays_at_once_make_one_job(env: Env) -> None:
    sibling = await env.sibling()
    for _ in range(ROUNDS):
        _, letter_id = await env.bury()
        ids = [JobID.new() for _ in range(4)]
        answers = await asyncio.gather(
            *(store.dlq.replay(letter_id, new_id) for new_id, store in zip(ids, [env.store, sibling] * 2, strict=True))
        )
        applied = [answer.job_id for answer in answers if answer.reply is Reply.APPLIED]
        assert len(applied) == 1
        assert {answer.job_id for answer in answers} == set(applied), "the losers are told of the winner's job"
        made = [job.id for job in await env.jobs() if job.replay_of == letter_id]
        assert made == applied
        await env.store.jobs.cancel(made[0])


@case("I12", "I11")
async def of_a_replay_and_a_retry_at_once_one_decides(env: Env) -> None:
    sibling = await env.sibling()
    for _ in range(ROUNDS):
        job_id, letter_id = await env.bury(unique=Unique("k"))
        new_id = JobID.new()
        replayed, retried = await asyncio.gather(env.store.dlq.replay(letter_id, new_id), sibling.jobs.retry(job_id))
        assert (replayed.reply is Reply.APPLIED) != (retried.reply is Reply.APPLIED)
        for live in (job_id, new_id):
            await env.store.jobs.cancel(live)


@case("I12")
async def of_a_replay_and_a_discard_at_once_one_decides(env: Env) -> None:
    sibling = await env.sibling()
    for _ in range(ROUNDS):
        _, letter_id = await env.bury()
        new_id = JobID.new()
        replayed, discarded = await asyncio.gather(
            env.store.dlq.replay(letter_id, new_id), sibling.dlq.discard(letter_id)
        )
        assert (replayed.reply is Reply.APPLIED) != (discarded is Reply.APPLIED)
        assert (await env.store.jobs.get(new_id) is not None) == (replayed.reply is Reply.APPLIED)
        await env.store.jobs.cancel(new_id)


@case("I2")
async def enqueues_at_once_with_one_key_make_one_job(env: Env) -> None:
    sibling = await env.sibling()
    for i in range(ROUNDS):
        key = Idempotency(f"i{i}", "digest", ttl=100.0)
        choices: tuple[dict[str, Any], ...] = ({"unique": Unique(f"u{i}")}, {"idempotency": key})
        for options in choices:
            answers = await asyncio.gather(
                *(store.jobs.enqueue([new(delay=9999, **options)]) for _ in range(3) for store in (env.store, sibling))
            )
            assert len({answer.id for (answer,) in answers}) == 1
            assert sum(answer.created for (answer,) in answers) == 1
    assert len(await env.jobs()) == 2 * ROUNDS


@case("I2")
async def the_same_enqueue_at_once_makes_one_job(env: Env) -> None:
    sibling = await env.sibling()
    given = new()
    answers = await asyncio.gather(*(store.jobs.enqueue([given]) for store in (env.store, sibling) * 3))
    assert sum(answer.created for (answer,) in answers) == 1
    assert len(await env.jobs()) == 1


@case("I29", "I10")
async def steals_at_once_take_each_job_once(env: Env) -> None:
    sibling = await env.sibling()
    await env.enqueue(*(new() for _ in range(30)))
    await env.claim(30, lease=5)
    env.clock.advance(6)
    answers = await asyncio.gather(
        *(
            store.jobs.steal(limit=20, max_crashes=3, delays=[9999.0])
            for _ in range(2)
            for store in (env.store, sibling)
        )
    )
    assert sorted(stolen.job.id for answer in answers for stolen in answer) == sorted(
        job.id for job in await env.jobs()
    )
    assert {job.crashes for job in await env.jobs()} == {1}


@case("I5", "I11")
async def the_same_finish_at_once_counts_once(env: Env) -> None:
    sibling = await env.sibling()
    for _ in range(ROUNDS):
        job = await env.start()
        answers = await asyncio.gather(
            *(
                env.finish(job, Verdict.FAIL, via=store, failure=BOOM, dead_letter=True, reason="exhausted")
                for store in (env.store, sibling)
            )
        )
        assert [answer.reply for answer in answers] == [Reply.APPLIED] * 2
        assert len({answer.dead_letter for answer in answers}) == 1
        row = await env.job(job.id)
        assert row.failures == 1
        assert len(await env.store.jobs.attempts(job.id)) == 1
    assert len((await env.dump())["dlq"]) == ROUNDS


@case("I5")
async def of_two_different_ends_at_once_one_is_kept(env: Env) -> None:
    sibling = await env.sibling()
    for _ in range(ROUNDS):
        job = await env.start()
        done, failed = await asyncio.gather(
            env.finish(job, Verdict.COMPLETE, result=b"1"),
            env.finish(job, Verdict.FAIL, via=sibling, failure=BOOM, dead_letter=True, reason="exhausted"),
        )
        assert {done.reply, failed.reply} == {Reply.APPLIED, Reply.STALE}
        row = await env.job(job.id)
        assert row.state is (JobState.COMPLETED if done.reply is Reply.APPLIED else JobState.FAILED)
        assert (row.result is None) == (row.state is JobState.FAILED)


@case("I1", "I5")
async def of_a_replace_and_a_claim_at_once_the_new_payload_is_not_lost(env: Env) -> None:
    sibling = await env.sibling()
    for i in range(ROUNDS):
        unique = Unique(f"k{i}", on_conflict="replace")
        holder = await env.add(payload=b"old", unique=unique)
        (answers, claimed) = await asyncio.gather(
            env.store.jobs.enqueue([new(payload=b"new", unique=unique)]), env.claim(1, via=sibling)
        )
        (answer,) = answers
        (job,) = claimed or [await env.take()]
        assert job.id == holder
        if answer.created:
            assert job.payload == b"old"
            await env.finish(job, Verdict.COMPLETE)
            job = await env.take()
        assert job.payload == b"new"
        await env.finish(job, Verdict.COMPLETE)
