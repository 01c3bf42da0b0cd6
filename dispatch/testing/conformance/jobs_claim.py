"""Claims: exact sets, limits, order, due times, shares of several queues."""

from __future__ import annotations

from datetime import timedelta

from dispatch.jobs.model import JobState, Verdict
from dispatch.testing.conformance.env import Env, new
from dispatch.testing.conformance.registry import case


@case("I7")
async def a_claim_returns_at_most_its_limit_and_marks_exactly_what_it_returns(env: Env) -> None:
    await env.enqueue(*(new() for _ in range(20)))
    claimed = await env.claim(7)
    assert len(claimed) == 7
    running = {job.id for job in await env.jobs() if job.state is JobState.RUNNING}
    assert running == {job.id for job in claimed}


@case("I7")
async def a_claim_with_limit_zero_or_no_names_or_no_queues_takes_nothing(env: Env) -> None:
    await env.add()
    assert await env.claim(0) == []
    assert await env.claim(5, names=[]) == []
    assert await env.claim(5, queues=[]) == []
    assert await env.claim(5, queues={"default": 0}) == []
    assert len(await env.claim(5)) == 1


@case("I7")
async def skewed_names_do_not_make_a_claim_take_too_many_or_too_few(env: Env) -> None:
    await env.enqueue(*(new("rare" if i % 50 == 49 else "common") for i in range(200)))
    assert len(await env.claim(3, names=["rare"])) == 3
    assert len(await env.claim(50, names=["rare"])) == 1
    assert len(await env.claim(50, names=["common"])) == 50


@case("I3")
async def a_claimed_row_carries_worker_epoch_lease_and_start(env: Env) -> None:
    job = await env.start(payload=b"[1]", lease=12.0)
    assert (job.state, job.worker_id, job.payload) == (JobState.RUNNING, env.worker, b"[1]")
    assert (job.started_at, job.lease_until) == (env.clock.now(), env.after(12))
    assert job == await env.job(job.id)


@case("I3", "I7")
async def a_running_job_is_not_claimed_again(env: Env) -> None:
    await env.start()
    assert await env.claim(5, by=env.other) == []


@case("I3", "I29")
async def a_lapsed_job_is_not_claimed_until_it_is_stolen(env: Env) -> None:
    await env.start(lease=5)
    env.clock.advance(60)
    assert await env.claim(5, by=env.other) == []


@case("I6")
async def the_order_is_priority_then_run_at_then_id(env: Env) -> None:
    early, late = env.after(-20), env.after(-10)
    given = [
        new(priority=0, run_at=late),
        new(priority=0, run_at=early),
        new(priority=5, run_at=late),
        new(priority=-3, run_at=early),
        new(priority=5, run_at=late),
        new(priority=5, run_at=early),
    ]
    await env.enqueue(*reversed(given))
    expected = [job.id for job in sorted(given, key=lambda job: (-job.priority, job.run_at, job.id))]
    one_by_one = [(await env.take()).id for _ in range(3)]
    assert one_by_one + [job.id for job in await env.claim(10)] == expected


@case("I6")
async def a_claim_takes_the_head_of_the_order_whatever_was_enqueued_first(env: Env) -> None:
    low = [new(priority=0) for _ in range(10)]
    high = [new(priority=9) for _ in range(3)]
    await env.enqueue(*low, *high)
    assert {job.id for job in await env.claim(4)} == {*(job.id for job in high), low[0].id}


@case("I6")
async def nothing_starts_before_its_run_at(env: Env) -> None:
    job_id = await env.add(delay=10)
    env.clock.advance(9.999)
    assert await env.claim(5) == []
    env.clock.advance(0.001)
    assert [job.id for job in await env.claim(5)] == [job_id]


@case("I6")
async def a_future_job_of_high_priority_neither_starts_nor_hides_what_is_due(env: Env) -> None:
    future = [new(priority=100, delay=3600) for _ in range(30)]
    due = new(priority=-5)
    await env.enqueue(*future, due)
    assert [job.id for job in await env.claim(10)] == [due.id]
    env.clock.advance(3600)
    assert len(await env.claim(100)) == 30


