"""Cron entries of workflows: a tick makes one run with its driver."""

from __future__ import annotations

from typing import Any

from dispatch.crons.model import NEWER_TICK, CronEntry, NewTick, Tick
from dispatch.entity import Reply
from dispatch.jobs.model import Job, Unique, Verdict
from dispatch.scope import Scope
from dispatch.testing.conformance.crons import entry_of, fired, made, tick
from dispatch.testing.conformance.dumps import elsewhere, moved
from dispatch.testing.conformance.env import Env
from dispatch.testing.conformance.flows import Driven, drive, new_run
from dispatch.testing.conformance.registry import case
from dispatch.workflows.model import ListOptions, driver_name


def run_tick(
    env: Env, entry: CronEntry, *, at: float = 0.0, on_conflict: Any = None, cancel_old: bool = False
) -> NewTick:
    """A tick of a workflow's entry."""
    moment = env.after(at)
    unique = None if on_conflict is None else Unique(f"cron:{entry.id}", on_conflict=on_conflict)
    spec = entry.spec
    run = new_run(spec.target, spec.version or 1, scheduled_at=moment, scope=spec.scope, unique=unique)
    return NewTick(moment, "fired", run=run, cancel_old=cancel_old)


async def ticked(env: Env, *, cancel_old: bool = False) -> Tick:
    """The next tick of the only entry, whose run lines up behind the one before."""
    entry = await entry_of(env)
    env.clock.advance(1)
    (written,) = (
        await fired(env, entry, run_tick(env, entry, on_conflict="replace", cancel_old=cancel_old), then=0.0)
    ).ticks
    return written


async def waiting_drivers(env: Env) -> list[Job]:
    """What can be claimed of the workflow's versions and of its job."""
    return await env.claim(5, names=["flow", driver_name("flow", 1), driver_name("flow", 2)])


async def begun(env: Env, tick: Tick) -> Driven:
    """The run of a tick, claimed."""
    assert tick.run_id is not None
    driver = await env.take(names=[driver_name("flow", 1)])
    assert driver.id == tick.job_id
    return Driven(env, tick.run_id, driver, env.worker, env.store)


@case("I14")
async def a_tick_of_a_workflow_makes_a_run_with_its_driver(env: Env) -> None:
    entry = await made(env, target="flow", kind="workflow", version=2, scope=Scope("shop", "t-42"))
    answer = await fired(env, entry, run_tick(env, entry))
    (written,) = answer.ticks
    assert (answer.reply, written.outcome) == (Reply.APPLIED, "fired")
    assert written.run_id is not None
    run = await env.store.workflows.get(written.run_id)
    assert run is not None
    assert (run.name, run.version, run.state, run.scope) == ("flow", 2, "pending", Scope("shop", "t-42"))
    assert written.job_id == run.driver
    driver = await env.job(run.driver)
    assert (driver.kind, driver.scheduled_at) == ("workflow", written.scheduled_at)
    assert await env.store.crons.history(entry.id) == [written]
    assert (await entry_of(env)).last_fired_at == written.scheduled_at


@case("I14")
async def the_same_fire_twice_makes_one_run(env: Env) -> None:
    entry = await made(env, target="flow", kind="workflow", version=1)
    once = run_tick(env, entry)
    assert (await fired(env, entry, once, then=-1.0)).reply is Reply.APPLIED, "it is due again at once"
    assert (await fired(env, entry, run_tick(env, entry))).reply is Reply.CONFLICT
    env.clock.advance(60)
    again = await fired(env, await entry_of(env), NewTick(once.scheduled_at, "fired", run=run_tick(env, entry).run))
    assert again.reply is Reply.APPLIED
    assert [run.id for run in (await env.store.workflows.list(ListOptions())).items] == [again.ticks[0].run_id]


@case("I15")
async def a_tick_whose_run_is_not_over_is_skipped_under_the_key_of_its_entry(env: Env) -> None:
    entry = await made(env, target="flow", kind="workflow", version=1)
    first = await fired(env, entry, run_tick(env, entry, on_conflict="skip"))
    env.clock.advance(60)
    second = await fired(env, await entry_of(env), run_tick(env, entry, on_conflict="skip"))
    assert [(one.outcome, one.job_id, one.run_id) for one in second.ticks] == [("skipped", None, None)]
    run_id = first.ticks[0].run_id
    assert run_id is not None
    await env.store.workflows.cancel(run_id)
    driver = await env.take(names=[driver_name("flow", 1)])
    driven = Driven(env, run_id, driver, env.worker, env.store)
    await driven.finish("cancelled")
    env.clock.advance(60)
    third = await fired(env, await entry_of(env), run_tick(env, entry, on_conflict="skip"))
    assert [one.outcome for one in third.ticks] == ["fired"]


