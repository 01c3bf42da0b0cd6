"""Taking back: what a failed or cancelled run undoes, in which order, and what happens when that fails."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from dispatch import Config, Dispatch, Fail, WorkflowContext
from dispatch.backoff import Constant
from dispatch.dlq import ListOptions
from dispatch.engine.runs import activation
from dispatch.engine.stopped import Stopped
from dispatch.errors import RunCancelled, RunEnded, RunFailed, RunNotRetryable, StepFailed
from dispatch.ids import RunID
from dispatch.registry import Registry
from dispatch.testing import MemoryApp
from dispatch.workflows import RunHandle, RunState
from tests.workflows.conftest import Effects


async def test_a_failed_run_takes_back_what_it_did_newest_first(
    registry: Registry, app: MemoryApp, effects: Effects
) -> None:
    @registry.workflow
    async def flow(ctx: WorkflowContext) -> None:
        await ctx.on_failure("void", effects.do, "void")
        await ctx.step("charge", effects.do, "charge").compensate(effects.undo, "order-1")
        await ctx.parallel(
            ctx.step("reserve", effects.do, "reserve").compensate(effects.undo),
            ctx.step("label", effects.do, "label"),
        )
        raise Fail("declined")

    run = await flow.start()
    await app.run_until_idle()
    with pytest.raises(RunFailed, match="Fail: declined"):
        await run.result()
    done, undone = effects.log[:3], effects.log[3:]
    assert sorted(done) == ["charge", "label", "reserve"]
    assert undone == ["undo reserve", "undo charge order-1", "void"]
    assert (await run.run()).compensated


async def test_the_body_never_acts_again_once_it_is_taken_back(
    registry: Registry, app: MemoryApp, effects: Effects
) -> None:
    fail = True

    @registry.workflow(max_retries=0)
    async def flow(ctx: WorkflowContext) -> None:
        await ctx.step("one", effects.do, "one").compensate(effects.undo)
        if fail:
            nonlocal_fail()
            raise ValueError("no")
        await ctx.step("two", effects.do, "two").compensate(effects.undo)

    def nonlocal_fail() -> None:
        nonlocal fail
        fail = False

    run = await flow.start()
    await app.run_until_idle()
    with pytest.raises(RunFailed):
        await run.result()
    assert effects.log == ["one", "undo one"]


async def test_cancelling_a_parked_run_takes_back_what_it_did(
    registry: Registry, app: MemoryApp, effects: Effects
) -> None:
    @registry.workflow
    async def flow(ctx: WorkflowContext) -> None:
        await ctx.step("charge", effects.do, "charge").compensate(effects.undo)
        await ctx.wait_for_event("never")
        await ctx.step("ship", effects.do, "ship")

    run = await flow.start()
    await app.run_until_idle()
    assert await run.cancel() is RunState.COMPENSATING
    with pytest.raises(RunEnded):
        await run.cancel()
    await app.run_until_idle(raise_errors=True)
    assert await run.status() is RunState.CANCELLED
    with pytest.raises(RunCancelled, match="cancelled"):
        await run.result()
    assert effects.log == ["charge", "undo charge"]
    with pytest.raises(RunNotRetryable, match="it has taken back what it did"):
        await app.workflows.retry(run.id)


async def test_cancelling_a_running_run_stops_its_step_and_takes_back(
    registry: Registry, app: MemoryApp, effects: Effects
) -> None:
    began = asyncio.Event()
    cancelled = asyncio.Event()

    async def endless() -> None:
        began.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            cancelled.set()
            raise

    @registry.workflow
    async def flow(ctx: WorkflowContext) -> None:
        await ctx.step("charge", effects.do, "charge").compensate(effects.undo)
        await ctx.step("endless", endless).compensate(effects.undo)

    run = await flow.start()
    working = asyncio.create_task(app.run_until_idle())
    await began.wait()
    assert await app.workflows.cancel(run.id, reason="the customer left") is RunState.RUNNING
    await asyncio.wait_for(working, 5)
    assert cancelled.is_set()
    assert effects.log == ["charge", "undo charge"]
    ended = await run.run()
    assert (ended.state, ended.reason) == (RunState.CANCELLED, "the customer left")


async def test_an_undo_is_retried_and_then_leaves_the_run_failed_and_retryable(
    registry: Registry, app: MemoryApp, effects: Effects
) -> None:
    broken = True

    async def refund(result: str) -> None:
        await effects.do(f"refund {result}")
        if broken:
            raise ConnectionError("the bank sleeps")

    @registry.workflow(max_retries=2, backoff=Constant(10))
    async def flow(ctx: WorkflowContext) -> None:
        await ctx.step("charge", effects.do, "charge").compensate(refund)
        await ctx.step("reserve", effects.do, "reserve").compensate(effects.undo)
        raise Fail("no")

    run = await flow.start()
    await app.travel(100)
    ended = await run.run()
    assert (ended.state, ended.compensation_failed, ended.compensated) == (RunState.FAILED, True, True)
    assert effects.log == ["charge", "reserve", "undo reserve"] + ["refund charge"] * 3
    with pytest.raises(RunFailed, match="an undo keeps failing"):
        await run.result()
    broken = False
    assert await app.workflows.retry(run.id) is RunState.COMPENSATING
    await app.run_until_idle(raise_errors=True)
    ended = await run.run()
    assert (ended.state, ended.compensation_failed) == (RunState.FAILED, False)
    assert effects.count("undo reserve") == 1
    assert effects.log[-1] == "refund charge"


async def test_the_letter_of_a_run_that_was_taken_back_advises_no_retry(
    registry: Registry, app: MemoryApp, effects: Effects
) -> None:
    @registry.workflow(max_retries=0)
    async def flow(ctx: WorkflowContext) -> None:
        await ctx.step("charge", effects.do, "charge").compensate(effects.undo)
        raise ValueError("no")

    await flow.start()
    await app.run_until_idle()
    (letter,) = (await app.dlq.list(ListOptions())).items
    with pytest.raises(RunNotRetryable, match="taken back what it did, `dispatch workflow fork") as refused:
        await app.dlq.replay(letter.id)
    assert "workflow retry" not in str(refused.value)


async def test_an_expected_failure_makes_no_dead_letter(registry: Registry, app: MemoryApp) -> None:
    @registry.workflow
    async def flow(ctx: WorkflowContext) -> None:
        raise Fail("sold out", dead_letter=False)

    run = await flow.start()
    await app.run_until_idle()
    assert await run.status() is RunState.FAILED
    assert (await app.dlq.list()).items == []


async def test_an_expected_failure_that_was_recorded_is_expected_in_replay_too(
    registry: Registry, app: MemoryApp
) -> None:
    async def refuse() -> None:
        raise Fail("sold out", dead_letter=False)

    @registry.workflow(max_retries=0)
    async def flow(ctx: WorkflowContext) -> None:
        try:
            await ctx.step("buy", refuse)
        except StepFailed:
            await ctx.sleep(10)
            raise

    run = await flow.start()
    await app.travel(20)
    assert await run.status() is RunState.FAILED
    assert [c.name for c in await app.workflows.timeline(run.id)] == ["buy", "sleep", "buy~failed-1"]
    assert not (await app.dlq.list()).items


async def test_compensations_by_hand_run_once(registry: Registry, app: MemoryApp, effects: Effects) -> None:
    @registry.workflow
    async def flow(ctx: WorkflowContext) -> str:
        await ctx.step("a", effects.do, "a").compensate(effects.undo)
        await ctx.step("b", effects.do, "b").compensate(effects.undo)
        try:
            await ctx.step("c", effects.fail, "c")
        except StepFailed:
            await ctx.run_compensations()
        await ctx.sleep(5)
        raise Fail("after all")

    run = await flow.start()
    await app.travel(5)
    assert await run.status() is RunState.FAILED
    assert effects.log == ["a", "b", "c fails", "undo b", "undo a"]


async def test_a_run_without_steps_fails_without_ado(registry: Registry, app: MemoryApp) -> None:
    @registry.workflow(max_retries=0)
    async def flow(ctx: WorkflowContext) -> None:
        raise ValueError("at once")

    run = await flow.start()
    await app.run_until_idle()
    ended = await run.run()
    assert (ended.state, ended.compensated, ended.reason) == (RunState.FAILED, False, "exhausted")


async def test_a_failed_run_that_took_nothing_back_goes_on_from_its_checkpoints(
    registry: Registry, app: MemoryApp, effects: Effects
) -> None:
    broken = True

    async def flaky() -> str:
        if broken:
            raise ValueError("no")
        return "ok"

    @registry.workflow(max_retries=0)
    async def flow(ctx: WorkflowContext) -> str:
        await ctx.step("work", effects.do, "work")
        return await ctx.step("flaky", flaky)

    run = await flow.start()
    await app.run_until_idle()
    assert await run.status() is RunState.FAILED
    broken = False
    await app.workflows.retry(run.id)
    await app.run_until_idle(raise_errors=True)
    assert await run.result() == "ok"
    assert effects.log == ["work"]


async def test_undos_in_a_branch_beyond_the_failure_are_found(
    registry: Registry, app: MemoryApp, effects: Effects
) -> None:
    async def branch(ctx: WorkflowContext, name: str, steps: int) -> None:
        for i in range(steps):
            await ctx.step(f"{name}{i}", effects.do, f"{name}{i}").compensate(effects.undo)

    async def left(ctx: WorkflowContext) -> None:
        await branch(ctx, "l", 1)
        await ctx.wait_for_event("never", timeout=60)

    @registry.workflow
    async def flow(ctx: WorkflowContext) -> None:
        await asyncio.gather(left(ctx), branch(ctx, "r", 3))

    run = await flow.start()
    await app.travel(60)
    assert await run.status() is RunState.FAILED
    assert sorted(effects.log[:4]) == ["l0", "r0", "r1", "r2"]
    assert sorted(effects.log[4:]) == ["undo l0", "undo r0", "undo r1", "undo r2"]
    assert effects.log[4:].index("undo r2") < effects.log[4:].index("undo r0")


async def test_a_timeout_bounds_one_activation(registry: Registry, app: MemoryApp, effects: Effects) -> None:
    async def endless() -> None:
        await effects.do("endless")
        await asyncio.Event().wait()

    @registry.workflow(timeout=0.02, max_retries=1, backoff=Constant(1))
    async def flow(ctx: WorkflowContext) -> None:
        await ctx.step("charge", effects.do, "charge").compensate(effects.undo)
        await ctx.step("endless", endless)

    run = await flow.start()
    await app.travel(10)
    with pytest.raises(RunFailed, match="HandlerTimeout"):
        await run.result()
    assert effects.log[0] == "charge"
    assert effects.log[-1] == "undo charge"
    assert effects.count("charge") == 1


async def test_an_expired_run_never_starts(registry: Registry, app: MemoryApp, effects: Effects) -> None:
    @registry.workflow
    async def flow(ctx: WorkflowContext) -> None:
        await ctx.step("work", effects.do, "work")

    run = await flow.options(expires_in=10).start()
    app.clock.advance(11)
    await app.run_until_idle()
    with pytest.raises(RunCancelled, match="expired"):
        await run.result()
    assert effects.log == []


@pytest.mark.parametrize("why", [Stopped.REQUESTED, Stopped.GRACE])
async def test_a_stop_while_the_body_is_replayed_skips_no_undo(
    registry: Registry, app: MemoryApp, effects: Effects, monkeypatch: pytest.MonkeyPatch, why: Stopped
) -> None:
    stopped = 0
    replay = activation.play

    async def stopping(performance: Any, *args: Any, **kwargs: Any) -> Any:
        nonlocal stopped
        if not performance.acts and not stopped:
            stopped += 1
            found = playing[-1]
            found.stop(why)
        return await replay(performance, *args, **kwargs)

    playing: list[activation.Activation] = []
    begin = activation.Activation.run

    async def noted(self: activation.Activation) -> Any:
        playing.append(self)
        return await begin(self)

    monkeypatch.setattr(activation, "play", stopping)
    monkeypatch.setattr(activation.Activation, "run", noted)

    @registry.workflow
    async def flow(ctx: WorkflowContext) -> None:
        await ctx.step("charge", effects.do, "charge").compensate(effects.undo)
        raise Fail("no")

    run = await flow.start()
    await app.run_until_idle()
    assert await run.status() is RunState.FAILED
    assert stopped == 1
    assert effects.log == ["charge", "undo charge"]


@pytest.mark.parametrize("undo_inherited", [False, True])
@pytest.mark.parametrize("kind", ["memory", "sqlite"])
async def test_a_fork_takes_back_what_it_inherited_only_when_told(
    registry: Registry, app: MemoryApp, effects: Effects, tmp_path: Path, kind: str, undo_inherited: bool
) -> None:
    @registry.workflow(max_retries=0)
    async def flow(ctx: WorkflowContext) -> None:
        await ctx.on_failure("void", effects.undo, "void")
        await ctx.step("charge", effects.do, "charge").compensate(effects.undo)
        await ctx.step("pack", effects.do, "pack").compensate(effects.undo)
        raise Fail("sold out")

    async def forked(on: Dispatch, old: RunHandle[None]) -> RunID:
        made = await on.workflows.fork(old.id, before="pack", undo_inherited=undo_inherited)
        effects.log.clear()
        return made.id

    if kind == "memory":
        old = await flow.start()
        await app.run_until_idle()
        fork = await forked(app, old)
        await app.run_until_idle()
        again = await app.workflows.fork(fork, before="pack")
    else:
        async with Dispatch(f"sqlite:///{tmp_path}/runs.db", registry=registry, config=Config()) as other:
            await other.start()
            old = await other.start_workflow(flow)
            await other.workflows.wait(old.id, timeout=20)
            await other.workflows.wait(await forked(other, old), timeout=20)
    undone = ["undo pack", "undo charge", "undo void"] if undo_inherited else ["undo pack"]
    assert effects.log == ["pack", *undone]
    if kind == "memory":
        effects.log.clear()
        await app.run_until_idle()
        assert (await app.workflows.get(again.id)).state is RunState.FAILED
        assert effects.log == ["pack", "undo pack"], "a fork of a fork is told anew"
