"""Steals: lapsed leases only, counted as crashes, bounded by burial."""

from __future__ import annotations

from datetime import timedelta

from dispatch.dlq import DLQState
from dispatch.jobs.model import JobState, Unique, Verdict
from dispatch.testing.conformance.env import BOOM, Env, new
from dispatch.testing.conformance.registry import case


@case("I29")
async def a_live_lease_is_never_stolen(env: Env) -> None:
    job = await env.start(lease=30)
    async with env.unchanged("a steal within the lease"):
        assert await env.steal() == []
        env.clock.advance(29.999)
        assert await env.steal() == []
    env.clock.advance(0.002)
    assert [stolen.job.id for stolen in await env.steal()] == [job.id]


@case("I29")
async def only_running_jobs_are_stolen(env: Env) -> None:
    for verdict in Verdict:
        await env.finish(await env.start(lease=1), verdict, delay=3600)
        await env.store.jobs.set_aside(due_for=0.0, limit=10)
    await env.add()
    env.clock.advance(600)
    async with env.unchanged("a steal without lapsed jobs"):
        assert await env.steal() == []


@case("I10", "I3")
async def a_stolen_job_counts_a_crash_and_waits_for_its_delay(env: Env) -> None:
    job = await env.start(lease=5)
    env.clock.advance(6)
    (stolen,) = await env.steal(delays=[7.0, 9.0])
    assert (stolen.from_worker, stolen.dead_letter, stolen.job.state) == (env.worker, None, JobState.RETRYING)
    row = await env.job(job.id)
    assert row == stolen.job
    assert (row.state, row.crashes, row.failures, row.attempt) == (JobState.RETRYING, 1, 0, 1)
    assert (row.run_at, row.worker_id, row.lease_until, row.epoch) == (env.after(7), None, None, job.epoch)
    (attempt,) = await env.store.jobs.attempts(job.id)
    assert (attempt.kind, attempt.worker_id, attempt.epoch) == ("crashed", env.worker, job.epoch)
    assert (attempt.started_at, attempt.ended_at) == (job.started_at, env.clock.now())
    assert await env.claim(5, by=env.other) == []
    env.clock.advance(7)
    again = await env.take(by=env.other)
    assert again.epoch > job.epoch


@case("I10")
async def the_delays_follow_the_crashes_and_the_last_one_repeats(env: Env) -> None:
    job = await env.start()
    waits = []
    for _ in range(4):
        row = (await env.crash(job, delays=[10.0, 20.0], max_crashes=9)).job
        waits.append(row.run_at - env.clock.now())
        env.clock.advance(20)
        job = await env.take(alone=True)
    assert waits == [timedelta(seconds=s) for s in (10, 20, 20, 20)]


@case("I10", "I11")
async def above_the_bound_a_job_is_buried_with_its_payload(env: Env) -> None:
    job = await env.start(payload=b"\x00killer\xff", metadata={"m": 1})
    for crashes in (1, 2, 3):
        stolen = await env.crash(job, max_crashes=3)
        assert (stolen.job.state, stolen.job.crashes, stolen.dead_letter) == (JobState.RETRYING, crashes, None)
        job = await env.take(alone=True)
    stolen = await env.crash(job, max_crashes=3)
    assert (stolen.job.state, stolen.job.crashes, stolen.job.reason) == (JobState.FAILED, 4, "worker_lost")
    assert stolen.dead_letter is not None
    letter = await env.letter(stolen.dead_letter)
    assert (letter.job_id, letter.reason, letter.crashes, letter.state) == (job.id, "worker_lost", 4, DLQState.OPEN)
    assert (letter.payload, letter.metadata) == (b"\x00killer\xff", {"m": 1})
    row = await env.job(job.id)
    assert (row.state, row.finished_at, row.failures) == (JobState.FAILED, env.clock.now(), 0)
    assert len(await env.store.jobs.attempts(job.id)) == 4
    assert await env.claim(5, alone=True) == []


@case("I29")
async def a_steal_takes_no_more_than_its_limit_and_each_job_once(env: Env) -> None:
    await env.enqueue(*(new() for _ in range(10)))
    await env.claim(10, lease=5)
    env.clock.advance(6)
    taken = [[stolen.job.id for stolen in await env.steal(limit=4, delays=[60.0])] for _ in range(4)]
    assert [len(ids) for ids in taken] == [4, 4, 2, 0]
    assert len({job_id for ids in taken for job_id in ids}) == 10


@case("I10")
async def crashes_and_failures_are_counted_apart(env: Env) -> None:
    job = await env.start()
    await env.finish(job, Verdict.RETRY, failure=BOOM)
    await env.crash(await env.take())
    job = await env.take()
    await env.finish(job, Verdict.RETRY, failure=BOOM)
    row = await env.job(job.id)
    assert (row.failures, row.crashes) == (2, 1)
    kinds = [attempt.kind for attempt in await env.store.jobs.attempts(job.id)]
    assert kinds == ["failed", "crashed", "failed"]


@case("I1")
async def a_stolen_job_keeps_its_unique_key_while_it_lives(env: Env) -> None:
    job = await env.start(unique=Unique("k"))
    await env.crash(job)
    (answer,) = await env.enqueue(new(unique=Unique("k")))
    assert (answer.id, answer.created) == (job.id, False)


@case("I29")
async def reaping_looks_at_the_jobs_lease_not_at_the_workers_table(env: Env) -> None:
    await env.register(lease=5)
    job = await env.start(lease=100)
    env.clock.advance(60)
    await env.store.cluster.retire(env.worker)
    assert await env.steal() == []
    env.clock.advance(41)
    await env.store.cluster.beat(env.worker, running=1)
    assert [stolen.job.id for stolen in await env.steal()] == [job.id]
