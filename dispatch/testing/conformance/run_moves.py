"""Runs that were moved to another store go on there: waits, sleeps, children, compensation, fences."""

from __future__ import annotations

from dispatch.entity import Reply
from dispatch.events import Event
from dispatch.ids import JobID, RunID
from dispatch.jobs.model import JobState, Unique, Verdict
from dispatch.scope import Scope
from dispatch.testing.conformance.dumps import dump_of, elsewhere, moved
from dispatch.testing.conformance.env import BOOM, Env
from dispatch.testing.conformance.flows import (
    Driven,
    begin,
    drive,
    idle,
    journal,
    new_run,
    results,
    run_of,
    state,
    step,
    with_job,
    with_run,
)
from dispatch.testing.conformance.registry import case
from dispatch.transfer import KINDS
from dispatch.workflows.model import Group, NewCheckpoint, RunState

_A = Scope("shop", "a")


def _here(env: Env, held: Driven) -> Driven:
    """The same claim, at the store that the run was moved to."""
    return Driven(env, held.id, held.driver, held.worker, env.store)


@case("I22", "I18")
async def a_run_moved_while_it_waits_is_woken_by_its_event_and_no_other(env: Env) -> None:
    other = await elsewhere(env)
    held = await begin(other, scope=_A)
    await held.record(step("charge", b"1"))
    assert (await held.wait("paid", "paid", key="7")).event is None
    assert await held.park() is Reply.APPLIED
    await moved(env, other)
    assert await idle(env)
    await env.store.events.publish(Event("paid", key="7", scope=Scope("shop", "b")))
    await env.store.events.publish(Event("paid", key="8", scope=_A))
    assert await idle(env)
    event = await env.store.events.publish(Event("paid", b"now", key="7", scope=_A))
    held = await drive(env, held.id)
    assert [(c.name, c.data) for c in (await held.load()).checkpoints] == [("charge", b"1")]
    found = (await held.wait("paid", "paid", key="7")).event
    assert found is not None
    assert (found.id, found.payload) == (event.id, b"now")
    await held.record(NewCheckpoint("paid", "wait", found.payload, event_id=found.id))
    assert [c.position for c in await journal(env, held.id)] == [1, 2]
    assert (await held.finish(result=b"2")).state is RunState.COMPLETED
    assert await env.store.workflows.waits(held.id) == []


@case("I22")
async def signals_that_were_consumed_before_a_move_are_not_delivered_again(env: Env) -> None:
    other = await elsewhere(env)
    held = await begin(other)
    for payload in (b"1", b"2"):
        await other.store.events.publish(Event("go", payload, run_id=held.id))
        env.clock.advance(1)
    first = (await held.wait("w1", "go")).event
    assert first is not None
    await held.record(NewCheckpoint("w1", "wait", event_id=first.id))
    broadcast = await other.store.events.publish(Event("all"))
    assert (await held.wait("w2", "all")).event == broadcast
    await held.record(NewCheckpoint("w2", "wait", event_id=broadcast.id))
    await moved(env, other)
    held = _here(env, held)
    second = (await held.wait("w3", "go")).event
    assert second is not None
    assert second.payload == b"2"
    await held.record(NewCheckpoint("w3", "wait", event_id=second.id))
    assert (await held.wait("w4", "go", "all")).event is None
    env.clock.advance(1000)
    await env.store.events.prune(older_than=500)
    assert await env.store.events.get(broadcast.id) is None


@case("I21")
async def a_sleeping_run_that_was_moved_wakes_at_its_time(env: Env) -> None:
    other = await elsewhere(env)
    held = await begin(other)
    await held.wait("paid", timeout=60.0)
    assert await held.park(until=env.after(60)) is Reply.APPLIED
    await moved(env, other)
    env.clock.advance(59)
    assert await idle(env)
    env.clock.advance(1)
    held = await drive(env, held.id)
    timed_out = await held.wait("paid", timeout=60.0)
    assert timed_out.checkpoint is not None, "the deadline did not restart"
    assert timed_out.checkpoint.event_id is None


@case("I23")
async def a_moved_parent_is_woken_when_the_last_child_of_a_group_ends(env: Env) -> None:
    other = await elsewhere(env)
    parent = await begin(other)
    first, second = await with_run(parent, "one"), await with_run(parent, "two")
    job = await with_job(parent, "three")
    await (await drive(other, first)).finish(result=b"1")
    assert await parent.park(Group(("one", "two", "three"), "all")) is Reply.APPLIED
    await moved(env, other)
    assert await idle(env, "flow@1")
    child = await drive(env, second)
    await child.finish(result=b"2")
    assert await idle(env, "flow@1"), "one child is still open"
    taken = await env.take(names=["task"])
    assert (taken.id, taken.run_id, taken.step) == (job, parent.id, "three")
    await env.finish(taken, Verdict.COMPLETE, result=b"3")
    parent = await drive(env, parent.id)
    found = await results(env, parent.id)
    assert {name: result.result for name, result in found.items()} == {"one": b"1", "two": b"2", "three": b"3"}


