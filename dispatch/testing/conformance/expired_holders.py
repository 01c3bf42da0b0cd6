"""Holders of unique keys that have expired while nobody claimed: who wants the key makes a live job all the same."""

from __future__ import annotations

import asyncio
from typing import Any

from dispatch.errors import DuplicateJob
from dispatch.ids import JobID
from dispatch.jobs.model import JobState, NewJob, OnConflict, Unique, Verdict
from dispatch.testing.conformance.env import BOOM, Env, new, raises
from dispatch.testing.conformance.flows import Driven, begin, made, new_run, results, run_of, state, with_job
from dispatch.testing.conformance.registry import case
from dispatch.workflows.model import RunState, driver_name

MODES: tuple[OnConflict, ...] = ("return", "skip", "raise", "replace")


async def _expired(env: Env, **options: Any) -> JobID:
    """A job with the key that has expired, which no worker has noticed."""
    job_id = await env.add(payload=b"old", expires_in=5, **{"unique": Unique("k"), **options})
    env.clock.advance(6)
    return job_id


async def _made(env: Env, wanted: NewJob, *gone: JobID) -> None:
    """The enqueue makes a live job, for which these expire as a claim would have made them."""
    (answer,) = await env.enqueue(wanted)
    assert (answer.id, answer.created, answer.replaced, answer.expired) == (wanted.id, True, False, gone)
    for job_id in gone:
        old = await env.job(job_id)
        assert (old.state, old.reason, old.finished_at) == (JobState.CANCELLED, "expired", env.clock.now())
    assert (await env.job(wanted.id)).state is JobState.PENDING


@case("I1")
async def whoever_wants_the_key_of_an_expired_job_makes_a_live_one(env: Env) -> None:
    for mode in MODES:
        old = await _expired(env)
        wanted = new(payload=b"new", unique=Unique("k", on_conflict=mode))
        await _made(env, wanted, old)
        (again,) = await env.enqueue(new(unique=Unique("k")))
        assert (again.id, again.created, again.expired) == (wanted.id, False, ())
        answer = await env.claimed(5)
        assert ([job.id for job in answer.jobs], answer.expired) == ([wanted.id], [])
        assert (await env.finish(answer.jobs[0], Verdict.COMPLETE)).state is JobState.COMPLETED


@case("I1")
async def an_expired_job_makes_way_wherever_it_waits(env: Env) -> None:
    await env.store.queues.pause("default", reason="works", by="ann")
    await _made(env, new(unique=Unique("k")), await _expired(env, delay=600))
    old = await _expired(env, unique=Unique("aside"))
    await env.store.jobs.set_aside(due_for=1, limit=10)
    assert (await env.job(old)).set_aside
    await _made(env, new(unique=Unique("aside")), old)


@case("I1", "I28")
async def an_expired_job_leaves_its_concurrency_key_as_any_end_does(env: Env) -> None:
    key: dict[str, Any] = {"concurrency_key": "@c", "concurrency_max": 1}
    running = await env.start(**key)
    old = await _expired(env, **key)
    assert (await env.job(old)).blocked
    wanted = new(unique=Unique("k"), **key)
    await _made(env, wanted, old)
    assert await env.claim(5) == []
    await env.finish(running, Verdict.COMPLETE)
    assert [job.id for job in await env.claim(5)] == [wanted.id]


@case("I1")
async def several_expired_holders_make_way_in_one_call(env: Env) -> None:
    old = [await env.add(unique=Unique(key), expires_in=5) for key in ("a", "b", "c")]
    env.clock.advance(6)
    wanted = [new(unique=Unique(key)) for key in ("a", "b", "b", "z")]
    answers = await env.enqueue(*wanted)
    assert [(answer.id, answer.created) for answer in answers] == [
        (wanted[0].id, True),
        (wanted[1].id, True),
        (wanted[1].id, False),
        (wanted[3].id, True),
    ]
    assert [answer.expired for answer in answers] == [(old[0],), (old[1],), (), ()]
    assert [(await env.job(job_id)).state for job_id in old] == ["cancelled", "cancelled", "pending"]


@case("I1")
async def a_refused_call_lets_nobody_expire(env: Env) -> None:
    await _expired(env)
    await env.add(unique=Unique("held"))
    async with env.unchanged("a refused enqueue"):
        with raises(DuplicateJob):
            await env.enqueue(new(unique=Unique("k")), new(unique=Unique("held", on_conflict="raise")))


