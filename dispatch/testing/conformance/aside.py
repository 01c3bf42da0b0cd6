"""Set aside: jobs that no live worker knows leave the ready index and come back with a worker that does."""

from __future__ import annotations

from dispatch.cluster import Announcement
from dispatch.dlq import DLQState
from dispatch.ids import WorkerID
from dispatch.jobs.model import JobState, Unique
from dispatch.testing.conformance.env import Env, new
from dispatch.testing.conformance.registry import case


async def _set_all_aside(env: Env, due_for: float = 60.0) -> int:
    total = 0
    while moved := await env.store.jobs.set_aside(due_for=due_for, limit=100):
        total += moved
    return total


@case("I29", "I1")
async def what_nobody_serves_is_set_aside_and_comes_back_with_a_worker(env: Env) -> None:
    await env.register(names=["work"], lease=600.0)
    lost = [await env.add("unknown") for _ in range(3)]
    env.clock.advance(61)
    assert await _set_all_aside(env) == 3
    assert all([(await env.job(job_id)).set_aside for job_id in lost])
    answer = await env.claimed(5, names=["unknown"])
    assert (answer.jobs, answer.next_due) == ([], None)
    assert await env.register(id=env.other, names=["unknown"]) == 3
    assert not any([(await env.job(job_id)).set_aside for job_id in lost])
    assert [job.id for job in await env.claim(5, by=env.other, names=["unknown"])] == lost


@case("I29")
async def what_a_live_worker_serves_or_is_not_due_long_enough_stays(env: Env) -> None:
    await env.register(names=["work"], queues=["default"], lease=600.0)
    served = await env.add(run_at=env.after(-600))
    fresh = await env.add("unknown", run_at=env.after(-30))
    future = await env.add("unknown", delay=600)
    elsewhere = await env.add("work", queue="elsewhere", run_at=env.after(-600))
    assert await _set_all_aside(env) == 1
    aside = {job.id for job in await env.jobs() if job.set_aside}
    assert aside == {elsewhere}, f"{served}, {fresh} and {future} must stay"


@case("I29")
async def a_dead_or_retired_worker_serves_nothing(env: Env) -> None:
    await env.register(lease=30.0)
    await env.register(id=env.other, names=["other"], lease=3000.0)
    await env.store.cluster.retire(env.other)
    await env.add()
    await env.add("other")
    env.clock.advance(61)
    assert await _set_all_aside(env) == 2
    assert await env.register(id=WorkerID.new(), names=["work"]) == 1


@case("I29")
async def no_more_are_set_aside_than_the_limit_allows(env: Env) -> None:
    await env.enqueue(*(new("unknown", queue=f"q{i % 5}") for i in range(10)))
    env.clock.advance(61)
    assert await env.store.jobs.set_aside(due_for=60.0, limit=3) == 3
    assert len([job for job in await env.jobs() if job.set_aside]) == 3
    assert await _set_all_aside(env) == 7


@case("I29")
async def unknown_jobs_set_aside_uncover_the_known_ones_behind_them(env: Env) -> None:
    await env.register(lease=600.0)
    await env.enqueue(*(new("unknown", priority=9) for _ in range(20)))
    known = await env.add(run_at=env.after(-120))
    env.clock.advance(61)
    assert await _set_all_aside(env) == 20
    assert [job.id for job in await env.claim(5)] == [known]


@case("I1", "I29")
async def a_worker_that_was_silent_gets_its_jobs_back_when_it_announces_itself_again(env: Env) -> None:
    await env.register(names=["mine"], lease=30.0)
    job_id = await env.add("mine")
    env.clock.advance(61)
    assert await _set_all_aside(env) == 1
    await env.store.cluster.beat(env.worker, running=0)
    await env.store.cluster.announce([Announcement("mine", "job")])
    assert not (await env.job(job_id)).set_aside
    assert (await env.take(names=["mine"])).id == job_id


@case("I5")
async def a_job_set_aside_can_be_cancelled_and_stays_so(env: Env) -> None:
    job_id = await env.add("unknown")
    env.clock.advance(61)
    await _set_all_aside(env)
    await env.store.jobs.cancel(job_id)
    await env.register(names=["unknown"])
    assert await env.claim(5, names=["unknown"]) == []
    assert (await env.job(job_id)).reason == "cancelled"


@case("I1")
async def a_worker_brings_back_only_what_it_serves(env: Env) -> None:
    mine = await env.add("mine")
    other_name = await env.add("other")
    other_queue = await env.add("mine", queue="elsewhere")
    env.clock.advance(61)
    assert await _set_all_aside(env) == 3
    assert await env.register(names=["mine"]) == 1
    aside = {job.id for job in await env.jobs() if job.set_aside}
    assert aside == {other_name, other_queue}, f"{mine} must be back"


@case("I1")
async def two_registrations_bring_a_job_back_once(env: Env) -> None:
    await env.add("unknown")
    env.clock.advance(61)
    await _set_all_aside(env)
    answers = [await env.register(id=WorkerID.new(), names=["unknown"]) for _ in range(2)]
    assert answers == [1, 0]


@case("I1", "I11")
async def what_stays_unserved_too_long_can_be_buried(env: Env) -> None:
    await env.register(names=["work"], lease=6000.0)
    old = await env.add("unknown", payload=b"\x00[1]", unique=Unique("k"))
    env.clock.advance(500)
    young = await env.add("unknown")
    served = await env.add(run_at=env.after(-5000))
    env.clock.advance(100)
    assert list(await env.store.jobs.bury_unserved(due_for=550.0, limit=10)) == [], "only what is set aside"
    assert await _set_all_aside(env) == 2
    (letter_id,) = await env.store.jobs.bury_unserved(due_for=550.0, limit=10)
    letter = await env.letter(letter_id)
    assert (letter.job_id, letter.reason, letter.payload, letter.state) == (
        old,
        "no_handler",
        b"\x00[1]",
        DLQState.OPEN,
    )
    row = await env.job(old)
    assert (row.state, row.reason, row.finished_at) == (JobState.FAILED, "no_handler", env.clock.now())
    assert (await env.job(young)).set_aside
    assert (await env.job(served)).state is JobState.PENDING
    await env.add(unique=Unique("k"))
    assert list(await env.store.jobs.bury_unserved(due_for=550.0, limit=10)) == []


@case("I1")
async def no_more_unserved_jobs_are_buried_than_the_limit_allows(env: Env) -> None:
    await env.enqueue(*(new("unknown") for _ in range(5)))
    env.clock.advance(61)
    await _set_all_aside(env)
    assert [len(await env.store.jobs.bury_unserved(due_for=60.0, limit=3)) for _ in range(3)] == [3, 2, 0]


@case("I1", "I5")
async def a_job_buried_as_unserved_can_be_retried_and_served(env: Env) -> None:
    job_id = await env.add("unknown")
    env.clock.advance(61)
    await _set_all_aside(env)
    (letter_id,) = await env.store.jobs.bury_unserved(due_for=60.0, limit=3)
    await env.store.jobs.retry(job_id)
    assert (await env.letter(letter_id)).state is DLQState.RETRIED
    assert not (await env.job(job_id)).set_aside
    assert (await env.take(names=["unknown"])).id == job_id
