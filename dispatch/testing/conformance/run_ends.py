"""How runs end that do not complete: cancelled, expired, lost, compensating, blocked; and how they go on after that."""

from __future__ import annotations

import asyncio

from dispatch.dlq import DLQState
from dispatch.entity import Reply
from dispatch.ids import RunID
from dispatch.jobs.model import Failure, JobState, Unique, Verdict
from dispatch.scope import Scope
from dispatch.testing.conformance.env import BOOM, Env, pairs
from dispatch.testing.conformance.flows import (
    Driven,
    begin,
    drive,
    idle,
    journal,
    made,
    new_run,
    run_of,
    state,
    step,
    with_run,
)
from dispatch.testing.conformance.registry import case
from dispatch.workflows.model import RunState

A, B = Scope("shop", "a"), Scope("shop", "b")


async def _cancel(env: Env, run_id: RunID, **options: object) -> tuple[Reply, RunState | None]:
    answer = await env.store.workflows.cancel(run_id, **options)  # type: ignore[arg-type]
    return answer.reply, answer.state


async def _retry(env: Env, run_id: RunID) -> tuple[Reply, RunState | None]:
    answer = await env.store.workflows.retry(run_id)
    return answer.reply, answer.state


@case("I24", "I31")
async def cancelling_a_waiting_run_makes_it_compensate(env: Env) -> None:
    held = await begin(env, scope=A)
    await held.record(step())
    await held.wait("w", "paid")
    assert await held.park(until=env.after(3600)) is Reply.APPLIED
    assert await _cancel(env, held.id, scope=B) == (Reply.MISSING, None)
    assert await _cancel(env, RunID.new()) == (Reply.MISSING, None)
    assert await _cancel(env, held.id, scope=A, reason="no money") == (Reply.APPLIED, RunState.COMPENSATING)
    assert await _cancel(env, held.id) == (Reply.CONFLICT, RunState.COMPENSATING)
    run = await held.run()
    assert (run.state, run.reason, run.wakes_at, run.finished_at) == (RunState.COMPENSATING, "no money", None, None)
    held = await drive(env, held.id)
    assert not (await held.load()).cancel_requested
    assert (await held.run()).state is RunState.COMPENSATING
    assert (await held.finish("cancelled")).state is RunState.CANCELLED
    assert ((await held.run()).reason, (await env.job(held.driver.id)).state) == ("no money", JobState.CANCELLED)
    assert await _cancel(env, held.id) == (Reply.CONFLICT, RunState.CANCELLED)


@case("I24")
async def cancelling_a_run_before_its_first_claim_compensates_too(env: Env) -> None:
    (run_id,) = await made(env, new_run(delay=1000.0))
    assert await _cancel(env, run_id) == (Reply.APPLIED, RunState.COMPENSATING)
    held = await drive(env, run_id)
    assert (await held.load()).run.state is RunState.COMPENSATING


@case("I24", "I5")
async def cancelling_a_running_run_is_a_request(env: Env) -> None:
    held = await begin(env)
    seen = (await held.load()).run.wake_seq
    assert await _cancel(env, held.id, reason="stop") == (Reply.APPLIED, RunState.RUNNING)
    assert (await held.load()).cancel_requested
    assert await env.store.jobs.cancel_requests(env.worker) == [held.driver.id]
    renewed = await env.store.jobs.renew(env.worker, pairs(held.driver), lease=30)
    assert renewed.cancel_requested == [held.driver.id]
    assert await held.park(seen=seen) is Reply.CONFLICT
    assert await held.compensate("cancelled") is Reply.APPLIED
    assert not (await held.load()).cancel_requested
    assert await env.store.jobs.cancel_requests(env.worker) == []
    assert (await held.run()).state is RunState.COMPENSATING


@case("I24", "I5")
async def every_way_out_of_a_cancelled_activation_leads_to_compensation(env: Env) -> None:
    for way in ("retry", "release", "snooze", "park", "block", "steal", "migrate"):
        held = await begin(env)
        await _cancel(env, held.id, reason="stop")
        match way:
            case "park":
                assert await held.park(until=env.after(3600)) is Reply.APPLIED
            case "block":
                assert await held.block() is Reply.APPLIED
            case "steal":
                await env.crash(held.driver, delays=(3600.0,))
            case "migrate":
                assert (await env.store.workflows.migrate(held.id, version=2)).reply is Reply.APPLIED
            case verdict:
                answer = await held.leave(Verdict(verdict), delay=3600.0)
                assert (answer.reply, answer.state) == (Reply.APPLIED, JobState.PENDING), way
        run = await held.run()
        assert (run.state, run.reason) == (RunState.COMPENSATING, "stop"), way
        again = await drive(env, held.id)
        assert (again.driver.failures, again.driver.crashes) == (0, 0), way
        assert not (await again.load()).cancel_requested, way
        await again.finish("cancelled")