@case("I1")
async def who_has_not_expired_keeps_the_key(env: Env) -> None:
    job_id = await env.add(unique=Unique("k"), expires_in=5)
    env.clock.advance(5)
    (answer,) = await env.enqueue(new(unique=Unique("k")))
    assert (answer.id, answer.created) == (job_id, False), "its last moment is not over"
    job = await env.take()
    env.clock.advance(60)
    (answer,) = await env.enqueue(new(unique=Unique("k")))
    assert (answer.id, answer.created) == (job_id, False), "it was started in time"
    await env.finish(job, Verdict.RETRY, failure=BOOM, delay=600)
    (answer,) = await env.enqueue(new(unique=Unique("k")))
    assert (answer.id, answer.created) == (job_id, False), "it was started once"


@case("I1")
async def a_holding_time_that_runs_keeps_the_key_of_an_expired_job(env: Env) -> None:
    old = await _expired(env, unique=Unique("k", hold_for=100))
    (answer,) = await env.enqueue(new(unique=Unique("k")))
    assert (answer.id, answer.created) == (old, False)
    env.clock.advance(100)
    await _made(env, new(unique=Unique("k")), old)


@case("I1", "I12")
async def neither_retry_nor_replay_meets_a_job_that_has_expired(env: Env) -> None:
    failed = await env.start(unique=Unique("k"))
    await env.finish(failed, Verdict.FAIL, failure=BOOM, dead_letter=False)
    old = await _expired(env)
    assert (await env.store.jobs.retry(failed.id)).reply == "applied"
    assert (await env.job(old)).reason == "expired"
    assert (await env.enqueue(new(unique=Unique("k"))))[0].id == failed.id

    letter = (await env.finish(await env.take(), Verdict.FAIL, failure=BOOM, dead_letter=True)).dead_letter
    assert letter is not None
    old, again = await _expired(env), JobID.new()
    replayed = await env.store.dlq.replay(letter, again)
    assert (replayed.reply, replayed.job_id) == ("applied", again)
    assert (await env.job(old)).reason == "expired"
    assert (await env.enqueue(new(unique=Unique("k"))))[0].id == again


@case("I1")
async def a_run_is_retried_beside_an_expired_one_of_its_key(env: Env) -> None:
    failed = await begin(env, unique=Unique("k"))
    await failed.finish("failed")
    old = new_run(unique=Unique("k"), expires_in=5)
    await made(env, old)
    assert (await env.store.workflows.retry(failed.id)).reply == "conflict"
    env.clock.advance(6)
    assert (await env.store.workflows.retry(failed.id)).reply == "applied"
    assert await state(env, old.id) is RunState.COMPENSATING
    (again,) = await env.store.workflows.create([new_run(unique=Unique("k"))])
    assert (again.id, again.created) == (failed.id, False)


@case("I1")
async def a_follow_up_too_makes_a_live_job(env: Env) -> None:
    old = await _expired(env, queue="later")
    job = await env.start()
    wanted = new(unique=Unique("k"))
    await env.finish(job, Verdict.COMPLETE, then=[wanted])
    assert ((await env.job(old)).reason, (await env.job(wanted.id)).state) == ("expired", JobState.PENDING)


@case("I1")
async def who_waits_for_the_expired_job_as_a_step_hears_of_its_end(env: Env) -> None:
    parent = await begin(env)
    old = await with_job(parent, "first", unique=Unique("k"), expires_in=5)
    env.clock.advance(6)
    new_id = await with_job(parent, "second", unique=Unique("k"))
    heard = await results(env, parent.id)
    assert [(step, told.child, told.state) for step, told in heard.items()] == [("first", old, "cancelled")]
    assert (await env.job(new_id)).state is JobState.PENDING