@case("I23")
async def a_moved_parent_hears_of_the_first_of_any_and_of_a_failure(env: Env) -> None:
    for mode, end in (("any", "completed"), ("all_or_failure", "failed")):
        other = await elsewhere(env)
        name = f"parent-{mode}"
        parent = await begin(other, name=name)
        first = await with_run(parent, "one")
        await with_run(parent, "two", delay=900.0)
        assert await parent.park(Group(("one", "two"), mode)) is Reply.APPLIED  # type: ignore[arg-type]
        await moved(env, other)
        assert await idle(env, f"{name}@1")
        await (await drive(env, first)).finish(end, failure=BOOM if end == "failed" else None)
        await drive(env, parent.id)


@case("I23")
async def what_ends_with_its_parent_does_so_wherever_it_was_moved_and_in_whatever_order(env: Env) -> None:
    other = await elsewhere(env)
    parent = await begin(other, run=new_run(id=RunID("run_7zzzzzzzzzzzzzzzzzzzzzzzzz")))
    child, stays = await with_run(parent, "one"), await with_run(parent, "two", abandon=True)
    job = await with_job(parent, "three")
    await moved(env, other)
    assert child < parent.id, "the child was loaded before its parent"
    await _here(env, parent).finish("cancelled")
    assert await state(env, child) is RunState.COMPENSATING
    assert await state(env, stays) is RunState.PENDING
    assert (await env.job(job)).state is JobState.CANCELLED


@case("I4", "I19", "I20")
async def a_moved_claim_of_a_driver_goes_on_under_its_fence_or_is_stolen(env: Env) -> None:
    other = await elsewhere(env)
    held = await begin(other, unique=Unique("u"))
    await held.record(step("a"))
    lost = await begin(other, name="lost")
    await moved(env, other)
    stale = Driven(env, held.id, held.driver, env.other, env.store)
    assert (await stale.record(step("b"))).reply is Reply.STALE
    held = _here(env, held)
    assert (await held.record(step("a", b"again"), step("b"))).checkpoints[0].data == b"1"
    twin = await env.store.workflows.create([new_run(unique=Unique("u"))])
    assert [(answer.id, answer.created) for answer in twin] == [(held.id, False)]
    assert (await held.finish()).reply is Reply.APPLIED
    env.clock.advance(31)
    assert [stolen.job.id for stolen in await env.steal()] == [lost.driver.id]
    await drive(env, lost.id)


@case("I24", "I25")
async def blocked_compensating_and_ended_runs_go_on_where_they_were_moved_to(env: Env) -> None:
    other = await elsewhere(env)
    blocked = await begin(other, name="blocked")
    await blocked.block()
    undoing = await begin(other, name="undoing")
    await undoing.record(step("a"))
    await undoing.compensate(failure=BOOM)
    await undoing.park()
    failed = await begin(other, name="failed")
    await failed.record(step("a"))
    letter = (await failed.finish("failed", failure=BOOM)).dead_letter
    assert letter is not None
    half = await begin(other, name="half")
    await half.compensate(failure=BOOM)
    await half.undoing()
    await half.finish("failed", failure=BOOM, compensation_failed=True)
    await moved(env, other)
    workflows = env.store.workflows
    assert (await run_of(env, blocked.id)).reason == "charge is a sleep now"
    assert await env.register(names=["blocked@1"]) == 1
    assert (await drive(env, blocked.id)).id == blocked.id
    assert await idle(env, "undoing@1")
    assert (await workflows.cancel(undoing.id)).reply is Reply.CONFLICT
    assert (await workflows.retry(failed.id)).reply is Reply.APPLIED
    assert (await env.letter(letter)).state == "retried"
    again = await drive(env, failed.id)
    assert [c.name for c in (await again.load()).checkpoints] == ["a"]
    assert (await workflows.retry(half.id)).state is RunState.COMPENSATING


@case()
async def loaded_runs_grow_old_in_the_order_of_their_ends(env: Env) -> None:
    other = await elsewhere(env)
    early, late = await begin(other), await begin(other, name="late")
    kept = await begin(other, name="parent")
    child = await with_run(kept, "one")
    for held in (late, await drive(other, child), early):
        env.clock.advance(1)
        await held.finish()
    await moved(env, other)
    prune = env.store.workflows.prune
    env.clock.advance(10)
    assert await prune(completed=11.5, failed=None, cancelled=None, limit=9) == 1
    assert await env.store.workflows.get(late.id) is None
    assert await prune(completed=5, failed=None, cancelled=None, limit=9) == 1, "the parent of one is unfinished"
    assert await env.store.workflows.get(child) is not None
    assert await env.store.jobs.prune(completed=0, failed=0, cancelled=0, limit=9) == 0
    dump = await dump_of(env.store)
    assert {document["id"] for document in dump["runs"]} == {kept.id, child}
    assert {JobID(document["id"]) for document in dump["jobs"]} == {kept.driver.id, (await run_of(env, child)).driver}


@case("I18")
async def a_run_is_there_with_its_journal_before_its_driver_can_be_claimed(env: Env) -> None:
    other = await elsewhere(env)
    held = await begin(other)
    await held.record(step("a"))
    await held.leave(Verdict.RELEASE)
    dump = await dump_of(other.store)
    for kind in KINDS[: KINDS.index("jobs")]:
        await env.store.transfer.load(kind, dump[kind])
    assert [c.name for c in await journal(env, held.id)] == ["a"]
    assert await idle(env)
    await env.store.transfer.load("jobs", dump["jobs"])
    assert (await drive(env, held.id)).id == held.id
