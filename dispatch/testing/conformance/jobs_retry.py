"""Retry by an operator: the same row again, its dead letter closed in the same transaction."""

from __future__ import annotations

from dispatch.dlq import DLQState
from dispatch.entity import Reply
from dispatch.ids import JobID
from dispatch.jobs.model import JobState, Unique, Verdict
from dispatch.scope import Scope
from dispatch.testing.conformance.env import BOOM, Env, new
from dispatch.testing.conformance.registry import case


@case("I5", "I11")
async def a_failed_job_waits_again_and_its_dead_letter_is_closed(env: Env) -> None:
    job_id, letter_id = await env.bury(payload=b"[7]")
    env.clock.advance(100)
    answer = await env.store.jobs.retry(job_id)
    row = await env.job(job_id)
    assert (answer.reply, answer.state) == (Reply.APPLIED, row.state)
    assert row.state is JobState.PENDING
    assert (row.failures, row.crashes, row.run_at, row.payload) == (0, 0, env.clock.now(), b"[7]")
    assert (row.finished_at, row.reason, row.cancel_requested) == (None, None, False)
    assert (await env.letter(letter_id)).state is DLQState.RETRIED
    assert (await env.take()).id == job_id


@case("I3", "I5")
async def a_retried_job_goes_on_with_a_greater_epoch_and_keeps_its_history(env: Env) -> None:
    job_id, _ = await env.bury()
    before = await env.job(job_id)
    await env.store.jobs.retry(job_id)
    job = await env.take()
    assert job.epoch > before.epoch
    assert len(await env.store.jobs.attempts(job_id)) == 1
    old = await env.finish(before, Verdict.COMPLETE, epoch=before.epoch)
    assert old.reply is Reply.STALE


@case("I11")
async def a_job_that_dies_again_after_a_retry_has_a_second_dead_letter(env: Env) -> None:
    job_id, first = await env.bury()
    await env.store.jobs.retry(job_id)
    job = await env.take()
    answer = await env.finish(job, Verdict.FAIL, failure=BOOM, dead_letter=True, reason="exhausted")
    assert answer.dead_letter not in (None, first)
    letters = (await env.dump())["dlq"]
    assert {(letter.id, letter.state) for letter in letters} == {
        (first, DLQState.RETRIED),
        (answer.dead_letter, DLQState.OPEN),
    }


@case("I5")
async def a_cancelled_or_expired_job_can_be_retried_and_does_not_expire_again(env: Env) -> None:
    job_id = await env.add(expires_in=5)
    env.clock.advance(6)
    assert [job.id for job in (await env.claimed()).expired] == [job_id]
    assert (await env.store.jobs.retry(job_id)).reply is Reply.APPLIED
    env.clock.advance(60)
    assert (await env.take()).id == job_id


@case("I5")
async def a_job_cancelled_while_running_can_be_retried_and_completes(env: Env) -> None:
    job = await env.start()
    await env.store.jobs.cancel(job.id)
    await env.finish(job, Verdict.CANCEL)
    assert (await env.store.jobs.retry(job.id)).reply is Reply.APPLIED
    again = await env.take()
    assert not again.cancel_requested
    assert (await env.finish(again, Verdict.RETRY, delay=5)).state is JobState.RETRYING


@case("I10")
async def a_buried_killer_starts_with_a_clean_sheet_after_a_retry(env: Env) -> None:
    job = await env.start()
    for _ in range(2):
        await env.crash(job, max_crashes=2)
        job = await env.take(alone=True)
    stolen = await env.crash(job, max_crashes=2)
    assert stolen.job.state is JobState.FAILED
    await env.store.jobs.retry(job.id)
    assert (await env.take()).crashes == 0, "it is out of quarantine"


@case()
async def a_retrying_job_becomes_due_now(env: Env) -> None:
    job = await env.start()
    await env.finish(job, Verdict.RETRY, failure=BOOM, delay=3600)
    answer = await env.store.jobs.retry(job.id)
    assert (answer.reply, answer.state) == (Reply.APPLIED, JobState.RETRYING)
    assert (await env.job(job.id)).run_at == env.clock.now()
    assert (await env.take()).failures == 1


@case("I5")
async def pending_running_and_completed_jobs_are_not_retried(env: Env) -> None:
    pending = await env.add(delay=60)
    running = await env.start()
    done = await env.start()
    await env.finish(done, Verdict.COMPLETE)
    async with env.unchanged("a refused retry"):
        for job_id, state in ((pending, "pending"), (running.id, "running"), (done.id, "completed")):
            answer = await env.store.jobs.retry(job_id)
            assert (answer.reply, answer.state) == (Reply.CONFLICT, JobState(state))


@case("I31")
async def retry_sees_only_its_tenants_jobs(env: Env) -> None:
    job_id, _ = await env.bury(scope=Scope("shop", "a"))
    async with env.unchanged("a retry from another tenant"):
        assert (await env.store.jobs.retry(job_id, scope=Scope("shop", "b"))).reply is Reply.MISSING
        assert (await env.store.jobs.retry(JobID.new())).reply is Reply.MISSING
    assert (await env.store.jobs.retry(job_id, scope=Scope("shop", "a"))).reply is Reply.APPLIED


@case("I5", "I11")
async def a_retry_is_refused_while_a_live_twin_holds_its_key(env: Env) -> None:
    job_id, letter_id = await env.bury(unique=Unique("k"))
    twin = await env.add(unique=Unique("k"), delay=60)
    async with env.unchanged("a retry against a twin"):
        assert (await env.store.jobs.retry(job_id)).reply is Reply.CONFLICT
    assert (await env.letter(letter_id)).state is DLQState.OPEN
    await env.store.jobs.cancel(twin)
    assert (await env.store.jobs.retry(job_id)).reply is Reply.APPLIED


@case("I5")
async def a_retried_job_holds_its_unique_key_again(env: Env) -> None:
    job_id, _ = await env.bury(unique=Unique("k"))
    await env.store.jobs.retry(job_id)
    (answer,) = await env.enqueue(new(unique=Unique("k")))
    assert (answer.id, answer.created) == (job_id, False)
    await env.finish(await env.take(), Verdict.COMPLETE)
    await env.add(unique=Unique("k"))


@case("I5", "I12")
async def a_job_whose_dead_letter_was_replayed_is_not_retried_as_well(env: Env) -> None:
    job_id, letter_id = await env.bury()
    new_id = JobID.new()
    await env.store.dlq.replay(letter_id, new_id)
    answer = await env.store.jobs.retry(job_id)
    assert (answer.reply, answer.state, answer.replayed_as) == (Reply.CONFLICT, JobState.FAILED, new_id)
    assert (await env.job(job_id)).state is JobState.FAILED


@case("I5")
async def a_job_whose_dead_letter_was_discarded_can_still_be_retried(env: Env) -> None:
    job_id, letter_id = await env.bury()
    await env.store.dlq.discard(letter_id)
    assert (await env.store.jobs.retry(job_id)).reply is Reply.APPLIED
