"""Enqueue: what is written, all or nothing, repeatable after a lost reply."""

from __future__ import annotations

from dispatch.errors import DataRejected
from dispatch.jobs.model import CountOptions, JobState, NewJob, Unique
from dispatch.scope import Scope
from dispatch.testing.conformance.env import Env, new
from dispatch.testing.conformance.registry import case


@case("I1")
async def an_enqueued_job_has_every_field_it_was_given(env: Env) -> None:
    given = new(
        payload=b'{"a":1}',
        queue="mail",
        priority=7,
        run_at=env.after(60),
        expires_in=600,
        max_retries=9,
        timeout=2.5,
        backoff={"kind": "constant", "interval": 3.0},
        keep_result=False,
        effect_key="charge-1",
        metadata={"trace": "00-ab", "deep": {"list": [1, None, "ü"]}},
        tags=("red", "blue"),
        scope=Scope("shop", "t-1"),
        scheduled_at=env.after(-5),
    )
    (answer,) = await env.enqueue(given)
    assert (answer.id, answer.created, answer.replaced) == (given.id, True, False)
    job = await env.job(given.id)
    assert job.state is JobState.PENDING
    assert (job.name, job.queue, job.payload, job.priority, job.kind) == ("work", "mail", b'{"a":1}', 7, "job")
    assert (job.run_at, job.expires_at, job.scheduled_at) == (env.after(60), env.after(600), env.after(-5))
    assert (job.max_retries, job.timeout, job.keep_result) == (9, 2.5, False)
    assert job.backoff == {"kind": "constant", "interval": 3.0}
    assert job.effect_key == "charge-1"
    assert job.metadata == {"trace": "00-ab", "deep": {"list": [1, None, "ü"]}}
    assert (set(job.tags), job.scope) == ({"red", "blue"}, Scope("shop", "t-1"))
    assert (job.created_at, job.updated_at) == (env.clock.now(), env.clock.now())
    assert (job.failures, job.crashes, job.epoch, job.worker_id, job.attempt) == (0, 0, 0, None, 1)


@case("I1")
async def options_nobody_set_stay_none_and_the_effect_key_is_the_id(env: Env) -> None:
    job = await env.job(await env.add())
    assert (job.max_retries, job.timeout, job.backoff, job.keep_result, job.expires_at) == (
        None,
        None,
        None,
        None,
        None,
    )
    assert (job.result, job.error, job.reason, job.unique_key, job.started_at) == (None, None, None, None, None)
    assert job.effect_key == job.id
    assert (job.queue, job.run_at, job.metadata, job.tags) == ("default", env.clock.now(), {}, ())


@case()
async def a_delay_counts_from_the_stores_now_and_wins_over_run_at(env: Env) -> None:
    job = await env.job(await env.add(delay=90, run_at=env.after(5)))
    assert job.run_at == env.after(90)


@case("I2")
async def of_an_id_that_comes_twice_in_a_large_batch_the_first_counts(env: Env) -> None:
    jobs = [new(payload=b"1") for _ in range(30)]
    again = new(id=jobs[3].id, payload=b"2")
    answers = await env.enqueue(*jobs, again)
    assert [answer.created for answer in answers] == [True] * 30 + [False]
    assert (await env.job(again.id)).payload == b"1"
    later = [*(new(payload=b"3") for _ in range(30)), new(id=jobs[5].id, payload=b"4")]
    answers = await env.enqueue(*later)
    assert [answer.created for answer in answers] == [True] * 30 + [False]
    assert (await env.job(jobs[5].id)).payload == b"1"


@case("I2")
async def an_enqueue_repeated_after_a_lost_reply_makes_one_job(env: Env) -> None:
    given = new(payload=b"1")
    await env.enqueue(given)
    (again,) = await env.enqueue(given)
    assert (again.id, again.created) == (given.id, False)
    assert len(await env.jobs()) == 1


@case("I2", "I5")
async def an_enqueue_repeated_after_the_job_has_ended_does_not_start_it_again(env: Env) -> None:
    given = new()
    await env.enqueue(given)
    job = await env.take()
    await env.store.jobs.cancel(job.id)
    await env.store.jobs.release(env.worker, [(job.id, job.epoch)])
    async with env.unchanged("the repeated enqueue"):
        (again,) = await env.enqueue(given)
    assert not again.created
    assert await env.claim(5) == []


@case("I2")
async def the_same_id_twice_in_one_call_makes_one_job(env: Env) -> None:
    given = new()
    first, second = await env.enqueue(given, given)
    assert (first.created, second.created, second.id) == (True, False, given.id)
    assert len(await env.jobs()) == 1


@case("I1")
async def many_jobs_are_answered_in_their_order(env: Env) -> None:
    given = [new(payload=str(i).encode()) for i in range(300)]
    answers = await env.enqueue(*given)
    assert [a.id for a in answers] == [g.id for g in given]
    assert all(a.created for a in answers)
    assert sum((await env.store.jobs.count(CountOptions())).values()) == 300


@case()
async def an_empty_enqueue_is_no_error(env: Env) -> None:
    assert await env.enqueue() == []


@case("I1")
async def what_a_store_cannot_hold_is_refused_and_nothing_of_the_call_is_kept(env: Env) -> None:
    for odd in (new("\ud800"), new(metadata={"k": "\udfff"}), new(metadata={"k": object()}), new(tags=("\ud800",))):
        await _kept_or_refused(env, odd)


@case("I1")
async def a_time_beyond_all_calendars_is_refused_and_spoils_no_list(env: Env) -> None:
    for odd in (new(delay=1e12), new(expires_in=1e12), new(delay=1e300), new(unique=Unique("k", hold_for=1e12))):
        await _kept_or_refused(env, odd)


async def _kept_or_refused(env: Env, odd: NewJob) -> None:
    before = len(await env.jobs())
    neighbour = new()
    try:
        await env.enqueue(neighbour, odd)
    except DataRejected:
        assert await env.store.jobs.get(neighbour.id) is None, "a refused call left another of its jobs behind"
        assert len(await env.jobs()) == before
    else:
        job = await env.job(odd.id)
        assert (job.name, job.metadata, job.tags) == (odd.name, odd.metadata, odd.tags), "stored, but changed"
