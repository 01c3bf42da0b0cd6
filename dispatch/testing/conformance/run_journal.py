"""The journal of a run: written once, fenced, in order, with what its checkpoints bring."""

from __future__ import annotations

import asyncio
from dataclasses import replace

from dispatch.entity import Reply
from dispatch.errors import DataRejected
from dispatch.ids import JobID
from dispatch.jobs.model import Unique, Verdict
from dispatch.testing.conformance.env import BOOM, Env, new, raises
from dispatch.testing.conformance.flows import begin, drive, journal, new_run, run_of, step, with_job, with_run
from dispatch.testing.conformance.registry import case
from dispatch.workflows.model import NewCheckpoint, Record, RunState


@case("I18")
async def a_checkpoint_is_written_once_and_who_comes_later_gets_it(env: Env) -> None:
    held = await begin(env)
    first = await held.record(step("charge", b"1", attempt=2, started_at=env.after(-3)))
    assert first.reply is Reply.APPLIED
    (written,) = first.checkpoints
    assert (written.run_id, written.name, written.kind, written.data) == (held.id, "charge", "step", b"1")
    assert (written.attempt, written.worker_id, written.position) == (2, env.worker, 1)
    assert (written.started_at, written.created_at) == (env.after(-3), env.clock.now())
    assert (written.event_id, written.inherited) == (None, False)
    env.clock.advance(5)
    second = await held.record(step("charge", b"2"), step("ship", b"3"))
    assert [c.data for c in second.checkpoints] == [b"1", b"3"]
    assert second.checkpoints[0] == written
    third = await held.record(step("x", b"a"), step("x", b"b"))
    assert [c.data for c in third.checkpoints] == [b"a", b"a"]
    assert [(c.name, c.position) for c in await journal(env, held.id)] == [("charge", 1), ("ship", 2), ("x", 3)]
    assert (await held.load()).checkpoints == list(await journal(env, held.id))


@case("I18", "I20")
async def every_later_activation_sees_what_was_recorded(env: Env) -> None:
    held = await begin(env)
    await held.record(step("a", b'{"n":[ ]}\xff'), step("nothing", b""))
    await env.crash(held.driver)
    again = await drive(env, held.id, by=env.other)
    assert [(c.name, c.data) for c in (await again.load()).checkpoints] == [("a", b'{"n":[ ]}\xff'), ("nothing", b"")]


@case("I4", "I19")
async def a_stale_driver_writes_nothing(env: Env) -> None:
    held = await begin(env)
    task = new("task")
    bringing = step("a", jobs=(task,), runs=(new_run("child", parent=held.id, step="a"),))
    await held.leave(Verdict.RELEASE)
    fresh = await drive(env, held.id, by=env.other)
    assert fresh.epoch > held.epoch
    for stale in (
        held,
        replace(held, worker=env.other),
        replace(fresh, worker=env.worker),
        replace(fresh, driver=replace(fresh.driver, epoch=fresh.epoch + 1)),
    ):
        async with env.unchanged("a stale driver"):
            answer = await stale.record(bringing)
            assert (answer.reply, answer.checkpoints) == (Reply.STALE, [])
            assert (await stale.wait("paid", timeout=0)).reply is Reply.STALE
            assert await stale.park(seen=0) is Reply.STALE
            assert await stale.compensate() is Reply.STALE
            assert await stale.undoing() is Reply.STALE
            assert await stale.block() is Reply.STALE
            assert (await stale.finish(then=(new("hook"),))).reply is Reply.STALE
    assert await journal(env, held.id) == []
    assert await env.store.workflows.waits(held.id) == []
    run = await run_of(env, held.id)
    assert (run.state, run.compensated, run.wake_seq) == (RunState.RUNNING, False, 0)


@case("I19")
async def a_driver_writes_for_its_own_run_only(env: Env) -> None:
    one, two = await begin(env), await begin(env)
    answer = await replace(one, id=two.id).record(step())
    assert answer.reply is Reply.STALE
    job = await env.start()
    (nobody,) = await env.store.workflows.record(env.worker, [Record(one.id, job.id, job.epoch, [step()])])
    assert nobody.reply is Reply.STALE
    (unknown,) = await env.store.workflows.record(env.worker, [Record(one.id, JobID.new(), 1, [step()])])
    assert unknown.reply is Reply.STALE
    assert await journal(env, two.id) == []


