"""Parents and children whose lives end at different times: who is cancelled, who goes on, who is pruned."""

from __future__ import annotations

from typing import Any

from dispatch.entity import Reply
from dispatch.jobs.model import JobState, Verdict
from dispatch.testing.conformance.env import Env
from dispatch.testing.conformance.flows import begin, drive, results, run_of, state, with_job, with_run
from dispatch.testing.conformance.registry import case
from dispatch.workflows.model import RunState


@case("I23")
async def the_end_of_a_parent_asks_for_the_end_of_what_it_awaits(env: Env) -> None:
    held = await begin(env)
    waiting_job, running_job = await with_job(held, "wj"), await with_job(held, "rj", priority=5)
    assert (await env.take(names=["task"])).id == running_job
    running = await drive(env, await with_run(held, "rr"))
    waiting = await with_run(held, "wr")
    spawned = await with_run(held, "s", awaited=False)
    abandoned = await with_run(held, "x", abandon=True)
    await held.finish()
    assert (await env.job(waiting_job)).state is JobState.CANCELLED
    job = await env.job(running_job)
    assert (job.state, job.cancel_requested) == (JobState.RUNNING, True)
    assert (await running.load()).cancel_requested
    assert await state(env, waiting) is RunState.COMPENSATING
    assert await state(env, spawned) is RunState.PENDING
    assert await state(env, abandoned) is RunState.PENDING
    assert (await run_of(env, waiting)).reason == "parent_ended"


@case("I23")
async def a_parent_that_failed_takes_spawned_children_along_but_no_abandoned_ones(env: Env) -> None:
    for end in ("failed", "cancelled"):
        held = await begin(env)
        spawned = await with_run(held, "s", awaited=False)
        abandoned = await with_run(held, "x", abandon=True)
        both = await with_run(held, "y", awaited=False, abandon=True)
        await held.finish(end)
        assert await state(env, spawned) is RunState.COMPENSATING
        assert await state(env, abandoned) is RunState.PENDING
        assert await state(env, both) is RunState.PENDING
        for run_id in (spawned, abandoned, both):
            await (await drive(env, run_id)).finish("cancelled")


@case("I23")
async def a_child_outlives_its_parent_and_its_pruning(env: Env) -> None:
    held = await begin(env)
    child = await with_run(held, "x", abandon=True)
    await held.finish()
    env.clock.advance(10)
    assert await env.store.workflows.prune(completed=5, failed=5, cancelled=5, limit=10) == 1
    driven = await drive(env, child)
    assert (await driven.finish(result=b"1")).reply is Reply.APPLIED
    assert await state(env, child) is RunState.COMPLETED


@case("I23")
async def nothing_with_a_live_parent_is_pruned(env: Env) -> None:
    held = await begin(env)
    await with_job(held, "j")
    child = await drive(env, await with_run(held, "r"))
    await child.finish()
    await env.finish(await env.take(names=["task"]), Verdict.COMPLETE)
    plain = await env.start()
    await env.finish(plain, Verdict.COMPLETE)
    env.clock.advance(100)
    ages: dict[str, Any] = {"completed": 5.0, "failed": 5.0, "cancelled": 5.0}
    assert await env.store.workflows.prune(**ages, limit=10, dry_run=True) == 0
    assert await env.store.workflows.prune(**ages, limit=10) == 0
    assert await env.store.jobs.prune(**ages, limit=10, dry_run=True) == 1
    assert await env.store.jobs.prune(**ages, limit=10) == 1
    assert set(await results(env, held.id)) == {"j", "r"}
    await held.finish()
    env.clock.advance(100)
    assert await env.store.workflows.prune(**ages, limit=10) == 2
    assert await env.store.jobs.prune(**ages, limit=10) == 1
    assert await env.jobs() == []
