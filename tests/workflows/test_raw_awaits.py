"""What a body awaits besides verbs: it is not cut off while other branches wait, and hangs nothing."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from dispatch import Fail, WorkflowContext
from dispatch.engine.runs import patience
from dispatch.errors import RunFailed
from dispatch.registry import Registry
from dispatch.testing import MemoryApp
from dispatch.workflows import RunState
from tests.workflows.conftest import Effects


async def all_of(*branches: Awaitable[Any]) -> Any:
    return await asyncio.wait([asyncio.ensure_future(branch) for branch in branches])


async def each_in_time(*branches: Awaitable[Any]) -> Any:
    return await asyncio.gather(*(asyncio.wait_for(branch, 60) for branch in branches))


@pytest.mark.parametrize(
    "together", [asyncio.gather, all_of, each_in_time, None], ids=["gather", "all of", "each in time", "one"]
)
async def test_a_raw_await_beside_a_wait_is_not_cut_off_by_a_park(
    registry: Registry, app: MemoryApp, effects: Effects, together: Callable[..., Awaitable[Any]] | None
) -> None:
    @registry.workflow
    async def flow(ctx: WorkflowContext) -> None:
        async def raw() -> str:
            await asyncio.sleep(0.02)
            return await ctx.step("after", effects.do, "after")

        await (together or ctx.parallel)(raw(), ctx.wait_for_event("never"))

    run = await flow.start()
    await app.run_until_idle()
    assert effects.log == ["after"]
    assert await run.status() is RunState.WAITING


async def test_a_branch_wakes_by_its_event_while_another_awaits_something_raw(
    registry: Registry, app: MemoryApp, effects: Effects, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(patience, "_LOOK", 0.01)
    waits, came = asyncio.Event(), asyncio.Event()

    @registry.workflow
    async def flow(ctx: WorkflowContext) -> None:
        async def raw() -> None:
            waits.set()
            await asyncio.shield(asyncio.ensure_future(came.wait()))

        async def waiter() -> None:
            await ctx.wait_for_event("go")
            await ctx.step("went", effects.do, "went")
            came.set()

        await ctx.parallel(raw(), waiter())

    run = await flow.start()
    idle = asyncio.create_task(app.run_until_idle())
    await asyncio.wait_for(waits.wait(), 10)
    await app.events.publish("go", None)
    await asyncio.wait_for(idle, 10)
    assert await run.status() is RunState.COMPLETED
    assert effects.log == ["went"]


async def test_branches_that_wait_for_each_other_by_a_lock_park_at_once(registry: Registry, app: MemoryApp) -> None:
    @registry.workflow
    async def flow(ctx: WorkflowContext) -> int:
        one_at_a_time = asyncio.Semaphore(1)

        async def branch(i: int) -> int:
            async with one_at_a_time:
                await ctx.wait_for_event("turn", name=f"turn-{i}")
                return i

        return sum(await asyncio.gather(*(branch(i) for i in range(3))))

    run = await flow.start()
    for _ in range(3):
        await asyncio.wait_for(app.run_until_idle(), 10)
        assert await run.status() is RunState.WAITING
        await app.events.publish("turn", None)
    assert await run.result() == 3


async def test_a_raw_await_without_end_parks_with_a_word_and_wakes_again(
    registry: Registry, app: MemoryApp, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(patience.Patience.__init__, "__defaults__", (0.05,))
    begun = []

    @registry.workflow
    async def flow(ctx: WorkflowContext) -> None:
        async def raw() -> None:
            begun.append(1)
            if len(begun) == 1:
                await asyncio.get_running_loop().create_future()

        await ctx.parallel(raw(), ctx.sleep(3600))

    run = await flow.start()
    with caplog.at_level(logging.WARNING, "dispatch.workflow"):
        await asyncio.wait_for(app.run_until_idle(), 10)
    assert "test_raw_awaits.py" in next(r.message for r in caplog.records if "is no verb" in r.message)
    await app.travel(patience.AGAIN)
    assert len(begun) == 2
    assert await run.status() is RunState.WAITING


async def test_what_was_done_after_a_raw_await_is_taken_back(
    registry: Registry, app: MemoryApp, effects: Effects
) -> None:
    @registry.workflow
    async def flow(ctx: WorkflowContext) -> None:
        async def raw() -> None:
            await asyncio.sleep(0.01)
            await ctx.step("book", effects.do, "book").compensate(effects.undo)

        async def fails() -> None:
            await ctx.wait_for_event("go")
            raise Fail("no")

        await ctx.parallel(raw(), fails())

    run = await flow.start()
    await app.run_until_idle()
    await app.events.publish("go", None)
    with pytest.raises(RunFailed):
        await run.result()
    assert effects.log == ["book", "undo book"]


async def test_what_was_done_after_a_raw_await_is_taken_back_when_the_run_is_cancelled(
    registry: Registry, app: MemoryApp, effects: Effects
) -> None:
    @registry.workflow
    async def flow(ctx: WorkflowContext) -> None:
        async def raw() -> None:
            await asyncio.sleep(0.01)
            await ctx.step("book", effects.do, "book").compensate(effects.undo)

        await ctx.parallel(raw(), ctx.wait_for_event("never"))

    run = await flow.start()
    await app.run_until_idle()
    await run.cancel()
    await app.run_until_idle()
    assert effects.log == ["book", "undo book"]
