"""Code that changes while runs are in flight: what goes on, what is blocked, what only warns."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable

import pytest

from dispatch import WorkflowContext
from dispatch.errors import RunEnded, RunNotRetryable, WaitTimeout, WorkflowNotFound
from dispatch.registry import Registry
from dispatch.testing import MemoryApp
from dispatch.workflows import RunHandle, RunState
from tests.workflows.conftest import Effects

Body = Callable[[WorkflowContext], Awaitable[object]]


class Deployment:
    """A workflow whose body can be replaced, as a deploy does."""

    def __init__(self, app: MemoryApp, registry: Registry) -> None:
        self.app = app
        self.body: Body

        @registry.workflow(name="flow")
        async def flow(ctx: WorkflowContext) -> object:
            return await self.body(ctx)

        self.flow = flow

    async def halfway(self, body: Body) -> RunHandle[object]:
        """A run of this body, parked in its first sleep."""
        self.body = body
        run = await self.flow.start()
        await self.app.run_until_idle(raise_errors=True)
        assert await run.status() is RunState.WAITING
        return run


@pytest.fixture
def deployment(app: MemoryApp, registry: Registry) -> Deployment:
    return Deployment(app, registry)


async def test_a_renamed_step_runs_under_its_new_name_and_the_old_one_warns(
    deployment: Deployment, effects: Effects, caplog: pytest.LogCaptureFixture
) -> None:
    async def before(ctx: WorkflowContext) -> None:
        await ctx.step("charge", effects.do, "charge")
        await ctx.sleep(10)

    async def after(ctx: WorkflowContext) -> None:
        await ctx.step("payment", effects.do, "payment")
        await ctx.sleep(10)

    run = await deployment.halfway(before)
    deployment.body = after
    with caplog.at_level(logging.WARNING):
        await deployment.app.travel(10, raise_errors=True)
    await run.result()
    assert effects.log == ["charge", "payment"]
    assert "completed without visiting what it had recorded: charge" in caplog.text


async def test_a_step_may_be_inserted_or_removed(deployment: Deployment, effects: Effects) -> None:
    async def before(ctx: WorkflowContext) -> None:
        await ctx.step("one", effects.do, "one")
        await ctx.sleep(10)
        await ctx.step("two", effects.do, "two")

    async def after(ctx: WorkflowContext) -> None:
        await ctx.step("one", effects.do, "one")
        await ctx.sleep(10)
        await ctx.step("new", effects.do, "new")

    run = await deployment.halfway(before)
    deployment.body = after
    await deployment.app.travel(10, raise_errors=True)
    await run.result()
    assert effects.log == ["one", "new"]


async def test_a_step_of_another_kind_blocks_the_run_until_the_code_fits(
    deployment: Deployment, effects: Effects, caplog: pytest.LogCaptureFixture
) -> None:
    async def before(ctx: WorkflowContext) -> object:
        await ctx.step("pause", effects.do, "pause")
        await ctx.sleep(10)
        return "done"

    async def after(ctx: WorkflowContext) -> None:
        await ctx.sleep(5, name="pause")

    app = deployment.app
    run = await deployment.halfway(before)
    deployment.body = after
    await app.travel(10)
    row = await run.run()
    assert row.state is RunState.BLOCKED
    assert row.reason == "'pause' is recorded as step, but the code has a sleep of that name"
    assert "is blocked: 'pause' is recorded as step" in caplog.text
    with pytest.raises(WaitTimeout, match="blocked"):
        await run.result(timeout=0)
    deployment.body = before
    await app.workflows.retry(run.id)
    await app.run_until_idle(raise_errors=True)
    assert await run.result() == "done"
    assert effects.log == ["pause"]


async def test_a_mismatch_found_while_taking_back_blocks_too(deployment: Deployment, effects: Effects) -> None:
    async def before(ctx: WorkflowContext) -> None:
        await ctx.step("pay", effects.do, "pay").compensate(effects.undo)
        await ctx.sleep(10)

    async def after(ctx: WorkflowContext) -> None:
        ctx.now(name="pay")

    run = await deployment.halfway(before)
    deployment.body = after
    await run.cancel()
    await deployment.app.run_until_idle()
    assert await run.status() is RunState.BLOCKED
    deployment.body = before
    await deployment.app.workflows.retry(run.id)
    await deployment.app.run_until_idle()
    assert await run.status() is RunState.CANCELLED
    assert effects.log == ["pay", "undo pay"]


async def test_versions_live_side_by_side_and_runs_can_be_migrated(
    registry: Registry, app: MemoryApp, effects: Effects
) -> None:
    @registry.workflow(name="checkout", version=1)
    async def first(ctx: WorkflowContext) -> str:
        await ctx.step("start", effects.do, "start 1")
        await ctx.sleep(10)
        return "one"

    @registry.workflow(name="checkout", version=2)
    async def second(ctx: WorkflowContext) -> str:
        await ctx.step("start", effects.do, "start 2")
        await ctx.sleep(10)
        return "two"

    old, new, moved = await first.start(), await second.start(), await first.start()
    await app.run_until_idle()
    await app.workflows.migrate(moved.id, version=2)
    await app.announce()
    with pytest.raises(WorkflowNotFound, match="no app has announced version 3 of checkout; there are: 1, 2"):
        await app.workflows.migrate(old.id, version=3)
    await app.travel(10, raise_errors=True)
    assert [await run.result() for run in (old, new, moved)] == ["one", "two", "two"]
    assert sorted(effects.log) == ["start 1", "start 1", "start 2"]
    with pytest.raises(RunEnded):
        await app.workflows.migrate(old.id, version=2)
    with pytest.raises(RunNotRetryable, match="is completed and cannot be retried"):
        await app.workflows.retry(old.id)