@case("I1")
async def the_start_of_a_run_with_the_key_of_an_expired_one_makes_a_live_run(env: Env) -> None:
    for mode in MODES:
        old = new_run(unique=Unique("k"), expires_in=5)
        await made(env, old)
        env.clock.advance(6)
        fresh = new_run(unique=Unique("k", on_conflict=mode))
        await made(env, fresh)
        assert await state(env, old.id) is RunState.COMPENSATING
        assert (await run_of(env, old.id)).reason == "expired"
        (again,) = await env.store.workflows.create([new_run(unique=Unique("k"))])
        assert (again.id, again.created) == (fresh.id, False)
        drivers = await env.claim(5, names=[driver_name("flow", 1)])
        held = {job.run_id: Driven(env, job.run_id, job, env.worker, env.store) for job in drivers if job.run_id}
        assert set(held) == {old.id, fresh.id}
        await held[old.id].finish("cancelled", reason="expired")
        (again,) = await env.store.workflows.create([new_run(unique=Unique("k"))])
        assert (again.id, again.created) == (fresh.id, False), "its end does not free the other's key"
        assert (await held[fresh.id].finish()).reply == "applied"
        assert await state(env, old.id) is RunState.CANCELLED


@case("I1")
async def a_run_that_made_way_takes_its_key_again_with_a_retry_or_is_refused(env: Env) -> None:
    old = new_run(unique=Unique("k"), expires_in=5)
    await made(env, old)
    env.clock.advance(6)
    fresh = new_run(unique=Unique("k"))
    await made(env, fresh)
    drivers = {job.run_id: job for job in await env.claim(5, names=[driver_name("flow", 1)])}
    held = {id_: Driven(env, id_, drivers[id_], env.worker, env.store) for id_ in (old.id, fresh.id)}
    await held[old.id].finish("cancelled", reason="expired")
    refused = await env.store.workflows.retry(old.id)
    assert (refused.reply, refused.state, refused.holder) == ("conflict", RunState.CANCELLED, fresh.driver.id)
    assert (await held[fresh.id].finish()).reply == "applied"
    assert (await env.store.workflows.retry(old.id)).reply == "applied"
    (again,) = await env.store.workflows.create([new_run(unique=Unique("k"))])
    assert (again.id, again.created) == (old.id, False)


@case("I1")
async def a_job_that_made_way_is_not_retried_beside_the_other(env: Env) -> None:
    old = await _expired(env)
    wanted = new(unique=Unique("k"))
    await _made(env, wanted, old)
    refused = await env.store.jobs.retry(old)
    assert (refused.reply, refused.state, refused.holder) == ("conflict", JobState.CANCELLED, wanted.id)
    await env.finish(await env.take(), Verdict.COMPLETE)
    assert (await env.store.jobs.retry(old)).reply == "applied"
    assert (await env.enqueue(new(unique=Unique("k"))))[0].id == old


@case("I1")
async def a_job_and_a_run_make_way_for_each_other(env: Env) -> None:
    old = await _expired(env)
    fresh = new_run(unique=Unique("k"), expires_in=5)
    await made(env, fresh)
    assert (await env.job(old)).reason == "expired"
    env.clock.advance(6)
    (answer,) = await env.enqueue(new(unique=Unique("k")))
    assert (answer.created, answer.expired) == (True, ())
    assert await state(env, fresh.id) is RunState.COMPENSATING


@case("I1")
async def a_run_that_was_cancelled_before_it_expired_keeps_its_key_and_reason(env: Env) -> None:
    old = new_run(unique=Unique("k"), expires_in=5)
    await made(env, old)
    await env.store.workflows.cancel(old.id, reason="no more")
    env.clock.advance(6)
    (answer,) = await env.store.workflows.create([new_run(unique=Unique("k"))])
    assert (answer.id, answer.created) == (old.id, False)
    assert (await run_of(env, old.id)).reason == "no more"


@case("I1")
async def of_many_who_want_the_key_at_once_one_makes_the_live_job(env: Env) -> None:
    stores = [await env.sibling() for _ in range(4)]
    for _ in range(5):
        old = await _expired(env)
        wanted = [new(unique=Unique("k")) for _ in stores]
        calls = [store.jobs.enqueue([job]) for store, job in zip(stores, wanted, strict=True)]
        answered, claimed = await asyncio.gather(asyncio.gather(*calls), env.claimed(5))
        answers = [answer for (answer,) in answered]
        assert sum(answer.created for answer in answers) == 1
        (job_id,) = {answer.id for answer in answers}
        assert [id_ for answer in answers for id_ in answer.expired] + [job.id for job in claimed.expired] == [old]
        held = [*claimed.jobs, *await env.claim(5)]
        assert [job.id for job in held] == [job_id]
        await env.finish(held[0], Verdict.COMPLETE)
