"""Idempotency keys: the same key makes one job for its time to live, whatever becomes of the job."""

from __future__ import annotations

from dispatch.errors import IdempotencyMismatch
from dispatch.jobs.model import Idempotency, Unique, Verdict
from dispatch.scope import Scope
from dispatch.testing.conformance.env import Env, new, raises
from dispatch.testing.conformance.registry import case

KEY = Idempotency("order-42", "digest", ttl=100.0)


@case("I2")
async def the_same_key_makes_one_job(env: Env) -> None:
    first = await env.add(idempotency=KEY)
    for _ in range(2):
        (again,) = await env.enqueue(new(idempotency=KEY))
        assert (again.id, again.created, again.replaced) == (first, False, False)
    assert len(await env.jobs()) == 1


@case("I2")
async def the_key_still_answers_the_job_after_its_end(env: Env) -> None:
    job = await env.start(idempotency=KEY)
    await env.finish(job, Verdict.COMPLETE)
    env.clock.advance(99)
    async with env.unchanged("the repeated enqueue"):
        (again,) = await env.enqueue(new(idempotency=KEY))
    assert (again.id, again.created) == (job.id, False)


@case("I2")
async def the_key_is_free_after_its_time(env: Env) -> None:
    first = await env.add(idempotency=KEY)
    env.clock.advance(101)
    second = await env.add(idempotency=KEY)
    assert first != second
    env.clock.advance(99)
    (again,) = await env.enqueue(new(idempotency=KEY))
    assert (again.id, again.created) == (second, False), "the new job's key has a time of its own"


@case("I2")
async def another_fingerprint_is_refused_and_nothing_of_the_call_is_written(env: Env) -> None:
    await env.add(idempotency=KEY)
    async with env.unchanged("a refused enqueue"):
        with raises(IdempotencyMismatch):
            await env.enqueue(new(), new(idempotency=Idempotency("order-42", "another digest", ttl=100.0)), new())


@case("I2")
async def keys_are_looked_at_within_one_call_too(env: Env) -> None:
    first, second = new(idempotency=KEY), new(idempotency=KEY)
    answers = await env.enqueue(first, second)
    assert [(answer.id, answer.created) for answer in answers] == [(first.id, True), (first.id, False)]
    async with env.unchanged("a refused enqueue"):
        with raises(IdempotencyMismatch):
            await env.enqueue(
                new(idempotency=Idempotency("z", "one", ttl=9.0)), new(idempotency=Idempotency("z", "two", ttl=9.0))
            )


@case("I2")
async def a_refused_call_leaves_no_key_behind(env: Env) -> None:
    await env.add(idempotency=KEY)
    with raises(IdempotencyMismatch):
        await env.enqueue(
            new(idempotency=Idempotency("fresh", "digest", ttl=100.0)),
            new(idempotency=Idempotency("order-42", "another digest", ttl=100.0)),
        )
    await env.add(idempotency=Idempotency("fresh", "digest", ttl=100.0))


@case("I2")
async def idempotency_is_looked_at_before_uniqueness(env: Env) -> None:
    first = await env.start(idempotency=KEY, unique=Unique("k"))
    await env.finish(first, Verdict.COMPLETE)
    holder = await env.add(unique=Unique("k"))
    (again,) = await env.enqueue(new(idempotency=KEY, unique=Unique("k", on_conflict="raise")))
    assert (again.id, again.created) == (first.id, False)
    assert await env.store.jobs.get(holder) is not None


@case("I2", "I31")
async def tenants_do_not_share_keys(env: Env) -> None:
    a = await env.add(idempotency=KEY, scope=Scope("shop", "a"))
    b = await env.add(idempotency=Idempotency("order-42", "another digest", ttl=100.0), scope=Scope("shop", "b"))
    assert a != b


@case("I2")
async def the_key_answers_a_job_that_a_unique_key_resolved_to(env: Env) -> None:
    holder = await env.add(unique=Unique("k"))
    (answer,) = await env.enqueue(new(unique=Unique("k"), idempotency=KEY))
    assert (answer.id, answer.created) == (holder, False)
    await env.finish(await env.take(), Verdict.COMPLETE)
    (again,) = await env.enqueue(new(unique=Unique("k"), idempotency=KEY))
    assert (again.id, again.created) == (holder, False), "the retried call made a second job"
