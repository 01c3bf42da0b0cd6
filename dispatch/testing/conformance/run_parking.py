"""Park and wake: a parked run costs no slot, keeps its time over restarts, and nothing that wakes it is lost."""

from __future__ import annotations

from datetime import UTC, datetime

from dispatch.entity import Reply
from dispatch.events import Event
from dispatch.jobs.model import JobState, Verdict
from dispatch.queues import QueueConfig
from dispatch.testing.conformance.env import BOOM, Env
from dispatch.testing.conformance.flows import begin, drive, idle, run_of, step
from dispatch.testing.conformance.registry import case
from dispatch.workflows.model import RunState


@case("I21")
async def a_parked_run_sleeps_until_its_time(env: Env) -> None:
    held = await begin(env)
    until = env.after(3600)
    assert await held.park(until=until) is Reply.APPLIED
    run = await held.run()
    assert (run.state, run.wakes_at) == (RunState.WAITING, until)
    driver = await env.job(held.driver.id)
    assert (driver.state, driver.run_at, driver.worker_id, driver.lease_until) == (
        JobState.PENDING,
        until,
        None,
        None,
    )
    env.clock.advance(3599)
    assert await idle(env)
    assert (await env.claimed(names=["flow@1"])).next_due == until
    env.clock.advance(1)
    again = await drive(env, held.id)
    run = await again.run()
    assert (run.state, run.wakes_at) == (RunState.RUNNING, None)
    assert again.driver.failures == 0


@case("I21")
async def a_run_without_a_time_sleeps_until_it_is_woken(env: Env) -> None:
    held = await begin(env)
    await held.wait("w", "paid")
    assert await held.park() is Reply.APPLIED
    assert (await held.run()).wakes_at is None
    env.clock.advance(10_000_000)
    assert await idle(env)
    assert (await env.claimed(names=["flow@1"])).next_due in (None, datetime(9999, 12, 31, tzinfo=UTC))
    await env.store.events.publish(Event("paid"))
    assert (await drive(env, held.id)).epoch > held.epoch


@case("I28")
async def a_parked_run_holds_no_slot(env: Env) -> None:
    await env.store.queues.configure(QueueConfig("default", max_concurrency=1))
    held = await begin(env)
    second = await env.add("flow@1")
    assert await env.claim(names=["flow@1"]) == []
    assert await held.park() is Reply.APPLIED
    assert [job.id for job in await env.claim(names=["flow@1"])] == [second]


@case("I10")
async def a_park_resets_failures_and_crashes(env: Env) -> None:
    held = await begin(env)
    await held.leave(Verdict.RETRY, failure=BOOM)
    held = await drive(env, held.id)
    await env.crash(held.driver)
    held = await drive(env, held.id)
    assert await held.park(until=env.after(1)) is Reply.APPLIED
    driver = await env.job(held.driver.id)
    assert (driver.state, driver.failures, driver.crashes) == (JobState.PENDING, 0, 0)


@case("I4")
async def a_park_repeated_after_a_lost_reply_is_applied_again(env: Env) -> None:
    held = await begin(env)
    assert await held.park(seen=0, until=env.after(5)) is Reply.APPLIED
    before = await held.run()
    assert await held.park(seen=0, until=env.after(5)) is Reply.APPLIED
    assert await held.run() == before
    env.clock.advance(5)
    await drive(env, held.id)
    assert await held.park(seen=0) is Reply.STALE


@case("I22")
async def a_wake_moves_a_parked_run_but_none_in_error_backoff(env: Env) -> None:
    held = await begin(env)
    await held.wait("w", "paid")
    await held.leave(Verdict.RETRY, failure=BOOM, delay=60)
    await env.store.events.publish(Event("paid"))
    assert (await held.run()).wake_seq == 1
    assert await idle(env)
    env.clock.advance(60)
    assert (await (await drive(env, held.id)).wait("w", "paid")).event is not None


@case("I22")
async def a_wake_while_the_driver_is_due_already_changes_no_order(env: Env) -> None:
    held = await begin(env)
    await held.wait("w", "paid")
    assert await held.park(until=env.after(1)) is Reply.APPLIED
    env.clock.advance(5)
    due = (await env.job(held.driver.id)).run_at
    await env.store.events.publish(Event("paid"))
    assert (await env.job(held.driver.id)).run_at == due
    assert await drive(env, held.id)


@case("I22")
async def a_woken_run_is_woken_by_each_event_it_waits_for_once(env: Env) -> None:
    held = await begin(env)
    await held.wait("a", "paid")
    await held.wait("b", "paid")
    assert await held.park() is Reply.APPLIED
    await env.store.events.publish(Event("paid"))
    assert (await run_of(env, held.id)).wake_seq == 1


@case("I8")
async def a_driver_whose_claim_was_lost_is_free_again(env: Env) -> None:
    held = await begin(env)
    renewed = await env.store.jobs.renew(env.worker, [], lease=30)
    assert renewed.unnamed == [(held.driver.id, held.epoch)]
    assert await env.store.jobs.release(env.worker, renewed.unnamed) == [Reply.APPLIED]
    again = await drive(env, held.id)
    assert (again.driver.failures, again.driver.crashes) == (0, 0)
    await again.record(step())
    renewed = await env.store.jobs.renew(env.worker, [(again.driver.id, again.epoch)], lease=30)
    assert renewed.held == [again.driver.id]
    assert await again.park() is Reply.APPLIED
    renewed = await env.store.jobs.renew(env.worker, [(again.driver.id, again.epoch)], lease=30)
    assert renewed.lost == [again.driver.id]
