"""Concurrency of runs: a key is held from a run's first start to its end, parked or not, and whoever ends lets the next
one in."""

from __future__ import annotations

import asyncio
from typing import Any

from dispatch.entity import Reply
from dispatch.ids import RunID
from dispatch.jobs.model import JobState, KeyHolders, Verdict
from dispatch.testing.conformance.dumps import dump_of, elsewhere, load_all
from dispatch.testing.conformance.env import BOOM, Env
from dispatch.testing.conformance.flows import (
    Driven,
    begin,
    drive,
    idle,
    made,
    new_run,
    run_of,
    state,
    step,
    with_run,
)
from dispatch.testing.conformance.registry import case
from dispatch.workflows.model import NewCheckpoint, NewRun, RunState

KEY = "@k"


def keyed(most: int = 1, **options: Any) -> NewRun:
    """A run with a concurrency key."""
    return new_run(concurrency_key=KEY, concurrency_max=most, **options)


async def given_runs(env: Env, count: int, most: int = 1, **options: Any) -> list[RunID]:
    """Runs of one key, in the order in which they start."""
    return await made(env, *(keyed(most, **options) for _ in range(count)))


async def asleep(env: Env, run_id: RunID, seconds: float = 60.0) -> Driven:
    """Claims the run, which must be the next, and parks it."""
    held = await drive(env, run_id)
    assert await held.park(until=env.after(seconds)) is Reply.APPLIED
    return held


async def holders(env: Env) -> KeyHolders:
    """Who holds the key."""
    return await env.store.jobs.holders(KEY, limit=100)


@case("I28")
async def a_parked_run_keeps_its_place(env: Env) -> None:
    first, second, third = await given_runs(env, 3, most=2)
    one, two = await asleep(env, first), await asleep(env, second, 90.0)
    assert await idle(env)
    assert await holders(env) == KeyHolders(2, sorted([one.driver.id, two.driver.id]))
    assert (await state(env, third), (await env.job((await run_of(env, third)).driver)).blocked) == ("pending", True)
    env.clock.advance(61)
    one = await drive(env, first)
    assert await idle(env)
    await one.finish()
    await drive(env, third)


@case("I28", "I29")
async def a_run_that_wakes_needs_no_second_place(env: Env) -> None:
    first, second = await given_runs(env, 2)
    await asleep(env, first)
    assert await idle(env)
    await made(env, keyed(priority=9))
    env.clock.advance(61)
    held = await drive(env, first)
    assert await idle(env)
    await held.finish()
    assert await state(env, second) is RunState.PENDING
    assert not await idle(env)


@case("I28", "I29")
async def runs_that_wait_to_go_on_keep_nobody_out(env: Env) -> None:
    first, second, third = await made(env, keyed(2, priority=1), keyed(2), keyed(2))
    await asleep(env, first)
    running = await drive(env, second)
    assert await idle(env)
    env.clock.advance(61)
    await running.finish()
    taken = await env.claim(10, names=["flow@1"])
    assert sorted(str(job.run_id) for job in taken) == sorted([first, third])


@case("I28")
async def what_is_no_end_gives_no_place_up(env: Env) -> None:
    first, _ = await given_runs(env, 2)
    held = await drive(env, first)
    for verdict in (Verdict.RETRY, Verdict.SNOOZE):
        await held.leave(verdict, failure=BOOM if verdict is Verdict.RETRY else None, delay=10.0)
        assert await idle(env), verdict
        env.clock.advance(11)
        held = await drive(env, first)
    await env.store.jobs.release(env.worker, [(held.driver.id, held.epoch)])
    held = await drive(env, first)
    await env.crash(held.driver, delays=[30.0])
    assert await idle(env)
    env.clock.advance(31)
    held = await drive(env, first)
    await held.block()
    assert await idle(env)
    assert (await holders(env)).running == [held.driver.id]
    await env.store.workflows.retry(first)
    held = await drive(env, first)
    await env.store.workflows.migrate(first, version=2)
    assert await idle(env)
    held = await drive(env, first)
    await held.compensate(failure=BOOM)
    assert await held.park(until=env.after(5)) is Reply.APPLIED
    assert await idle(env)