@case("I15")
async def of_runs_that_queue_behind_one_that_is_not_over_one_waits(env: Env) -> None:
    await made(env, target="flow", kind="workflow", version=1)
    old = await begun(env, await ticked(env))
    assert await old.park(until=env.after(3600)) is Reply.APPLIED, "it sleeps, and is not over"
    found = [await ticked(env) for _ in range(3)]
    assert [one.outcome for one in found] == ["fired", "skipped", "skipped"]
    waiting = found[0]
    assert waiting.job_id is not None
    assert (await env.job(waiting.job_id)).behind == old.driver.id
    assert await waiting_drivers(env) == []
    env.clock.advance(3600)
    await (await drive(env, old.id)).finish()
    young = await begun(env, waiting)
    assert young.driver.behind is None
    assert (await ticked(env)).outcome == "fired", "the next waits behind the one that runs now"


@case("I15")
async def a_run_that_has_not_begun_stands_for_the_next_tick(env: Env) -> None:
    await made(env, target="flow", kind="workflow", version=1)
    first, second = await ticked(env), await ticked(env)
    assert (first.outcome, second.outcome) == ("fired", "skipped")
    assert (await begun(env, first)).driver.payload == b"{}"
    assert await waiting_drivers(env) == []


@case("I15")
async def a_run_that_cancels_the_old_one_waits_for_its_end(env: Env) -> None:
    await made(env, target="flow", kind="workflow", version=1)
    old = await begun(env, await ticked(env, cancel_old=True))
    later = await ticked(env, cancel_old=True)
    assert later.outcome == "fired"
    assert (await old.load()).cancel_requested
    assert await waiting_drivers(env) == []
    assert (await ticked(env, cancel_old=True)).outcome == "skipped", "one waits"
    await old.finish("cancelled", reason=NEWER_TICK)
    young = await begun(env, later)
    await young.finish()
    assert (await ticked(env, cancel_old=True)).outcome == "fired"


@case("I15")
async def a_run_that_cancels_a_sleeping_one_lets_that_compensate_first(env: Env) -> None:
    await made(env, target="flow", kind="workflow", version=1)
    old = await begun(env, await ticked(env, cancel_old=True))
    assert await old.park(until=env.after(3600)) is Reply.APPLIED
    later = await ticked(env, cancel_old=True)
    cancelled = await env.store.workflows.get(old.id)
    assert cancelled is not None
    assert (cancelled.state, cancelled.reason) == ("compensating", NEWER_TICK)
    (driver,) = await waiting_drivers(env)
    assert driver.id == old.driver.id, "the young one waits"
    await Driven(env, old.id, driver, env.worker, env.store).finish("cancelled")
    await begun(env, later)


@case("I15")
async def a_run_that_is_cancelled_while_it_waits_in_line_gives_up_its_place(env: Env) -> None:
    await made(env, target="flow", kind="workflow", version=1)
    old = await begun(env, await ticked(env))
    waiting = await ticked(env)
    assert waiting.run_id is not None
    assert (await env.store.workflows.cancel(waiting.run_id)).state == "compensating"
    following = await ticked(env)
    assert following.outcome == "fired"
    await (await begun(env, waiting)).finish("cancelled")
    assert await waiting_drivers(env) == []
    await old.finish()
    await begun(env, following)


@case("I15")
async def a_run_that_moves_to_another_version_keeps_its_place_in_the_line(env: Env) -> None:
    await made(env, target="flow", kind="workflow", version=1)
    old = await begun(env, await ticked(env))
    waiting = await ticked(env)
    assert waiting.run_id is not None
    assert (await env.store.workflows.migrate(waiting.run_id, version=2)).state == "pending"
    assert await waiting_drivers(env) == []
    await old.finish()
    assert (await env.take(names=[driver_name("flow", 2)])).id == waiting.job_id


@case("I15")
async def jobs_and_runs_of_one_entry_never_take_each_others_place(env: Env) -> None:
    await made(env, target="flow", kind="workflow", version=1)
    old = await begun(env, await ticked(env))
    await old.park(until=env.after(3600))
    at = await entry_of(env)
    env.clock.advance(1)
    as_job = await fired(env, at, tick(env, at, on_conflict="replace", cancel_old=True), then=0.0)
    assert [one.outcome for one in as_job.ticks] == ["fired"]
    assert (await env.job(old.driver.id)).payload == b"{}"
    assert (await ticked(env)).outcome == "skipped", "the job waits in line"
    (driver,) = await waiting_drivers(env)
    await Driven(env, old.id, driver, env.worker, env.store).finish("cancelled")
    (job,) = await waiting_drivers(env)
    assert (job.id, job.kind) == (as_job.ticks[0].job_id, "job")
    run = await ticked(env, cancel_old=True)
    assert run.outcome == "fired"
    assert (await env.job(job.id)).cancel_requested
    await env.finish(job, Verdict.CANCEL)
    await begun(env, run)


@case("I14")
async def a_run_in_line_is_in_line_after_a_copy(env: Env) -> None:
    other = await elsewhere(env)
    await made(other, target="flow", kind="workflow", version=1)
    old = await begun(other, await ticked(other))
    waiting = await ticked(other)
    env.clock.advance(5)
    await moved(env, other)
    assert await waiting_drivers(env) == []
    await Driven(env, old.id, old.driver, other.worker, env.store).finish()
    await begun(env, waiting)
