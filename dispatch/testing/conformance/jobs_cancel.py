"""Cancel: at once while waiting, by request while running, never after the end."""

from __future__ import annotations

from dispatch.entity import Reply
from dispatch.ids import JobID
from dispatch.jobs.model import Changed, JobState, Unique, Verdict
from dispatch.scope import Scope
from dispatch.testing.conformance.env import BOOM, Env, new, pairs
from dispatch.testing.conformance.jobs_finish import FIELDS
from dispatch.testing.conformance.registry import case


@case("I5")
async def a_waiting_job_is_cancelled_at_once(env: Env) -> None:
    for delay in (0.0, 600.0):
        job_id = await env.add(delay=delay)
        assert await env.store.jobs.cancel(job_id, reason="by hand") == Changed(Reply.APPLIED, JobState.CANCELLED)
        row = await env.job(job_id)
        assert (row.state, row.reason, row.finished_at) == (JobState.CANCELLED, "by hand", env.clock.now())
    env.clock.advance(601)
    assert await env.claim(5) == []


@case("I5")
async def a_retrying_job_is_cancelled_at_once(env: Env) -> None:
    job = await env.start()
    await env.finish(job, Verdict.RETRY, failure=BOOM)
    assert (await env.store.jobs.cancel(job.id)).state is JobState.CANCELLED
    assert await env.claim(5) == []


@case("I5")
async def a_running_job_is_asked_to_stop_and_its_worker_hears_of_it(env: Env) -> None:
    job = await env.start()
    quiet = await env.start(name="other")
    assert await env.store.jobs.cancel(job.id) == Changed(Reply.APPLIED, JobState.RUNNING)
    row = await env.job(job.id)
    assert (row.state, row.cancel_requested) == (JobState.RUNNING, True)
    assert await env.store.jobs.cancel_requests(env.worker) == [job.id]
    assert await env.store.jobs.cancel_requests(env.other) == []
    answer = await env.store.jobs.renew(env.worker, pairs(job, quiet), lease=30)
    assert (set(answer.held), answer.cancel_requested) == ({job.id, quiet.id}, [job.id])


@case("I5")
async def asking_twice_is_the_same_as_asking_once(env: Env) -> None:
    job = await env.start()
    for _ in range(2):
        assert await env.store.jobs.cancel(job.id) == Changed(Reply.APPLIED, JobState.RUNNING)
    assert await env.store.jobs.cancel_requests(env.worker) == [job.id]


@case("I5", "I11")
async def once_asked_every_verdict_but_complete_ends_in_cancelled(env: Env) -> None:
    for verdict, fields in FIELDS.items():
        job = await env.start()
        await env.store.jobs.cancel(job.id)
        answer = await env.finish(job, verdict, **fields)
        expected = JobState.COMPLETED if verdict is Verdict.COMPLETE else JobState.CANCELLED
        assert (answer.reply, answer.state, answer.dead_letter) == (Reply.APPLIED, expected, None), verdict
        row = await env.job(job.id)
        assert (row.state, row.finished_at) == (expected, env.clock.now())
        assert await env.store.jobs.cancel_requests(env.worker) == []
    assert (await env.dump())["dlq"] == []
    env.clock.advance(3600)
    assert await env.claim(10) == []


@case("I5")
async def a_release_of_a_job_asked_to_stop_cancels_it(env: Env) -> None:
    job = await env.start()
    await env.store.jobs.cancel(job.id)
    assert await env.store.jobs.release(env.worker, pairs(job)) == [Reply.APPLIED]
    assert (await env.job(job.id)).state is JobState.CANCELLED


@case("I5", "I11")
async def a_job_asked_to_stop_is_cancelled_when_it_is_stolen(env: Env) -> None:
    job = await env.start()
    await env.store.jobs.cancel(job.id)
    stolen = await env.crash(job, max_crashes=0)
    assert (stolen.job.state, stolen.dead_letter) == (JobState.CANCELLED, None)
    row = await env.job(job.id)
    assert (row.state, row.finished_at) == (JobState.CANCELLED, env.clock.now())
    assert (await env.dump())["dlq"] == []


@case("I5")
async def an_ended_job_is_not_cancelled(env: Env) -> None:
    ends = {Verdict.COMPLETE: JobState.COMPLETED, Verdict.FAIL: JobState.FAILED, Verdict.CANCEL: JobState.CANCELLED}
    for verdict, state in ends.items():
        job = await env.start()
        await env.finish(job, verdict)
        async with env.unchanged(f"cancel after {verdict}"):
            assert await env.store.jobs.cancel(job.id) == Changed(Reply.CONFLICT, state)


@case("I31")
async def cancel_sees_only_its_tenants_jobs(env: Env) -> None:
    job_id = await env.add(scope=Scope("shop", "a"))
    async with env.unchanged("a cancel from another tenant"):
        for scope in (Scope("shop", "b"), Scope("shop"), Scope()):
            assert (await env.store.jobs.cancel(job_id, scope=scope)).reply is Reply.MISSING
        assert (await env.store.jobs.cancel(JobID.new())).reply is Reply.MISSING
    assert (await env.store.jobs.cancel(job_id, scope=Scope("shop", "a"))).reply is Reply.APPLIED


@case("I5")
async def a_cancel_after_the_claim_and_before_the_finish_does_not_undo_a_completion(env: Env) -> None:
    job = await env.start()
    await env.store.jobs.cancel(job.id)
    assert (await env.finish(job, Verdict.COMPLETE, result=b"1")).state is JobState.COMPLETED
    assert await env.store.jobs.cancel(job.id) == Changed(Reply.CONFLICT, JobState.COMPLETED)


@case("I1")
async def cancelling_one_job_leaves_its_neighbours(env: Env) -> None:
    await env.enqueue(*(new() for _ in range(5)))
    victim = (await env.jobs())[2].id
    await env.store.jobs.cancel(victim)
    claimed = {job.id for job in await env.claim(10)}
    assert len(claimed) == 4
    assert victim not in claimed


@case("I5")
async def many_are_cancelled_like_one_by_one(env: Env) -> None:
    plain = [await env.add() for _ in range(230)]
    keyed = await env.add(unique=Unique("k"))
    running = await env.start(name="other")
    ended = await env.start(name="third")
    await env.finish(ended, Verdict.COMPLETE)
    theirs = await env.add(scope=Scope("shop", "a"))
    gone = JobID.new()
    ids = [*plain[:115], keyed, running.id, gone, *plain[115:], ended.id, plain[0]]
    answers = await env.store.jobs.cancel_many(ids, reason="enough")
    cancelled = Changed(Reply.APPLIED, JobState.CANCELLED)
    again = answers.pop()
    assert again in (cancelled, Changed(Reply.CONFLICT, JobState.CANCELLED)), "the same id twice"
    assert answers == [
        *[cancelled] * 116,
        *(Changed(Reply.APPLIED, JobState.RUNNING), Changed(Reply.MISSING)),
        *[cancelled] * 115,
        Changed(Reply.CONFLICT, JobState.COMPLETED),
    ]
    row = await env.job(plain[200])
    assert (row.state, row.reason, row.finished_at) == (JobState.CANCELLED, "enough", env.clock.now())
    assert (await env.job(running.id)).cancel_requested
    assert (await env.enqueue(new(unique=Unique("k"))))[0].created
    assert await env.store.jobs.cancel_many([theirs], scope=Scope("shop", "b")) == [Changed(Reply.MISSING)]
    assert await env.store.jobs.cancel_many([theirs], scope=Scope("shop", "a")) == [cancelled]
    assert await env.store.jobs.cancel_many([]) == []