@case("I18")
async def many_runs_record_in_one_transaction(env: Env) -> None:
    runs = [await begin(env) for _ in range(20)]
    await runs[3].leave(Verdict.RELEASE)
    said = [Record(**held.fence, checkpoints=[step("a"), step("b", str(i).encode())]) for i, held in enumerate(runs)]
    answers = await env.store.workflows.record(env.worker, said)
    assert [a.reply for a in answers] == [Reply.STALE if i == 3 else Reply.APPLIED for i in range(20)]
    for i, (held, answer) in enumerate(zip(runs, answers, strict=True)):
        assert [c.data for c in answer.checkpoints] == ([] if i == 3 else [b"1", str(i).encode()])
        assert [c.position for c in await journal(env, held.id)] == ([] if i == 3 else [1, 2])


@case()
async def a_batch_with_a_row_that_cannot_be_stored_writes_nothing(env: Env) -> None:
    one, two = await begin(env), await begin(env)
    bad = step("a", jobs=(new("task\ud800"),))
    with raises(DataRejected):
        await env.store.workflows.record(
            env.worker, [Record(**one.fence, checkpoints=[step()]), Record(**two.fence, checkpoints=[bad])]
        )
    with raises(DataRejected):
        await one.record(step("ok"), step("\ud800"))
    assert await journal(env, one.id) == await journal(env, two.id) == []


@case("I1", "I23")
async def what_a_checkpoint_brings_is_made_with_it_and_only_then(env: Env) -> None:
    held = await begin(env)
    task, child = new("task"), new_run("child", parent=held.id, step="c", payload=b"7")
    await held.record(NewCheckpoint("c", "child", jobs=(task,), runs=(child,)))
    assert (await env.job(task.id)).name == "task"
    made = await run_of(env, child.id)
    assert (made.parent, made.step, made.input, made.state) == (held.id, "c", b"7", RunState.PENDING)
    late = new("late")
    await held.record(NewCheckpoint("c", "child", jobs=(late,), runs=(new_run("child", parent=held.id, step="c"),)))
    assert await env.store.jobs.get(late.id) is None
    assert sum((await env.store.workflows.count(names=["child"])).values()) == 1


@case()
async def a_unique_conflict_drops_what_a_checkpoint_brings(env: Env) -> None:
    held = await begin(env)
    holder = await env.add(unique=Unique("k", "raise"))
    await begin(env, name="other", unique=Unique("r", "raise"))
    dropped = new(unique=Unique("k", "raise"))
    child = new_run("child", parent=held.id, step="c", unique=Unique("r", "raise"))
    answer = await held.record(NewCheckpoint("c", "child", jobs=(dropped,), runs=(child,)))
    assert (answer.reply, len(answer.checkpoints)) == (Reply.APPLIED, 1)
    assert await env.store.jobs.get(dropped.id) is None
    assert await env.store.workflows.get(child.id) is None
    assert (await env.job(holder)).name == "work"


@case("I10")
async def progress_resets_failures_and_crashes(env: Env) -> None:
    held = await begin(env)
    await held.leave(Verdict.RETRY, failure=BOOM)
    held = await drive(env, held.id)
    await env.crash(held.driver)
    held = await drive(env, held.id)
    assert (held.driver.failures, held.driver.crashes) == (1, 1)
    await held.record(step("a"))
    job = await env.job(held.driver.id)
    assert (job.failures, job.crashes) == (0, 0)
    await held.leave(Verdict.RETRY, failure=BOOM)
    held = await drive(env, held.id)
    await held.record(step("a"))
    assert (await env.job(held.driver.id)).failures == 1, "a checkpoint that was there already is no progress"


@case("I18")
async def two_clients_record_the_same_name_and_one_wins(env: Env) -> None:
    sibling = await env.sibling()
    held = await begin(env)
    for number in range(6):
        answers = await asyncio.gather(
            *(
                replace(held, store=store).record(step(f"s{number}", data))
                for store, data in ((env.store, b"1"), (sibling, b"2"), (env.store, b"3"), (sibling, b"4"))
            )
        )
        won = {answer.checkpoints[0].data for answer in answers}
        assert len(won) == 1
        assert (await journal(env, held.id))[number].data in won
    assert [c.position for c in await journal(env, held.id)] == [1, 2, 3, 4, 5, 6]


@case("I18")
async def children_and_steps_share_one_journal(env: Env) -> None:
    held = await begin(env)
    await held.record(step("a"))
    await with_job(held, "b")
    await with_run(held, "c")
    assert [(c.name, c.kind) for c in await journal(env, held.id)] == [("a", "step"), ("b", "child"), ("c", "child")]


@case("I18")
async def a_checkpoint_that_brings_work_wakes_whoever_waits(env: Env) -> None:
    held = await begin(env)
    seen = env.store.wakeups.version
    waiter = asyncio.ensure_future(env.store.wakeups.wait(seen, timeout=20.0))
    await with_job(held, "work")
    assert await waiter != seen