@case("I28", "I1")
async def every_end_lets_the_next_one_in_at_once(env: Env) -> None:
    given = await given_runs(env, 5)
    held = await drive(env, given[0])
    await held.finish("completed", result=b"1")
    held = await drive(env, given[1])
    await held.compensate(failure=BOOM)
    await held.finish("failed", failure=BOOM, reason="exhausted", dead_letter=True)
    held = await asleep(env, given[2])
    await env.store.workflows.cancel(given[2])
    held = await drive(env, given[2])
    assert await idle(env)
    await held.finish("cancelled")
    held = await drive(env, given[3])
    await held.compensate(failure=BOOM)
    await env.crash(held.driver, max_crashes=0)
    assert await state(env, given[3]) is RunState.FAILED
    held = await drive(env, given[4])
    await held.finish()
    assert await holders(env) == KeyHolders(None, [])


@case("I28", "I1")
async def a_batch_of_ends_lets_as_many_runs_in(env: Env) -> None:
    given = await given_runs(env, 5, most=3)
    held = [await drive(env, run_id) for run_id in given[:3]]
    ends = [(each, "completed") for each in held[:2]]
    assert await held[2].park(until=env.after(60)) is Reply.APPLIED
    await asyncio.gather(*(each.finish(how) for each, how in ends))
    assert sorted(str(job.run_id) for job in await env.claim(10, names=["flow@1"])) == sorted(given[3:])


@case("I28", "I4")
async def a_stale_end_of_a_run_lets_nobody_in(env: Env) -> None:
    first, _ = await given_runs(env, 2)
    held = await drive(env, first)
    held.driver.epoch -= 1
    assert (await held.finish()).reply is Reply.STALE
    assert await idle(env)


@case("I28", "I24")
async def a_run_cancelled_or_expired_before_its_start_ends_without_a_place(env: Env) -> None:
    (first,) = await given_runs(env, 1)
    await asleep(env, first, 600.0)
    (cancelled,) = await given_runs(env, 1)
    expired = await given_runs(env, 2, expires_in=5)
    assert await idle(env)
    await env.store.workflows.cancel(cancelled)
    held = await drive(env, cancelled)
    assert (await held.load()).run.state is RunState.COMPENSATING
    await held.finish("cancelled")
    (last,) = await given_runs(env, 1)
    assert await idle(env)
    env.clock.advance(6)
    await env.store.workflows.cancel(first)
    held = await drive(env, first)
    await held.finish("cancelled")
    for job in await env.claim(10, names=["flow@1"]):
        assert job.run_id == expired.pop(0)
        held = Driven(env, RunID(str(job.run_id)), job, env.worker, env.store)
        assert (await held.load()).run.state is RunState.COMPENSATING
        assert await idle(env)
        await held.finish("cancelled")
    assert not expired
    await drive(env, last)


@case("I28", "I5")
async def a_retried_run_waits_for_a_place_again(env: Env) -> None:
    first, second = await given_runs(env, 2)
    held = await drive(env, first)
    await held.finish("failed", failure=BOOM)
    held = await drive(env, second)
    assert (await env.store.workflows.retry(first)).reply is Reply.APPLIED
    assert await idle(env)
    assert await held.park(until=env.after(60)) is Reply.APPLIED
    assert await idle(env)
    env.clock.advance(61)
    held = await drive(env, second)
    await held.finish()
    await (await drive(env, first)).finish("failed", failure=BOOM)
    assert await holders(env) == KeyHolders(None, [])
    await env.store.workflows.retry(first)
    assert await holders(env) == KeyHolders(1, [])
    held = await drive(env, first)
    assert await holders(env) == KeyHolders(1, [held.driver.id])


@case("I28", "I25")
async def a_waiting_run_that_moves_to_another_version_goes_on_waiting(env: Env) -> None:
    first, second = await given_runs(env, 2)
    held = await drive(env, first)
    assert (await env.store.workflows.migrate(second, version=2)).state is RunState.PENDING
    driver = (await run_of(env, second)).driver
    assert not (await env.job(driver)).blocked, "it looks for a place in its new line"
    assert await idle(env, "flow@2")
    assert (await env.job(driver)).blocked
    await held.finish()
    await (await drive(env, second)).finish()


@case("I28")
async def forks_and_children_are_held_to_their_keys(env: Env) -> None:
    (first,) = await given_runs(env, 1)
    held = await drive(env, first)
    await held.record(step("charge"), step("ship"))
    fork = keyed()
    assert await env.store.workflows.fork(first, before="ship", run=fork, edits={}) is not None
    assert await idle(env)
    await held.finish()
    held = await drive(env, fork.id)
    child = keyed(parent=held.id, step="send", awaited=False)
    await held.record(NewCheckpoint("send", "child", runs=(child,)))
    assert await idle(env)
    await held.finish()
    await drive(env, child.id)


