"""The feed of runs and cron entries: what each transition tells."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from pydantic_core import from_json, to_json

from dispatch.crons.model import Fire, NewTick
from dispatch.entity import Reply
from dispatch.ids import RunID
from dispatch.jobs.model import Verdict
from dispatch.scope import Scope
from dispatch.testing.conformance.crons import fired, job_for, made, tick
from dispatch.testing.conformance.dumps import elsewhere, moved
from dispatch.testing.conformance.env import BOOM, Env
from dispatch.testing.conformance.feed import listen
from dispatch.testing.conformance.flows import begin, drive, new_run, step, with_run
from dispatch.testing.conformance.flows import made as made_run
from dispatch.testing.conformance.registry import case
from dispatch.workflows.model import NewCheckpoint

_BOOM = {"type": BOOM.type, "message": BOOM.message}


def about(run_id: RunID, name: str = "flow", **more: Any) -> dict[str, Any]:
    """The data of an event about a run."""
    return {"run_id": run_id, "name": name, **more}


@case()
async def a_run_tells_of_its_start_its_steps_and_its_end(env: Env) -> None:
    feed = await listen(env)
    run = await begin(env)
    assert await feed.told() == [("workflow.started", about(run.id))]
    began = env.clock.now()
    env.clock.advance(2)
    await run.record(step("charge", started_at=began), step("nap", kind="sleep"), step("dice", kind="value"))
    assert await feed.told() == [("workflow.step_completed", about(run.id, step_name="charge", elapsed_ms=2000))]
    await run.record(step("charge", started_at=began))
    assert await feed.types() == []
    await run.finish(result=b"1")
    (entry,) = await feed.entries()
    assert (entry.type, from_json(entry.data)) == ("workflow.completed", about(run.id, elapsed_ms=2000))
    assert (entry.id.rpartition(":")[0], entry.at) == (run.id, env.clock.now())
    assert (await run.finish(result=b"1")).reply is Reply.APPLIED
    assert await feed.types() == []


@case()
async def a_run_that_fails_tells_why(env: Env) -> None:
    run = await begin(env)
    feed = await listen(env)
    failure = to_json({"type": "E", "message": "no", "traceback": None})
    await run.record(NewCheckpoint("charge", "failure", failure, started_at=env.clock.now()))
    assert await feed.told() == [
        ("workflow.step_failed", about(run.id, step_name="charge", error={"type": "E", "message": "no"}))
    ]
    await run.record(NewCheckpoint("odd", "failure", b"\xff{", started_at=env.clock.now()))
    (told,) = await feed.told()
    assert told[1]["error"] == {"type": "", "message": ""}
    await run.compensate(failure=BOOM)
    await run.undoing()
    await run.record(NewCheckpoint("charge~undo", "undo"))
    assert await feed.told() == [("workflow.step_completed", about(run.id, step_name="charge~undo"))]
    await run.finish("failed", failure=BOOM, reason="exhausted")
    assert await feed.told() == [("workflow.failed", about(run.id, error=_BOOM, elapsed_ms=0))]


@case()
async def what_happens_between_is_not_told(env: Env) -> None:
    run = await begin(env)
    feed = await listen(env)
    await run.leave(Verdict.RETRY, failure=BOOM)
    again = await drive(env, run.id)
    await again.park(until=env.after(5))
    env.clock.advance(6)
    again = await drive(env, run.id)
    await again.block()
    await env.store.workflows.retry(run.id)
    again = await drive(env, run.id)
    assert (await run.record(step())).reply is Reply.STALE
    assert await feed.types() == []
    await again.finish("failed", failure=BOOM, reason="exhausted")
    await env.store.workflows.retry(run.id)
    once_more = await drive(env, run.id)
    await once_more.finish()
    assert await feed.types() == ["workflow.failed", "workflow.completed"]


@case()
async def a_cancelled_run_tells_so_when_it_has_ended(env: Env) -> None:
    feed = await listen(env)
    (waiting,) = await made_run(env, new_run(scope=Scope("shop", "a")))
    await env.store.workflows.cancel(waiting)
    assert await feed.types() == []
    run = await drive(env, waiting)
    assert await feed.types() == []
    await run.finish("cancelled", reason="cancelled")
    (entry,) = await feed.entries()
    assert (entry.type, entry.tenant) == ("workflow.cancelled", "shop/a")
    data = from_json(entry.data)
    assert (data["scope_app_id"], data["scope_org_id"]) == ("shop", "a")


@case()
async def children_tell_of_themselves(env: Env) -> None:
    feed = await listen(env, "workflow.started", "workflow.completed")
    parent = await begin(env)
    child_id = await with_run(parent, "child")
    child = await drive(env, child_id)
    await child.finish()
    await parent.finish()
    told = [(kind, data["run_id"]) for kind, data in await feed.told()]
    assert told == [
        ("workflow.started", parent.id),
        ("workflow.started", child_id),
        ("workflow.completed", child_id),
        ("workflow.completed", parent.id),
    ]


@case()
async def copies_are_no_steps(env: Env) -> None:
    run = await begin(env)
    await run.record(step("a"), step("b"))
    other = await elsewhere(env)
    there = await begin(other)
    await there.record(step("a"))
    feed = await listen(env)
    await env.store.workflows.fork(run.id, before="b", run=new_run(), edits={})
    await moved(env, other)
    assert await feed.types() == []


@case()
async def a_tick_tells_what_it_made(env: Env) -> None:
    entry = await made(env, scope=Scope("shop", "a"))
    feed = await listen(env, "cron.fired")
    await fired(env, entry, tick(env, entry))
    ((kind, data),) = await feed.told()
    (written,) = await env.store.crons.history(entry.id)
    assert datetime.fromisoformat(data.pop("tick")) == written.scheduled_at
    assert (kind, data) == (
        "cron.fired",
        {"entry_name": "nightly", "job_id": written.job_id, "scope_app_id": "shop", "scope_org_id": "a"},
    )
    await fired(env, entry, tick(env, entry))
    assert await feed.types() == []


@case()
async def a_tick_of_a_run_names_the_run_and_one_that_made_nothing_tells_nothing(env: Env) -> None:
    entry = await made(env)
    feed = await listen(env, "cron.fired")
    run = new_run()
    moment = env.after(0)
    await env.store.crons.fire(
        [Fire(entry.id, entry.revision, entry.next_fire_at, [NewTick(moment, "fired", run=run)], env.after(60))]
    )
    (entry_told,) = await feed.entries()
    data = from_json(entry_told.data)
    assert (data["run_id"], "job_id" in data, entry_told.id.rpartition(":")[0]) == (run.id, False, entry.id)
    skipped = await made(env, "other")
    await fired(env, skipped, NewTick(env.after(0), "skipped"))
    assert await feed.types() == []
    held = await made(env, "third")
    first = NewTick(env.after(0), "fired", job=job_for(held, env.after(0), on_conflict="skip"))
    await env.store.crons.trigger("third", first)
    assert len(await feed.types()) == 1
    later = env.after(1)
    await env.store.crons.trigger("third", NewTick(later, "fired", job=job_for(held, later, on_conflict="skip")))
    assert await feed.types() == []
