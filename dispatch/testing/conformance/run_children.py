"""Children of a run, jobs and runs: their ends are written once, the parent resumes once and always."""

from __future__ import annotations

import asyncio
from dataclasses import replace

from dispatch.entity import Reply
from dispatch.ids import JobID, RunID
from dispatch.jobs.model import OnConflict, Transition, Unique, Verdict
from dispatch.testing.conformance.env import BOOM, Env, new
from dispatch.testing.conformance.flows import (
    Driven,
    begin,
    drive,
    idle,
    made,
    new_run,
    results,
    with_job,
    with_run,
)
from dispatch.testing.conformance.registry import case
from dispatch.workflows.model import ChildResult, FinishRun, Group, NewCheckpoint, RunState


@case("I23")
async def the_end_of_a_child_job_is_written_for_its_parent(env: Env) -> None:
    held = await begin(env)
    done, failed = await with_job(held, "a"), await with_job(held, "b")
    job = await env.take(names=["task"])
    await env.finish(job, Verdict.COMPLETE, result=b"[1]")
    other = await env.take(names=["task"])
    await env.finish(other, Verdict.RETRY, failure=BOOM)
    assert set(await results(env, held.id)) == {"a"}, "a retry is no end"
    other = await env.take(names=["task"])
    await env.finish(other, Verdict.FAIL, failure=BOOM, dead_letter=True)
    assert await results(env, held.id) == {
        "a": ChildResult(held.id, "a", done, "completed", b"[1]"),
        "b": ChildResult(held.id, "b", failed, "failed", None, BOOM),
    }
    assert (await held.load()).children == await results(env, held.id)
    assert (await held.run()).wake_seq == 2


@case("I23")
async def where_a_key_is_taken_the_checkpoint_tells_who_has_it(env: Env) -> None:
    await env.register(names=["task"])
    held = await begin(env)
    first = new("task", unique=Unique("k"))
    await env.enqueue(first)
    rules: dict[str, OnConflict] = {"returned": "return", "raised": "raise"}
    for name, rule in rules.items():
        job = new("task", unique=Unique("k", rule))
        checkpoint = NewCheckpoint(name, "value", b'{"job":"%s"}' % job.id.encode(), jobs=(job,))
        (written,) = (await held.record(checkpoint)).checkpoints
        assert written.data == b'{"job":"%s"}' % first.id.encode()
    run, other = new_run(unique=Unique("r")), new_run(unique=Unique("r", "raise"))
    data = [b'{"run":"%s"}' % child.id.encode() for child in (run, other)]
    await held.record(NewCheckpoint("made", "child", data[0], runs=(run,)))
    await held.record(NewCheckpoint("found", "child", data[1], runs=(other,)))
    stored = {checkpoint.name: checkpoint.data for checkpoint in (await held.load()).checkpoints}
    assert stored["made"] == stored["found"] == data[0]
    assert stored["raised"] == b'{"job":"%s"}' % first.id.encode()


@case("I23")
async def wherever_a_child_job_ends_its_parent_hears_of_it(env: Env) -> None:
    await env.register(names=["other"])
    held = await begin(env)
    for name in ("cancelled", "flagged", "stolen", "expired", "deleted", "unserved"):
        await with_job(held, name, priority=0, expires_in=5.0 if name == "expired" else None)
    children = {job.step: job for job in await env.jobs() if job.step is not None}
    jobs = env.store.jobs
    await jobs.cancel(children["cancelled"].id)
    assert await jobs.delete(children["deleted"].id) is Reply.APPLIED
    flagged = await env.take(names=["task"])
    assert flagged.step == "flagged"
    await jobs.cancel(flagged.id)
    await env.finish(flagged, Verdict.RETRY, failure=BOOM)
    stolen = await env.take(names=["task"], lease=1.0)
    assert stolen.step == "stolen"
    env.clock.advance(10)
    await env.steal(max_crashes=0)
    claimed = await env.claimed(names=["task"])
    assert [job.step for job in claimed.expired] == ["expired"]
    (unserved,) = claimed.jobs
    assert unserved.step == "unserved"
    await env.finish(unserved, Verdict.RELEASE)
    env.clock.advance(100)
    assert await jobs.set_aside(due_for=10, limit=10) == 1
    assert len(await jobs.bury_unserved(due_for=10, limit=10)) == 1
    found = await results(env, held.id)
    assert {step: result.state for step, result in found.items()} == {
        "cancelled": "cancelled",
        "flagged": "cancelled",
        "stolen": "failed",
        "expired": "cancelled",
        "deleted": "cancelled",
        "unserved": "failed",
    }
    assert {result.child for result in found.values()} == {job.id for job in children.values()}


@case("I23", "I5")
async def a_child_is_written_once_whatever_becomes_of_it_later(env: Env) -> None:
    held = await begin(env)
    await with_job(held, "a")
    job = await env.take(names=["task"])
    answer = await env.finish(job, Verdict.FAIL, failure=BOOM, dead_letter=True)
    before = await results(env, held.id)
    await env.store.jobs.retry(job.id)
    again = await env.take(names=["task"])
    await env.finish(again, Verdict.COMPLETE, result=b"2")
    assert await results(env, held.id) == before
    assert (await held.run()).wake_seq == 1
    assert answer.dead_letter is not None


