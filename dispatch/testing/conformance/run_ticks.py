"""Cron entries of workflows: a tick makes one run with its driver."""

from __future__ import annotations

from typing import Any

from dispatch.crons.model import CronEntry, NewTick
from dispatch.entity import Reply
from dispatch.jobs.model import Unique
from dispatch.scope import Scope
from dispatch.testing.conformance.crons import entry_of, fired, made
from dispatch.testing.conformance.env import Env
from dispatch.testing.conformance.flows import Driven, new_run
from dispatch.testing.conformance.registry import case
from dispatch.workflows.model import ListOptions, driver_name


def run_tick(env: Env, entry: CronEntry, *, at: float = 0.0, on_conflict: Any = None) -> NewTick:
    """A tick of a workflow's entry."""
    moment = env.after(at)
    unique = None if on_conflict is None else Unique(f"cron:{entry.id}", on_conflict=on_conflict)
    spec = entry.spec
    run = new_run(spec.target, spec.version or 1, scheduled_at=moment, scope=spec.scope, unique=unique)
    return NewTick(moment, "fired", run=run)


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
