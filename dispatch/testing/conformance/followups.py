"""Follow-ups: jobs inserted by the very transition that they follow, or not at all."""

from __future__ import annotations

from dispatch.entity import Reply
from dispatch.jobs.model import JobState, Transition, Unique, Verdict
from dispatch.testing.conformance.env import Env, new
from dispatch.testing.conformance.jobs_finish import FIELDS
from dispatch.testing.conformance.registry import case


@case("I1")
async def every_applied_verdict_brings_its_follow_ups(env: Env) -> None:
    for verdict, fields in FIELDS.items():
        job = await env.start()
        after = (new("next", payload=b"1", queue="mail"), new("next", kind="delivery"))
        assert (await env.finish(job, verdict, then=after, **fields)).reply is Reply.APPLIED
        rows = [await env.job(follow_up.id) for follow_up in after]
        assert [(row.state, row.kind) for row in rows] == [(JobState.PENDING, "job"), (JobState.PENDING, "delivery")]
        assert (rows[0].payload, rows[0].queue) == (b"1", "mail")
        await env.store.jobs.cancel(job.id)


@case("I4")
async def a_refused_transition_brings_none(env: Env) -> None:
    job = await env.start()
    after = new("next")
    async with env.unchanged("a stale finish with a follow-up"):
        await env.finish(job, Verdict.COMPLETE, by=env.other, then=(after,))
    assert await env.store.jobs.get(after.id) is None


@case("I2")
async def a_repeated_transition_brings_them_once(env: Env) -> None:
    for verdict, fields in FIELDS.items():
        job = await env.start()
        after = new("next")
        await env.finish(job, verdict, then=(after,), **fields)
        async with env.unchanged(f"the repeated {verdict}"):
            assert (await env.finish(job, verdict, then=(after,), **fields)).reply is Reply.APPLIED
        await env.store.jobs.cancel(job.id)


@case("I1")
async def a_follow_up_that_conflicts_is_dropped_and_the_rest_is_applied(env: Env) -> None:
    holder = await env.add("held", unique=Unique("k"))
    job = await env.start()
    fine = new("next")
    for mode in ("raise", "return", "skip"):
        taken = new("held", unique=Unique("k", on_conflict=mode))
        answer = await env.finish(job, Verdict.SNOOZE, then=(taken, fine))
        assert answer.reply is Reply.APPLIED
        assert await env.store.jobs.get(taken.id) is None
        job = await env.take()
    assert (await env.job(fine.id)).state is JobState.PENDING
    assert (await env.job(holder)).state is JobState.PENDING


@case("I1")
async def a_follow_up_may_take_the_key_that_its_own_transition_frees(env: Env) -> None:
    job = await env.start(unique=Unique("k"))
    after = new(unique=Unique("k", on_conflict="raise"))
    await env.finish(job, Verdict.COMPLETE, then=(after,))
    assert (await env.job(after.id)).state is JobState.PENDING
    (answer,) = await env.enqueue(new(unique=Unique("k")))
    assert (answer.id, answer.created) == (after.id, False)


@case("I1")
async def follow_ups_of_a_batch_go_with_their_own_transition(env: Env) -> None:
    await env.enqueue(new(), new())
    mine = await env.take()
    theirs = await env.take(by=env.other)
    yes, no = new("next"), new("next")
    await env.store.jobs.finish(
        env.worker,
        [
            Transition(mine.id, mine.epoch, Verdict.COMPLETE, then=(yes,)),
            Transition(theirs.id, theirs.epoch, Verdict.COMPLETE, then=(no,)),
        ],
    )
    assert await env.store.jobs.get(yes.id) is not None
    assert await env.store.jobs.get(no.id) is None
