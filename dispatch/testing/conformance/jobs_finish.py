"""Finish: what each verdict does to the row, once, also when its reply was lost."""

from __future__ import annotations

from typing import Any

from dispatch.dlq import DLQState
from dispatch.entity import Reply
from dispatch.errors import DataRejected
from dispatch.ids import JobID
from dispatch.jobs.model import Failure, JobState, Transition, Verdict
from dispatch.testing.conformance.env import BOOM, Env, new
from dispatch.testing.conformance.registry import case

FIELDS: dict[Verdict, dict[str, Any]] = {
    Verdict.COMPLETE: {"result": b"42"},
    Verdict.RETRY: {"failure": BOOM, "delay": 60.0},
    Verdict.SNOOZE: {"delay": 60.0},
    Verdict.RELEASE: {},
    Verdict.FAIL: {"failure": BOOM, "dead_letter": True, "reason": "exhausted"},
    Verdict.CANCEL: {"reason": "cancelled"},
}
"""A typical transition of each kind."""


@case("I1", "I5")
async def complete_keeps_the_result(env: Env) -> None:
    job = await env.start()
    env.clock.advance(3)
    answer = await env.finish(job, Verdict.COMPLETE, result=b'{"ok":true}')
    assert (answer.reply, answer.state, answer.dead_letter) == (Reply.APPLIED, JobState.COMPLETED, None)
    row = await env.job(job.id)
    assert (row.state, row.result, row.finished_at) == (JobState.COMPLETED, b'{"ok":true}', env.clock.now())
    assert (row.failures, row.error, row.started_at, row.updated_at) == (0, None, job.started_at, env.clock.now())
    assert await env.store.jobs.attempts(job.id) == []
    assert await env.claim(5) == []


@case("I1", "I10")
async def retry_counts_a_failure_keeps_it_and_waits_for_its_delay(env: Env) -> None:
    job = await env.start()
    env.clock.advance(1)
    answer = await env.finish(job, Verdict.RETRY, failure=BOOM, delay=30)
    assert (answer.reply, answer.state, answer.run_at) == (Reply.APPLIED, JobState.RETRYING, env.after(30))
    row = await env.job(job.id)
    assert (row.state, row.failures, row.attempt, row.run_at) == (JobState.RETRYING, 1, 2, env.after(30))
    assert (row.error, row.finished_at, row.result) == (BOOM, None, None)
    (attempt,) = await env.store.jobs.attempts(job.id)
    assert (attempt.number, attempt.kind, attempt.failure) == (1, "failed", BOOM)
    assert (attempt.worker_id, attempt.epoch) == (env.worker, job.epoch)
    assert (attempt.started_at, attempt.ended_at) == (job.started_at, env.clock.now())
    assert await env.claim(5) == []
    env.clock.advance(30)
    assert (await env.take()).attempt == 2


@case("I10")
async def attempts_are_numbered_by_failure_oldest_first(env: Env) -> None:
    job = await env.start()
    for i in range(4):
        await env.finish(job, Verdict.RETRY, failure=Failure("E", f"no {i}"))
        env.clock.advance(1)
        job = await env.take()
    attempts = await env.store.jobs.attempts(job.id)
    assert [(a.number, a.failure.message) for a in attempts] == [(i + 1, f"no {i}") for i in range(4)]
    assert job.failures == 4


@case("I10", "I30")
async def snooze_and_release_count_nothing(env: Env) -> None:
    job = await env.start()
    answer = await env.finish(job, Verdict.SNOOZE, delay=60)
    assert (answer.reply, answer.state) == (Reply.APPLIED, JobState.PENDING)
    row = await env.job(job.id)
    assert (row.state, row.failures, row.run_at) == (JobState.PENDING, 0, env.after(60))
    env.clock.advance(60)
    due = env.clock.now()
    job = await env.take()
    env.clock.advance(5)
    assert (await env.finish(job, Verdict.RELEASE)).state is JobState.PENDING
    row = await env.job(job.id)
    assert (row.state, row.failures, row.run_at) == (JobState.PENDING, 0, due)
    assert await env.store.jobs.attempts(job.id) == []


@case("I10")
async def a_job_that_failed_or_crashed_before_is_retrying_after_snooze_and_release(env: Env) -> None:
    failed = await env.start()
    await env.finish(failed, Verdict.RETRY, failure=BOOM)
    crashed = await env.start(name="other")
    await env.crash(crashed)
    for name in ("work", "other"):
        for verdict in (Verdict.SNOOZE, Verdict.RELEASE):
            answer = await env.finish(await env.take(names=[name]), verdict)
            assert answer.state is JobState.RETRYING


@case("I11")
async def fail_with_a_dead_letter_ends_the_job_and_makes_the_letter_at_once(env: Env) -> None:
    job = await env.start()
    answer = await env.finish(job, Verdict.FAIL, failure=BOOM, dead_letter=True, reason="exhausted")
    assert (answer.reply, answer.state) == (Reply.APPLIED, JobState.FAILED)
    row = await env.job(job.id)
    assert (row.state, row.reason, row.error, row.failures) == (JobState.FAILED, "exhausted", BOOM, 1)
    assert row.finished_at == env.clock.now()
    assert answer.dead_letter is not None
    letter = await env.letter(answer.dead_letter)
    assert (letter.job_id, letter.reason, letter.error, letter.state) == (job.id, "exhausted", BOOM, DLQState.OPEN)
    assert len(await env.store.jobs.attempts(job.id)) == 1


