"""Leases: renewing, losing, and the claim whose reply never arrived."""

from __future__ import annotations

from dispatch.entity import Reply
from dispatch.ids import JobID, WorkerID
from dispatch.jobs.model import JobState, Verdict
from dispatch.testing.conformance.env import Env, new, pairs
from dispatch.testing.conformance.registry import case


@case("I3")
async def a_renewal_extends_the_lease_from_now(env: Env) -> None:
    job = await env.start(lease=30)
    env.clock.advance(20)
    answer = await env.store.jobs.renew(env.worker, pairs(job), lease=30)
    assert (answer.held, answer.lost, answer.cancel_requested, answer.unnamed) == ([job.id], [], [], [])
    assert (await env.job(job.id)).lease_until == env.after(30)


@case("I29")
async def a_lease_that_is_renewed_in_time_is_never_stolen(env: Env) -> None:
    job = await env.start(lease=30)
    for _ in range(10):
        env.clock.advance(29)
        assert await env.steal() == []
        assert (await env.store.jobs.renew(env.worker, pairs(job), lease=30)).held == [job.id]
    assert (await env.job(job.id)).crashes == 0


@case("I3", "I29")
async def a_lapsed_lease_that_nobody_stole_can_be_renewed(env: Env) -> None:
    job = await env.start(lease=30)
    env.clock.advance(300)
    assert (await env.store.jobs.renew(env.worker, pairs(job), lease=30)).held == [job.id]
    assert await env.steal() == []


@case("I4")
async def a_renewal_answers_lost_for_what_was_stolen_ended_or_claimed_anew(env: Env) -> None:
    stolen = await env.start(lease=5)
    env.clock.advance(6)
    await env.steal(delays=[600])
    ended = await env.start()
    await env.finish(ended, Verdict.COMPLETE)
    released = await env.start()
    await env.store.jobs.release(env.worker, pairs(released))
    anew = await env.take()
    assert anew.id == released.id
    unknown = (JobID.new(), 5)
    answer = await env.store.jobs.renew(env.worker, [*pairs(stolen, ended, released), unknown], lease=30)
    assert answer.held == []
    assert set(answer.lost) == {stolen.id, ended.id, released.id, unknown[0]}
    assert answer.unnamed == pairs(anew), "the new claim was not named by its epoch"


@case("I4")
async def a_stolen_job_is_not_revived_by_its_old_owners_beat(env: Env) -> None:
    job = await env.start()
    await env.crash(job, delays=[60])
    async with env.unchanged("renewing a stolen job"):
        assert (await env.store.jobs.renew(env.worker, pairs(job), lease=30)).lost == [job.id]
    env.clock.advance(61)
    again = await env.take(by=env.other)
    async with env.unchanged("renewing a job that somebody else runs"):
        assert (await env.store.jobs.renew(env.worker, pairs(again), lease=30)).lost == [job.id]


@case("I8")
async def a_claim_whose_reply_was_lost_is_named_by_the_next_beat_and_free_after_it(env: Env) -> None:
    await env.enqueue(new(), new())
    (known,) = await env.claim(1)
    (lost,) = await env.claim(1)
    answer = await env.store.jobs.renew(env.worker, pairs(known), lease=30)
    assert answer.unnamed == pairs(lost)
    assert await env.store.jobs.release(env.worker, answer.unnamed) == [Reply.APPLIED]
    row = await env.job(lost.id)
    assert (row.state, row.failures, row.crashes) == (JobState.PENDING, 0, 0)
    assert (await env.take(by=env.other)).id == lost.id


@case("I8")
async def a_beat_without_jobs_still_hears_of_lost_claims(env: Env) -> None:
    job = await env.start()
    assert (await env.store.jobs.renew(env.worker, [], lease=30)).unnamed == pairs(job)
    assert (await env.store.jobs.renew(env.other, [], lease=30)).unnamed == []
    await env.finish(job, Verdict.COMPLETE)
    assert (await env.store.jobs.renew(env.worker, [], lease=30)).unnamed == []


@case("I30")
async def a_released_job_waits_as_before_and_counts_nothing(env: Env) -> None:
    job_id = await env.add(run_at=env.after(-30))
    job = await env.take()
    assert await env.store.jobs.release(env.worker, pairs(job)) == [Reply.APPLIED]
    row = await env.job(job_id)
    assert (row.state, row.run_at, row.failures, row.crashes) == (JobState.PENDING, env.after(-30), 0, 0)
    assert await env.store.jobs.attempts(job_id) == []


@case("I30", "I2")
async def a_release_repeated_after_a_lost_reply_is_applied_and_does_nothing_more(env: Env) -> None:
    job = await env.start()
    await env.store.jobs.release(env.worker, pairs(job))
    async with env.unchanged("the repeated release"):
        assert await env.store.jobs.release(env.worker, pairs(job)) == [Reply.APPLIED]


@case("I4")
async def a_release_in_a_wrong_name_is_refused(env: Env) -> None:
    job = await env.start()
    async with env.unchanged("a wrong release"):
        assert await env.store.jobs.release(env.other, pairs(job)) == [Reply.STALE]
        assert await env.store.jobs.release(env.worker, [(job.id, job.epoch - 1)]) == [Reply.STALE]
        assert await env.store.jobs.release(env.worker, [(job.id, job.epoch + 1)]) == [Reply.STALE]


@case()
async def progress_is_kept_for_whoever_holds_the_job(env: Env) -> None:
    job = await env.start()
    assert await env.store.jobs.progress(env.worker, [(job.id, job.epoch, 0.4, "half way, almost")]) == [Reply.APPLIED]
    row = await env.job(job.id)
    assert (row.progress, row.progress_note) == (0.4, "half way, almost")


@case("I4")
async def progress_of_a_lost_claim_is_refused(env: Env) -> None:
    job = await env.start()
    async with env.unchanged("stale progress"):
        assert await env.store.jobs.progress(env.other, [(job.id, job.epoch, 0.5, None)]) == [Reply.STALE]
        assert await env.store.jobs.progress(env.worker, [(job.id, job.epoch - 1, 0.5, None)]) == [Reply.STALE]
    await env.finish(job, Verdict.COMPLETE)
    async with env.unchanged("progress after the end"):
        assert await env.store.jobs.progress(env.worker, [(job.id, job.epoch, 0.5, None)]) == [Reply.STALE]


@case()
async def beats_of_hundreds_of_jobs_are_answered_whole(env: Env) -> None:
    await env.enqueue(*(new() for _ in range(350)))
    jobs = await env.claim(350)
    answer = await env.store.jobs.renew(env.worker, pairs(*jobs[:300]), lease=60)
    assert set(answer.held) == {job.id for job in jobs[:300]}
    assert set(answer.unnamed) == set(pairs(*jobs[300:]))
    assert (await env.store.jobs.renew(WorkerID.new(), pairs(*jobs), lease=60)).held == []