@case("I23")
async def the_replay_of_a_dead_child_is_no_child(env: Env) -> None:
    held = await begin(env)
    await with_job(held, "a")
    job = await env.take(names=["task"])
    answer = await env.finish(job, Verdict.FAIL, failure=BOOM, dead_letter=True)
    assert answer.dead_letter is not None
    new_id = JobID.new()
    await env.store.dlq.replay(answer.dead_letter, new_id)
    replayed = await env.job(new_id)
    assert (replayed.run_id, replayed.step) == (None, None)


@case("I23")
async def the_end_of_a_child_run_is_written_for_its_parent(env: Env) -> None:
    held = await begin(env)
    child = await drive(env, await with_run(held, "a"))
    await child.finish(result=b"[7]")
    assert await results(env, held.id) == {"a": ChildResult(held.id, "a", child.id, "completed", b"[7]")}
    failing = await drive(env, await with_run(held, "b"))
    await failing.compensate("exhausted", failure=BOOM)
    await failing.finish("failed", reason="exhausted")
    assert (await results(env, held.id))["b"] == ChildResult(held.id, "b", failing.id, "failed", None, BOOM)
    cancelled = await with_run(held, "c")
    await env.store.workflows.cancel(cancelled)
    assert "c" not in await results(env, held.id), "a run that compensates has not ended"
    await (await drive(env, cancelled)).finish("cancelled")
    assert (await results(env, held.id))["c"].state == "cancelled"
    assert (await held.run()).wake_seq == 3


@case("I23")
async def a_spawned_run_writes_nothing_for_its_parent(env: Env) -> None:
    held = await begin(env)
    child = await drive(env, await with_run(held, "a", awaited=False))
    await child.finish(result=b"1")
    assert await results(env, held.id) == {}
    assert (await held.run()).wake_seq == 0


async def _parked_on(env: Env, mode: str, *names: str) -> Driven:
    held = await begin(env)
    for name in names:
        await with_job(held, name)
    assert await held.park(Group(names, mode)) is Reply.APPLIED  # type: ignore[arg-type]
    return held


async def _end_one(env: Env, verdict: Verdict = Verdict.COMPLETE) -> None:
    await env.finish(await env.take(names=["task"]), verdict)


@case("I23")
async def any_wakes_with_the_first_end(env: Env) -> None:
    held = await _parked_on(env, "any", "a", "b", "c")
    assert await idle(env)
    await _end_one(env)
    held = await drive(env, held.id)
    assert await held.park(Group(("a", "b", "c"), "any"), Group(("b", "c"), "all")) is Reply.CONFLICT
    assert await held.park(Group(("b", "c"), "any")) is Reply.APPLIED
    await _end_one(env, Verdict.FAIL)
    await drive(env, held.id)


@case("I23")
async def all_wakes_with_the_last_end_and_once(env: Env) -> None:
    held = await _parked_on(env, "all", "a", "b", "c")
    await _end_one(env)
    await _end_one(env, Verdict.FAIL)
    assert await idle(env)
    assert (await held.run()).state is RunState.WAITING
    await _end_one(env)
    held = await drive(env, held.id)
    assert len((await held.load()).children) == 3
    assert await held.park(Group(("a", "b", "c"), "all")) is Reply.CONFLICT
    assert await idle(env)


@case("I23")
async def all_or_failure_wakes_with_the_first_failure_or_the_last_end(env: Env) -> None:
    held = await _parked_on(env, "all_or_failure", "a", "b", "c")
    await _end_one(env)
    assert await idle(env)
    await _end_one(env, Verdict.FAIL)
    held = await drive(env, held.id)
    assert await held.park(Group(("a", "b", "c"), "all_or_failure")) is Reply.CONFLICT
    assert await held.park(Group(("a", "c"), "all_or_failure")) is Reply.APPLIED
    await _end_one(env)
    await drive(env, held.id)


@case("I23")
async def a_group_counts_what_ended_before_the_park_too(env: Env) -> None:
    held = await begin(env)
    for name in ("a", "b"):
        await with_job(held, name)
    await _end_one(env)
    assert await held.park(Group(("a", "b"), "all")) is Reply.APPLIED
    await _end_one(env)
    await drive(env, held.id)


@case("I23")
async def several_groups_wake_with_the_first_that_is_satisfied(env: Env) -> None:
    held = await begin(env)
    for name in ("a", "b", "c"):
        await with_job(held, name)
    assert await held.park(Group(("b", "c"), "all"), Group(("a", "b"), "all")) is Reply.APPLIED
    await _end_one(env)
    assert await idle(env)
    await _end_one(env)
    held = await drive(env, held.id)
    assert await held.park(Group(("b", "c"), "all")) is Reply.APPLIED
    await _end_one(env)
    await drive(env, held.id)