@case("I11")
async def fail_without_a_dead_letter_makes_none_and_without_a_failure_counts_none(env: Env) -> None:
    job = await env.start()
    answer = await env.finish(job, Verdict.FAIL, reason="expected")
    assert (answer.reply, answer.state, answer.dead_letter) == (Reply.APPLIED, JobState.FAILED, None)
    row = await env.job(job.id)
    assert (row.failures, row.reason) == (0, "expected")
    assert (await env.dump())["dlq"] == []


@case("I5")
async def a_job_cancelled_by_its_handler_is_cancelled(env: Env) -> None:
    job = await env.start()
    answer = await env.finish(job, Verdict.CANCEL, reason="not needed")
    assert (answer.reply, answer.state) == (Reply.APPLIED, JobState.CANCELLED)
    row = await env.job(job.id)
    assert (row.state, row.reason, row.finished_at) == (JobState.CANCELLED, "not needed", env.clock.now())


@case("I2", "I5")
async def each_verdict_repeated_after_a_lost_reply_is_applied_once_and_answered_the_same(env: Env) -> None:
    for verdict, fields in FIELDS.items():
        job = await env.start()
        first = await env.finish(job, verdict, **fields)
        assert first.reply is Reply.APPLIED
        async with env.unchanged(f"the repeated {verdict}"):
            again = await env.finish(job, verdict, **fields)
        assert (again.reply, again.state) == (Reply.APPLIED, first.state), f"the repeated {verdict}"
        assert again.dead_letter == first.dead_letter
        await env.store.jobs.cancel(job.id)


@case("I4", "I5")
async def a_second_verdict_after_the_end_changes_nothing(env: Env) -> None:
    for verdict in (Verdict.COMPLETE, Verdict.FAIL, Verdict.CANCEL):
        job = await env.start()
        await env.finish(job, verdict, **FIELDS[verdict])
        for other, fields in FIELDS.items():
            if other is verdict:
                continue
            async with env.unchanged(f"{other} after {verdict}"):
                answer = await env.finish(job, other, **fields)
            assert answer.reply is Reply.STALE, f"{other} after {verdict}"


@case("I4", "I5")
async def two_verdicts_for_one_job_in_one_call_let_the_first_win(env: Env) -> None:
    job = await env.start()
    first, second = await env.store.jobs.finish(
        env.worker,
        [
            Transition(job.id, job.epoch, Verdict.COMPLETE, result=b"1"),
            Transition(job.id, job.epoch, Verdict.FAIL, failure=BOOM, dead_letter=True),
        ],
    )
    assert (first.reply, second.reply) == (Reply.APPLIED, Reply.STALE)
    assert (await env.job(job.id)).state is JobState.COMPLETED
    assert (await env.dump())["dlq"] == []


@case("I4")
async def a_batch_applies_what_is_held_and_answers_each_in_order(env: Env) -> None:
    await env.enqueue(*(new() for _ in range(60)))
    jobs = await env.claim(60)
    verdicts = list(Verdict)
    stale = {i for i in range(60) if i % 7 == 3}
    answers = await env.store.jobs.finish(
        env.worker,
        [
            Transition(job.id, job.epoch - (i in stale), verdicts[i % 6], failure=BOOM if i % 6 in (1, 4) else None)
            for i, job in enumerate(jobs)
        ],
    )
    states = [
        JobState.COMPLETED,
        JobState.RETRYING,
        JobState.PENDING,
        JobState.PENDING,
        JobState.FAILED,
        JobState.CANCELLED,
    ]
    for i, (job, answer) in enumerate(zip(jobs, answers, strict=True)):
        row = await env.job(job.id)
        if i in stale:
            assert (answer.reply, row.state) == (Reply.STALE, JobState.RUNNING)
        else:
            assert (answer.reply, answer.state, row.state) == (Reply.APPLIED, states[i % 6], states[i % 6])


@case("I4")
async def finishing_a_job_that_is_not_there_is_no_error(env: Env) -> None:
    (answer,) = await env.store.jobs.finish(env.worker, [Transition(JobID.new(), 1, Verdict.COMPLETE)])
    assert answer.reply in (Reply.STALE, Reply.MISSING)
    assert await env.store.jobs.finish(env.worker, []) == []


@case("I3")
async def a_lapsed_but_unstolen_claim_may_still_finish(env: Env) -> None:
    job = await env.start(lease=5)
    env.clock.advance(300)
    assert (await env.finish(job, Verdict.COMPLETE)).reply is Reply.APPLIED
    assert await env.steal() == []


@case("I1")
async def an_outcome_the_store_cannot_hold_leaves_its_whole_batch_running(env: Env) -> None:
    await env.enqueue(new(), new())
    good, odd = await env.claim(2)
    before = await env.dump()
    broken = Failure("E", "a lone surrogate: \ud800")
    try:
        await env.store.jobs.finish(
            env.worker,
            [
                Transition(good.id, good.epoch, Verdict.COMPLETE, result=b"1"),
                Transition(odd.id, odd.epoch, Verdict.RETRY, failure=broken),
            ],
        )
    except DataRejected:
        assert await env.dump() == before, "a refused batch changed something"
        assert (await env.finish(good, Verdict.COMPLETE, result=b"1")).reply is Reply.APPLIED
    else:
        assert (await env.job(odd.id)).error == broken
        assert (await env.job(good.id)).state is JobState.COMPLETED
