"""The fence: every write about a claimed job by somebody who no longer holds it changes nothing."""

from __future__ import annotations

from dispatch.entity import Reply
from dispatch.ids import WorkerID
from dispatch.jobs.model import Job, JobState, Transition, Verdict
from dispatch.testing.conformance.env import Env, new, pairs
from dispatch.testing.conformance.jobs_finish import FIELDS
from dispatch.testing.conformance.registry import case


async def _every_write_is_stale(env: Env, job: Job, worker: WorkerID, epoch: int, what: str) -> None:
    async with env.unchanged(what):
        for verdict, fields in FIELDS.items():
            answer = await env.finish(job, verdict, by=worker, epoch=epoch, then=(new("follow-up"),), **fields)
            assert answer.reply is Reply.STALE, f"{verdict}: {what}"
            assert answer.dead_letter is None
        plain = await env.finish(job, Verdict.COMPLETE, by=worker, epoch=epoch)
        assert plain.reply is Reply.STALE, f"a plain completion: {what}"
        assert await env.store.jobs.release(worker, [(job.id, epoch)]) == [Reply.STALE]
        assert await env.store.jobs.progress(worker, [(job.id, epoch, 0.9, "late")]) == [Reply.STALE]
        assert (await env.store.jobs.renew(worker, [(job.id, epoch)], lease=900)).lost == [job.id]


@case("I4")
async def another_workers_writes_change_nothing(env: Env) -> None:
    job = await env.start()
    await _every_write_is_stale(env, job, env.other, job.epoch, "another worker with the right epoch")


@case("I4")
async def an_older_or_a_guessed_epoch_changes_nothing(env: Env) -> None:
    job = await env.start()
    for epoch in (job.epoch - 1, job.epoch + 1, 0):
        await _every_write_is_stale(env, job, env.worker, epoch, f"epoch {epoch - job.epoch:+}")


@case("I4")
async def the_former_owner_of_a_stolen_job_changes_nothing_while_it_waits(env: Env) -> None:
    job = await env.start()
    await env.crash(job, delays=[600])
    await _every_write_is_stale(env, job, env.worker, job.epoch, "the former owner of a waiting job")


@case("I4")
async def the_former_owner_of_a_stolen_job_changes_nothing_while_another_runs_it(env: Env) -> None:
    job = await env.start()
    await env.crash(job)
    again = await env.take(by=env.other)
    assert again.id == job.id
    await _every_write_is_stale(env, job, env.worker, job.epoch, "the former owner of a running job")
    assert (await env.finish(again, Verdict.COMPLETE, by=env.other)).reply is Reply.APPLIED
    await _every_write_is_stale(env, job, env.worker, job.epoch, "the former owner of a completed job")


@case("I4", "I3")
async def the_same_worker_with_the_epoch_of_an_earlier_claim_changes_nothing(env: Env) -> None:
    job = await env.start()
    await env.store.jobs.release(env.worker, pairs(job))
    again = await env.take()
    assert again.epoch > job.epoch
    await _every_write_is_stale(env, job, env.worker, job.epoch, "an earlier claim of the same worker")


@case("I4", "I5")
async def writes_after_a_burial_by_crashes_change_nothing(env: Env) -> None:
    job = await env.start()
    await env.crash(job, max_crashes=0)
    assert (await env.job(job.id)).state is JobState.FAILED
    await _every_write_is_stale(env, job, env.worker, job.epoch, "the former owner of a buried job")


@case("I4")
async def nobody_can_write_about_a_job_that_waits(env: Env) -> None:
    job = await env.job(await env.add())
    await _every_write_is_stale(env, job, env.worker, 0, "a worker that never claimed it")


@case("I4")
async def a_stale_write_in_a_batch_does_not_hide_behind_a_valid_one(env: Env) -> None:
    await env.enqueue(new(), new())
    mine = await env.take()
    theirs = await env.take(by=env.other)
    answers = await env.store.jobs.finish(
        env.worker, [Transition(job.id, job.epoch, Verdict.COMPLETE) for job in (mine, theirs)]
    )
    assert [answer.reply for answer in answers] == [Reply.APPLIED, Reply.STALE]
    assert (await env.job(theirs.id)).state is JobState.RUNNING