@case("I5")
async def completion_wins_over_a_cancellation_and_failure_does_not(env: Env) -> None:
    held = await begin(env)
    await _cancel(env, held.id)
    assert (await held.finish(result=b"1")).state is RunState.COMPLETED
    other = await begin(env)
    await _cancel(env, other.id, reason="stop")
    answer = await other.finish("failed", failure=BOOM)
    assert (answer.state, answer.dead_letter) == (RunState.CANCELLED, None)
    assert (await other.run()).reason == "stop"
    assert (await other.finish("failed", failure=BOOM)).reply is Reply.APPLIED


@case("I5")
async def cancel_and_finish_at_once_leave_one_end(env: Env) -> None:
    sibling = await env.sibling()
    for _ in range(6):
        held = await begin(env)
        cancelled, finished = await asyncio.gather(sibling.workflows.cancel(held.id), held.finish())
        assert finished.state is RunState.COMPLETED
        assert cancelled.reply in (Reply.APPLIED, Reply.CONFLICT)
        assert await state(env, held.id) is RunState.COMPLETED
        assert await idle(env)


@case("I10", "I24")
async def a_run_that_expired_before_its_start_compensates(env: Env) -> None:
    (run_id,) = await made(env, new_run(expires_in=5.0))
    env.clock.advance(6)
    held = await drive(env, run_id)
    run = await held.run()
    assert (run.state, run.reason) == (RunState.COMPENSATING, "expired")
    started = await begin(env, expires_in=5.0)
    await started.leave(Verdict.RELEASE)
    env.clock.advance(6)
    assert (await (await drive(env, started.id)).run()).state is RunState.RUNNING


@case("I10", "I24")
async def a_driver_that_crashes_too_often_makes_its_run_compensate(env: Env) -> None:
    held = await begin(env)
    stolen = await env.crash(held.driver, max_crashes=1)
    assert (stolen.job.state, stolen.job.crashes, stolen.dead_letter) == (JobState.RETRYING, 1, None)
    held = await drive(env, held.id)
    stolen = await env.crash(held.driver, max_crashes=1, delays=(3600.0,))
    assert (stolen.job.state, stolen.job.crashes, stolen.dead_letter) == (JobState.PENDING, 0, None)
    run = await held.run()
    assert (run.state, run.reason) == (RunState.COMPENSATING, "worker_lost")
    assert run.error is not None
    assert run.error.type == "WorkerLost"
    assert len(await env.store.jobs.attempts(held.driver.id)) == 2
    assert (await (await drive(env, held.id)).run()).state is RunState.COMPENSATING


@case("I10", "I24")
async def a_compensation_that_crashes_too_often_fails_and_goes_on_when_retried(env: Env) -> None:
    parent = await begin(env, lease=1000)
    child = await drive(env, await with_run(parent, "c"))
    await child.compensate("exhausted", failure=BOOM)
    await child.undoing()
    stolen = await env.crash(child.driver, max_crashes=0)
    assert stolen.job.state is JobState.FAILED
    assert stolen.dead_letter is not None
    run = await child.run()
    assert (run.state, run.compensation_failed, run.reason) == (RunState.FAILED, True, "exhausted")
    (result,) = await env.store.workflows.children(parent.id)
    assert (result.state, result.step) == ("failed", "c")
    assert await _retry(env, child.id) == (Reply.APPLIED, RunState.COMPENSATING)
    assert (await env.letter(stolen.dead_letter)).state is DLQState.RETRIED
    again = await drive(env, child.id)
    run = await again.run()
    assert (run.state, run.compensated, run.compensation_failed) == (RunState.COMPENSATING, True, False)
    assert (await again.finish("failed")).state is RunState.FAILED
    assert await _retry(env, child.id) == (Reply.CONFLICT, RunState.FAILED)


@case("I24")
async def a_run_compensates_while_its_driver_goes_on(env: Env) -> None:
    held = await begin(env)
    await held.leave(Verdict.RETRY, failure=BOOM)
    held = await drive(env, held.id)
    other = Failure("builtins.KeyError", "gone")
    assert await held.compensate("exhausted", failure=other) is Reply.APPLIED
    run = await held.run()
    assert (run.state, run.reason, run.error, run.compensated) == (RunState.COMPENSATING, "exhausted", other, False)
    job = await env.job(held.driver.id)
    assert (job.state, job.failures, job.crashes) == (JobState.RUNNING, 0, 0)
    assert await held.compensate("exhausted", failure=other) is Reply.APPLIED
    assert [a.failure for a in await env.store.jobs.attempts(held.driver.id)] == [BOOM, other]
    assert await held.undoing() is Reply.APPLIED
    assert (await held.run()).compensated
    answer = await held.record(step("undo charge", kind="undo"))
    assert len(answer.checkpoints) == 1
    await held.leave(Verdict.RETRY, failure=BOOM)
    held = await drive(env, held.id)
    assert (await held.run()).state is RunState.COMPENSATING
    assert await held.park(until=env.after(1)) is Reply.APPLIED
    assert (await held.run()).state is RunState.COMPENSATING
    env.clock.advance(1)
    held = await drive(env, held.id)
    done = await held.finish("failed", failure=other)
    assert done.dead_letter is not None
    assert ((await held.run()).error, (await held.run()).reason) == (other, "exhausted")