@case("I23")
async def a_park_forgets_what_an_earlier_one_waited_for(env: Env) -> None:
    held = await _parked_on(env, "any", "a", "b", "c")
    await _end_one(env)
    held = await drive(env, held.id)
    assert await held.park(Group(("b", "c"), "all")) is Reply.APPLIED
    await _end_one(env)
    assert await idle(env)
    await _end_one(env)
    await drive(env, held.id)


@case("I23")
async def an_end_between_look_and_park_keeps_the_parent_awake(env: Env) -> None:
    held = await begin(env)
    await with_job(held, "a")
    await with_job(held, "b")
    seen = (await held.load()).run.wake_seq
    await _end_one(env)
    assert await held.park(Group(("a", "b"), "all"), seen=seen) is Reply.CONFLICT
    assert await held.park(Group(("a", "b"), "all")) is Reply.APPLIED


@case("I23")
async def a_child_that_nobody_waits_for_wakes_nobody(env: Env) -> None:
    held = await begin(env)
    await with_job(held, "a")
    await held.wait("w", "paid")
    assert await held.park() is Reply.APPLIED
    await _end_one(env)
    assert await idle(env)
    assert (await held.run()).wake_seq == 1


@case("I23")
async def parks_and_last_children_at_once_always_resume(env: Env) -> None:
    sibling = await env.sibling()
    for number in range(6):
        held = await begin(env)
        names = (f"a{number}", f"b{number}")
        for name in names:
            await with_job(held, name)
        jobs = await env.claim(2, names=["task"])
        seen = (await held.load()).run.wake_seq
        parked, *_ = await asyncio.gather(
            held.park(Group(names, "all"), seen=seen),
            env.finish(jobs[0], Verdict.COMPLETE, via=sibling),
            env.finish(jobs[1], Verdict.COMPLETE),
        )
        if parked is Reply.CONFLICT:
            assert await held.park(Group(names, "all")) is Reply.CONFLICT
        else:
            held = await drive(env, held.id)
        assert set((await held.load()).children) == set(names)
        await held.finish()


@case("I23")
async def two_last_children_at_once_wake_the_parent_once(env: Env) -> None:
    sibling = await env.sibling()
    for number in range(6):
        held = await begin(env)
        names = (f"a{number}", f"b{number}")
        children = [await drive(env, await with_run(held, name)) for name in names]
        assert await held.park(Group(names, "all")) is Reply.APPLIED
        await asyncio.gather(children[0].finish(via=sibling), children[1].finish())
        held = await drive(env, held.id)
        assert (await held.run()).wake_seq == 2
        await held.finish()


@case("I23")
async def children_of_one_batch_wake_their_parent_once(env: Env) -> None:
    held = await begin(env)
    children = [await drive(env, await with_run(held, name)) for name in ("a", "b")]
    assert await held.park(Group(("a", "b"), "all")) is Reply.APPLIED
    answers = await env.store.workflows.finish(
        env.worker, [FinishRun(**child.fence, state="completed") for child in children]
    )
    assert [answer.reply for answer in answers] == [Reply.APPLIED, Reply.APPLIED]
    await drive(env, held.id)


@case("I4", "I19")
async def a_stale_child_tells_its_parent_nothing(env: Env) -> None:
    held = await begin(env)
    await with_job(held, "a")
    job = await env.take(names=["task"])
    await env.finish(job, Verdict.RELEASE)
    await env.finish(replace(job, epoch=job.epoch), Verdict.COMPLETE, result=b"1")
    child = await drive(env, await with_run(held, "b"))
    await child.leave(Verdict.RELEASE)
    await child.finish(result=b"1")
    assert await results(env, held.id) == {}
    assert (await held.run()).wake_seq == 0


@case("I23")
async def a_repeated_end_of_a_child_wakes_nobody_twice(env: Env) -> None:
    held = await begin(env)
    child = await drive(env, await with_run(held, "a"))
    assert await held.park(Group(("a",), "any")) is Reply.APPLIED
    await child.finish()
    held = await drive(env, held.id)
    assert (await child.finish()).reply is Reply.APPLIED
    assert (await held.run()).wake_seq == 1


@case("I23")
async def a_run_without_its_parent_in_the_store_ends_all_the_same(env: Env) -> None:
    orphan = new_run(parent=RunID.new(), step="a")
    await made(env, orphan)
    assert (await (await drive(env, orphan.id)).finish()).reply is Reply.APPLIED


@case("I18", "I23")
async def a_hundred_children_resume_their_parent(env: Env) -> None:
    held = await begin(env)
    names = tuple(f"c{number:03}" for number in range(100))
    await held.record(*(NewCheckpoint(name, "child", jobs=(new("task", run_id=held.id, step=name),)) for name in names))
    assert await held.park(Group(names, "all")) is Reply.APPLIED
    jobs = await env.claim(100, names=["task"])
    await env.store.jobs.finish(
        env.worker, [Transition(job.id, job.epoch, Verdict.COMPLETE, result=b"1") for job in jobs]
    )
    held = await drive(env, held.id)
    assert tuple((await held.load()).children) == names