@case("I28", "I23")
async def a_waiting_child_that_ends_with_its_parent_lets_the_next_one_in(env: Env) -> None:
    parent = await begin(env)
    (first,) = await given_runs(env, 1)
    held = await drive(env, first)
    child = await with_run(parent, "send", concurrency_key=KEY, concurrency_max=1)
    (last,) = await given_runs(env, 1)
    await parent.finish("failed", failure=BOOM)
    ended = await drive(env, child)
    await ended.finish("cancelled")
    assert await idle(env)
    await held.finish()
    await drive(env, last)


@case("I28", "I10")
async def a_run_that_lost_workers_goes_on_though_its_key_is_full(env: Env) -> None:
    first, second = await given_runs(env, 2)
    held = await drive(env, first)
    await env.crash(held.driver)
    await env.crash((await drive(env, first)).driver)
    assert await idle(env)
    assert await env.store.jobs.quarantined(queues=["default"], names=["flow@1"], due_for=0.0)
    answer = await env.claimed(10, names=["flow@1"])
    assert answer.jobs == []
    (job,) = await env.claim(10, names=["flow@1"], alone=True)
    assert job.run_id == first
    await Driven(env, first, job, env.worker, env.store).finish()
    await drive(env, second)


@case("I28", "I6")
async def runs_start_in_the_order_of_jobs_as_places_come_free(env: Env) -> None:
    (first,) = await given_runs(env, 1)
    held = await drive(env, first)
    low, urgent, late = await made(env, keyed(priority=-1), keyed(priority=5), keyed(delay=30.0, priority=9))
    env.clock.advance(10)
    await held.finish()
    held = await drive(env, urgent)
    assert await held.park(until=env.after(60)) is Reply.APPLIED
    env.clock.advance(31)
    assert await idle(env)
    await env.store.workflows.cancel(urgent)
    await (await drive(env, urgent)).finish("cancelled")
    assert {(await env.take(names=["flow@1"])).run_id} <= {low, late}
    assert await idle(env)


@case("I28")
async def keys_of_runs_and_of_jobs_are_told_apart_by_their_names_alone(env: Env) -> None:
    (first,) = await given_runs(env, 1)
    await asleep(env, first)
    job_id = await env.add(concurrency_key=KEY, concurrency_max=1)
    assert await env.claim(10) == []
    assert (await env.job(job_id)).blocked
    other = await env.start(concurrency_key="k", concurrency_max=1)
    assert other.state is JobState.RUNNING


@case("I28", "I1")
async def a_parked_run_that_is_loaded_holds_its_place(env: Env) -> None:
    other = await elsewhere(env)
    first, second = await given_runs(other, 2)
    held = await asleep(other, first)
    await load_all(env.store, await dump_of(other.store))
    assert await holders(env) == KeyHolders(1, [held.driver.id])
    assert await idle(env)
    env.clock.advance(61)
    held = await drive(env, first)
    await held.finish()
    await drive(env, second)


@case("I28", "I7")
async def ends_and_claims_of_runs_at_once_never_open_too_many(env: Env) -> None:
    sibling = await env.sibling()
    given = await given_runs(env, 16, most=2)
    done: set[RunID] = set()
    while len(done) < len(given):
        mine, yours = await asyncio.gather(
            env.claim(3, names=["flow@1"]), env.claim(3, names=["flow@1"], by=env.other, via=sibling)
        )
        held = [Driven(env, RunID(str(job.run_id)), job, env.worker, env.store) for job in mine]
        held += [Driven(env, RunID(str(job.run_id)), job, env.other, sibling) for job in yours]
        assert len((await holders(env)).running) == len(held) <= 2
        assert held, f"{len(done)} of {len(given)} ended, and no other can start"
        await asyncio.gather(*(each.park(until=env.after(1), seen=0) for each in held))
        assert await idle(env)
        env.clock.advance(2)
        jobs = await env.claim(3, names=["flow@1"])
        assert {job.run_id for job in jobs} == {each.id for each in held}
        again = [Driven(env, RunID(str(job.run_id)), job, env.worker, env.store) for job in jobs]
        await asyncio.gather(*(each.finish() for each in again))
        done |= {each.id for each in again}