@case("I24")
async def a_failure_that_was_expected_leaves_no_dead_letter(env: Env) -> None:
    held = await begin(env)
    answer = await held.finish("failed", failure=BOOM, dead_letter=False)
    assert (answer.reply, answer.state, answer.dead_letter) == (Reply.APPLIED, RunState.FAILED, None)
    assert (await held.finish("failed", failure=BOOM, dead_letter=False)).dead_letter is None
    assert (await env.dump())["dlq"] == []


@case("I24")
async def a_failed_run_goes_on_from_its_checkpoints_when_retried(env: Env) -> None:
    held = await begin(env, unique=Unique("k"))
    await held.record(step("a"))
    answer = await held.finish("failed", failure=BOOM)
    assert answer.dead_letter is not None
    assert await _retry(env, RunID.new()) == (Reply.MISSING, None)
    assert (await env.store.workflows.retry(held.id, scope=B)).reply is Reply.MISSING
    assert await _retry(env, held.id) == (Reply.APPLIED, RunState.RUNNING)
    assert await _retry(env, held.id) == (Reply.CONFLICT, RunState.RUNNING)
    assert (await env.letter(answer.dead_letter)).state is DLQState.RETRIED
    again = await drive(env, held.id)
    assert again.epoch > held.epoch
    loaded = await again.load()
    assert ([c.name for c in loaded.checkpoints], loaded.run.finished_at, loaded.run.reason) == (["a"], None, None)
    assert (again.driver.failures, again.driver.crashes) == (0, 0)
    assert (await held.finish("failed", failure=BOOM)).reply is Reply.STALE
    (twin,) = await env.store.workflows.create([new_run(unique=Unique("k"))])
    assert (twin.id, twin.created) == (held.id, False)
    await again.finish()
    assert await _retry(env, held.id) == (Reply.CONFLICT, RunState.COMPLETED)


@case("I5")
async def two_retries_at_once_revive_a_run_once(env: Env) -> None:
    sibling = await env.sibling()
    for _ in range(6):
        held = await begin(env)
        await held.finish("failed", failure=BOOM)
        answers = await asyncio.gather(
            *(store.workflows.retry(held.id) for store in (env.store, sibling, env.store, sibling))
        )
        assert sorted(answer.reply for answer in answers) == [Reply.APPLIED, *[Reply.CONFLICT] * 3]
        await (await drive(env, held.id)).finish()


@case("I24")
async def a_cancelled_run_that_undid_nothing_goes_on_forwards(env: Env) -> None:
    held = await begin(env)
    await held.park()
    await _cancel(env, held.id)
    await (await drive(env, held.id)).finish("cancelled")
    assert await _retry(env, held.id) == (Reply.APPLIED, RunState.RUNNING)
    assert (await (await drive(env, held.id)).run()).state is RunState.RUNNING


@case("I24")
async def a_compensated_run_is_not_retried(env: Env) -> None:
    held = await begin(env)
    await held.compensate()
    await held.undoing()
    await held.finish("failed", failure=BOOM)
    assert await _retry(env, held.id) == (Reply.CONFLICT, RunState.FAILED)


@case("I2")
async def a_retry_does_not_take_the_key_of_a_live_twin(env: Env) -> None:
    held = await begin(env, unique=Unique("k"))
    await held.finish("failed", failure=BOOM)
    twin = await begin(env, unique=Unique("k"))
    assert await _retry(env, held.id) == (Reply.CONFLICT, RunState.FAILED)
    await twin.finish()
    assert await _retry(env, held.id) == (Reply.APPLIED, RunState.RUNNING)


async def _blocked(env: Env, **options: object) -> Driven:
    await env.register(names=["flow@1"])
    held = await begin(env, **options)  # type: ignore[arg-type]
    await held.record(step("a"))
    assert await held.block("a is a sleep now") is Reply.APPLIED
    return held