@case("I6")
async def due_times_are_kept_to_the_microsecond(env: Env) -> None:
    await env.add(run_at=env.clock.now() + timedelta(microseconds=1))
    assert await env.claim(1) == []
    env.clock.advance(timedelta(microseconds=1))
    assert len(await env.claim(1)) == 1


@case("I7")
async def only_known_names_and_the_queues_named_are_taken(env: Env) -> None:
    await env.add("other")
    await env.add(queue="elsewhere")
    mine = await env.add()
    assert [job.id for job in await env.claim(10)] == [mine]
    assert [job.queue for job in await env.claim(10, queues=["elsewhere"])] == ["elsewhere"]
    assert [job.name for job in await env.claim(10, names=["other", "work"])] == ["other"]


@case("I7")
async def unknown_names_at_the_head_do_not_hide_known_ones(env: Env) -> None:
    await env.enqueue(*(new("unknown", priority=9) for _ in range(50)))
    mine = await env.add()
    assert [job.id for job in await env.claim(2)] == [mine]


@case("I29")
async def several_queues_get_equal_shares_so_that_none_starves(env: Env) -> None:
    await env.enqueue(*(new(queue="a", priority=50) for _ in range(40)), *(new(queue="b") for _ in range(40)))
    claimed = await env.claim(10, queues=["a", "b"])
    assert sorted(job.queue for job in claimed) == ["a"] * 5 + ["b"] * 5


@case("I7", "I29")
async def what_one_queue_leaves_another_may_take(env: Env) -> None:
    await env.enqueue(*(new(queue="a") for _ in range(40)), *(new(queue="b") for _ in range(2)))
    claimed = await env.claim(10, queues=["a", "b"])
    assert sorted(job.queue for job in claimed) == ["a"] * 8 + ["b"] * 2


@case("I7")
async def a_queue_gives_no_more_than_the_mapping_allows(env: Env) -> None:
    await env.enqueue(*(new(queue="a") for _ in range(10)), *(new(queue="b") for _ in range(10)))
    claimed = await env.claim(10, queues={"a": 2, "b": 3})
    assert sorted(job.queue for job in claimed) == ["a"] * 2 + ["b"] * 3


@case("I7")
async def queues_are_served_in_the_mappings_order(env: Env) -> None:
    await env.enqueue(new(queue="a"), new(queue="b"))
    assert (await env.take(queues={"b": 1, "a": 1})).queue == "b"


@case("I3")
async def every_claim_of_a_row_has_a_greater_epoch_that_is_at_least_the_clock(env: Env) -> None:
    job = await env.start()
    epochs = [job.epoch]
    for _ in range(3):
        await env.store.jobs.release(env.worker, [(job.id, job.epoch)])
        job = await env.take()
        epochs.append(job.epoch)
    assert epochs[0] >= int(env.clock.now().timestamp() * 1000)
    assert epochs == [epochs[0] + i for i in range(4)], "within one millisecond the epoch grows by one"
    env.clock.advance(3600)
    await env.store.jobs.release(env.worker, [(job.id, job.epoch)])
    assert (await env.take()).epoch == int(env.clock.now().timestamp() * 1000)


@case()
async def next_due_is_the_earliest_run_at_that_this_worker_could_take(env: Env) -> None:
    assert (await env.claimed()).next_due is None
    await env.add("other", delay=5)
    await env.add(queue="elsewhere", delay=6)
    await env.add(delay=60, priority=9)
    await env.add(delay=30)
    assert (await env.claimed()).next_due == env.after(30)
    await env.add()
    assert (await env.claimed(5)).next_due == env.after(30), "fewer than asked for were found"


@case()
async def next_due_sees_retries_but_not_running_or_ended_jobs(env: Env) -> None:
    job = await env.start()
    assert (await env.claimed(by=env.other)).next_due is None
    await env.finish(job, Verdict.RETRY, delay=45)
    assert (await env.claimed()).next_due == env.after(45)
    await env.store.jobs.cancel(job.id)
    assert (await env.claimed()).next_due is None


@case()
async def a_claim_tells_the_stores_time_so_that_next_due_can_be_measured(env: Env) -> None:
    assert (await env.claimed()).now == env.clock.now()
    env.clock.advance(5)
    await env.add()
    assert (await env.claimed()).now == env.clock.now()
