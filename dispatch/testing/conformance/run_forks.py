"""Forks: a new run that starts from copies of what another recorded before some step."""

from __future__ import annotations

from dispatch.entity import Reply
from dispatch.errors import DuplicateJob
from dispatch.events import Event
from dispatch.ids import RunID
from dispatch.jobs.model import Unique, Verdict
from dispatch.scope import Scope
from dispatch.testing.conformance.env import Env, raises
from dispatch.testing.conformance.flows import (
    begin,
    drive,
    journal,
    new_run,
    results,
    run_of,
    step,
    with_job,
    with_run,
)
from dispatch.testing.conformance.registry import case
from dispatch.workflows.model import NewCheckpoint, RunState

A, B = Scope("shop", "a"), Scope("shop", "b")


@case("I18", "I24")
async def a_fork_copies_what_was_recorded_before_a_step(env: Env) -> None:
    held = await begin(env)
    await held.record(step("a", b"1", attempt=3, started_at=env.after(-2)), step("b", b"2"), step("c", b"3"))
    original = await journal(env, held.id)
    env.clock.advance(10)
    new = new_run(payload=b"new")
    answer = await env.store.workflows.fork(held.id, before="c", run=new, edits={"b": b"20"})
    assert answer is not None
    assert (answer.id, answer.created) == (new.id, True)
    run = await run_of(env, new.id)
    assert (run.forked_from, run.state, run.input) == (held.id, RunState.PENDING, b"new")
    copies = await journal(env, new.id)
    assert [(c.name, c.data, c.position, c.inherited) for c in copies] == [("a", b"1", 1, True), ("b", b"20", 2, True)]
    assert (copies[0].attempt, copies[0].started_at, copies[0].created_at) == (
        3,
        original[0].started_at,
        original[0].created_at,
    )
    assert {c.id for c in copies}.isdisjoint(c.id for c in original)
    assert await journal(env, held.id) == original
    fork = await drive(env, new.id)
    recorded = await fork.record(step("b", b"x"), step("c", b"4"))
    assert [(c.data, c.position, c.inherited) for c in recorded.checkpoints] == [(b"20", 2, True), (b"4", 3, False)]


@case("I18", "I24")
async def a_fork_behind_all_that_is_recorded_leaves_the_undos_out(env: Env) -> None:
    held = await begin(env, scope=A)
    await held.record(step("a", b"1"), step("b", b"2"))
    await held.compensate()
    await held.undoing()
    await held.record(step("a~undo", b"null", kind="undo"))
    await held.finish("failed")
    fork = env.store.workflows.fork
    assert await fork(held.id, before=None, run=new_run(), edits={}, scope=B) is None
    assert await fork(RunID.new(), before=None, run=new_run(), edits={}) is None
    made = await fork(held.id, before=None, run=new_run(), edits={"b": b"3"}, scope=A)
    assert made is not None
    copies = [(c.name, c.data, c.position, c.inherited) for c in await journal(env, made.id)]
    assert copies == [("a", b"1", 1, True), ("b", b"3", 2, True)]
    empty = await begin(env, name="empty")
    made = await fork(empty.id, before=None, run=new_run(), edits={})
    assert made is not None
    assert await journal(env, made.id) == []


@case("I31")
async def a_fork_of_what_is_not_there_is_none(env: Env) -> None:
    held = await begin(env, scope=A)
    await held.record(step("a"))
    fork = env.store.workflows.fork
    assert await fork(RunID.new(), before="a", run=new_run(), edits={}) is None
    assert await fork(held.id, before="b", run=new_run(), edits={}) is None
    assert await fork(held.id, before="a", run=new_run(), edits={}, scope=B) is None
    assert sum((await env.store.workflows.count()).values()) == 1
    made = await fork(held.id, before="a", run=new_run(), edits={}, scope=A)
    assert made is not None
    assert await journal(env, made.id) == []


@case("I2")
async def the_same_fork_again_changes_nothing(env: Env) -> None:
    held = await begin(env)
    await held.record(step("a"), step("b"))
    new = new_run()
    await env.store.workflows.fork(held.id, before="b", run=new, edits={})
    again = await env.store.workflows.fork(held.id, before="b", run=new, edits={"a": b"9"})
    assert again is not None
    assert (again.id, again.created) == (new.id, False)
    assert [c.data for c in await journal(env, new.id)] == [b"1"]
    with raises(DuplicateJob):
        await begin(env, name="other", unique=Unique("k"))
        await env.store.workflows.fork(held.id, before="b", run=new_run(unique=Unique("k", "raise")), edits={})


@case("I23")
async def a_fork_takes_children_with_their_results_and_leaves_open_ones_out(env: Env) -> None:
    held = await begin(env)
    done = await with_job(held, "done")
    await with_job(held, "open")
    child = await with_run(held, "ran")
    await with_run(held, "runs")
    spawned = await with_run(held, "spawned", awaited=False)
    await held.record(step("last"))
    await env.finish(await env.take(names=["task"]), Verdict.COMPLETE, result=b"7")
    await (await drive(env, child)).finish(result=b"8")
    new = new_run()
    await env.store.workflows.fork(held.id, before="last", run=new, edits={})
    assert [c.name for c in await journal(env, new.id)] == ["done", "ran", "spawned"]
    copied = await results(env, new.id)
    assert {step: (r.run_id, r.child, r.result) for step, r in copied.items()} == {
        "done": (new.id, done, b"7"),
        "ran": (new.id, child, b"8"),
    }
    await env.finish(await env.take(names=["task"]), Verdict.COMPLETE, result=b"9")
    assert set(await results(env, held.id)) == {"done", "open", "ran"}
    assert set(await results(env, new.id)) == {"done", "ran"}
    assert spawned


@case("I22")
async def a_fork_does_not_consume_again_what_it_inherited(env: Env) -> None:
    start = env.clock.now()
    held = await begin(env)
    event = await env.store.events.publish(Event("paid"))
    await held.record(NewCheckpoint("w", "wait", event_id=event.id), step("a"))
    new = new_run()
    await env.store.workflows.fork(held.id, before="a", run=new, edits={})
    fork = await drive(env, new.id)
    assert (await fork.wait("w2", "paid", since=start)).event is None
    assert await fork.park() is Reply.APPLIED