@case("I25")
async def a_blocked_run_waits_for_the_right_code(env: Env) -> None:
    held = await _blocked(env)
    assert await held.block("a is a sleep now") is Reply.APPLIED
    run = await held.run()
    assert (run.state, run.reason) == (RunState.BLOCKED, "a is a sleep now")
    job = await env.job(held.driver.id)
    assert (job.set_aside, job.failures, job.crashes, job.worker_id) == (True, 0, 0, None)
    assert await idle(env)
    env.clock.advance(100_000)
    assert list(await env.store.jobs.bury_unserved(due_for=1, limit=10)) == []
    assert await env.register(id=env.other, names=["other@1"]) == 0
    assert await state(env, held.id) is RunState.BLOCKED
    assert await env.register(id=env.other, names=["flow@1"]) == 1
    run = await held.run()
    assert (run.state, run.reason) == (RunState.RUNNING, None)
    again = await drive(env, held.id)
    assert [c.name for c in (await again.load()).checkpoints] == ["a"]


@case("I25")
async def a_blocked_run_is_taken_up_by_retry_and_by_migrate(env: Env) -> None:
    held = await _blocked(env)
    assert await _retry(env, held.id) == (Reply.APPLIED, RunState.RUNNING)
    held = await drive(env, held.id)
    assert await held.block() is Reply.APPLIED
    migrated = await env.store.workflows.migrate(held.id, version=2)
    assert (migrated.reply, migrated.state) == (Reply.APPLIED, RunState.RUNNING)
    assert (await (await drive(env, held.id)).run()).version == 2


@case("I24", "I25")
async def a_blocked_run_can_be_cancelled_and_a_blocked_compensation_goes_on_as_one(env: Env) -> None:
    held = await _blocked(env)
    assert await _cancel(env, held.id, reason="stop") == (Reply.APPLIED, RunState.COMPENSATING)
    held = await drive(env, held.id)
    assert await held.block("undo of a is gone") is Reply.APPLIED
    run = await held.run()
    assert (run.state, run.reason) == (RunState.BLOCKED, "undo of a is gone")
    assert (await env.store.workflows.cancel(held.id)).reply is Reply.CONFLICT
    assert await _retry(env, held.id) == (Reply.APPLIED, RunState.COMPENSATING)
    run = await (await drive(env, held.id)).run()
    assert (run.state, run.reason) == (RunState.COMPENSATING, "stop")


@case("I25")
async def a_version_that_no_live_worker_has_blocks_its_runs(env: Env) -> None:
    (run_id,) = await made(env, new_run())
    parked = await begin(env, name="other")
    await parked.park()
    env.clock.advance(100)
    assert await env.store.jobs.set_aside(due_for=60, limit=10) == 1
    run = await run_of(env, run_id)
    assert run.state is RunState.BLOCKED
    assert run.reason is not None
    assert "flow@1" in run.reason
    assert (await parked.run()).state is RunState.WAITING
    assert await env.register(names=["flow@1"]) == 1
    assert await state(env, run_id) is RunState.PENDING
    assert (await (await drive(env, run_id)).run()).state is RunState.RUNNING


@case("I4", "I19")
async def migrate_makes_the_worker_stale_and_hands_the_run_to_another_version(env: Env) -> None:
    held = await begin(env)
    await held.record(step("a"))
    answer = await env.store.workflows.migrate(held.id, version=2)
    assert (answer.reply, answer.state) == (Reply.APPLIED, RunState.RUNNING)
    assert (await held.record(step("b"))).reply is Reply.STALE
    assert (await env.store.jobs.renew(env.worker, pairs(held.driver), lease=30)).lost == [held.driver.id]
    job = await env.job(held.driver.id)
    assert (job.name, job.lane, job.failures, job.crashes) == ("flow@2", "flow@2", 0, 0)
    assert job.epoch > held.epoch
    assert await idle(env)
    again = await drive(env, held.id)
    assert again.driver.name == "flow@2"
    assert ((await again.run()).version, [c.name for c in await journal(env, held.id)]) == (2, ["a"])
    assert await again.park(until=env.after(3600)) is Reply.APPLIED
    await env.store.workflows.migrate(held.id, version=3, scope=Scope())
    assert (await drive(env, held.id)).driver.name == "flow@3"


@case("I5", "I31")
async def migrate_leaves_ended_and_compensating_runs_alone(env: Env) -> None:
    held = await begin(env, scope=A)
    assert (await env.store.workflows.migrate(held.id, version=2, scope=B)).reply is Reply.MISSING
    await held.compensate()
    assert (await env.store.workflows.migrate(held.id, version=2)).reply is Reply.CONFLICT
    await held.finish("failed")
    assert (await env.store.workflows.migrate(held.id, version=2)).reply is Reply.CONFLICT
    assert (await held.run()).version == 1


@case("I22")
async def the_end_closes_every_wait(env: Env) -> None:
    held = await begin(env)
    await held.wait("a", "paid")
    await held.wait("b", "refused")
    assert [wait.name for wait in await env.store.workflows.waits(held.id)] == ["a", "b"]
    await held.finish()
    assert await env.store.workflows.waits(held.id) == []
