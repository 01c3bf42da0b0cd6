"""The rules of a body: names, laziness, letting go; each breach is refused with what to do instead."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

import pytest

from dispatch import WorkflowContext
from dispatch.errors import RunFailed
from dispatch.registry import Registry
from dispatch.testing import MemoryApp
from dispatch.workflows import RunState
from tests.workflows.conftest import Effects


async def refused(app: MemoryApp, registry: Registry, body: Any) -> str:
    """How the one attempt of a run with this body fails."""

    @registry.workflow(max_retries=0)
    async def flow(ctx: WorkflowContext) -> None:
        await body(ctx)

    run = await flow.start()
    await app.travel(3600)
    with pytest.raises(RunFailed) as caught:
        await run.result()
    return str(caught.value)


async def test_a_repeated_name_is_refused_with_a_suggestion(app: MemoryApp, registry: Registry) -> None:
    async def body(ctx: WorkflowContext) -> None:
        for _ in range(2):
            await ctx.step("charge", lambda: 1)

    assert """step: the name 'charge' is used twice in this run""" in (text := await refused(app, registry, body))
    assert 'such as f"charge-{i}" in a loop' in text


async def test_a_mistake_that_comes_out_the_same_again_is_not_tried_again(
    app: MemoryApp, registry: Registry, effects: Effects
) -> None:
    @registry.workflow(max_retries=5)
    async def flow(ctx: WorkflowContext) -> None:
        effects.log.append("began")
        await ctx.step("charge", effects.do, "charge").compensate(effects.undo)
        await ctx.step("charge", effects.do, "charge")

    run = await flow.start()
    await app.run_until_idle()
    assert await run.status() is RunState.FAILED
    assert effects.log.count("began") == 2, "once, and once to find what there is to take back"
    assert effects.log[-1] == "undo charge"


async def test_a_repeated_default_name_wants_a_name(app: MemoryApp, registry: Registry) -> None:
    async def body(ctx: WorkflowContext) -> None:
        for _ in range(2):
            await ctx.sleep(1)

    text = await refused(app, registry, body)
    assert "sleep: the name 'sleep' is used twice in this run, which is the name it gets by default" in text
    assert 'name=f"sleep-{i}"' in text


@pytest.mark.parametrize("name", ["", "a~b", "x" * 129, "a\nb", 5])
async def test_a_name_must_be_short_and_printable(app: MemoryApp, registry: Registry, name: Any) -> None:
    async def body(ctx: WorkflowContext) -> None:
        await ctx.step(name, lambda: 1)

    text = await refused(app, registry, body)
    assert "StepMisused" in text
    assert "name" in text


async def test_a_step_that_nobody_awaits_is_told_of_with_its_line(
    app: MemoryApp, registry: Registry, effects: Effects
) -> None:
    async def body(ctx: WorkflowContext) -> None:
        ctx.step("lost", effects.do, "lost")

    text = await refused(app, registry, body)
    line = body.__code__.co_firstlineno + 1
    assert f"StepNeverAwaited: 'lost' was created at {__file__}:{line} and never awaited" in text
    assert effects.log == []


async def test_a_step_is_awaited_once(app: MemoryApp, registry: Registry, effects: Effects) -> None:
    async def body(ctx: WorkflowContext) -> None:
        step = ctx.step("twice", effects.do, "twice")
        await step
        await step

    assert "step 'twice' was awaited twice" in await refused(app, registry, body)
    assert effects.log == ["twice"]


async def test_options_come_before_the_await(app: MemoryApp, registry: Registry, effects: Effects) -> None:
    async def body(ctx: WorkflowContext) -> None:
        step = ctx.step("late", effects.do, "late")
        await step
        step.compensate(effects.undo)

    assert "step 'late' has started already" in await refused(app, registry, body)


async def test_a_called_function_in_place_of_a_function_is_explained(
    app: MemoryApp, registry: Registry, effects: Effects
) -> None:
    async def body(ctx: WorkflowContext) -> None:
        coroutine = effects.do("x")
        try:
            await ctx.step("wrong", coroutine)  # type: ignore[call-overload]
        finally:
            coroutine.close()

    assert "pass the function, then its arguments" in await refused(app, registry, body)


async def test_a_task_group_is_refused_before_anything_acts(
    app: MemoryApp, registry: Registry, effects: Effects
) -> None:
    async def body(ctx: WorkflowContext) -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(_await(ctx.step("a", effects.do, "a")))
            group.create_task(_await(ctx.step("b", effects.do, "b")))

    assert "asyncio.TaskGroup cannot hold verbs of a workflow" in await refused(app, registry, body)
    assert effects.log == []


async def test_a_step_given_to_a_task_group_as_it_is_says_what_to_do(app: MemoryApp, registry: Registry) -> None:
    async def body(ctx: WorkflowContext) -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(ctx.step("a", int))  # type: ignore[arg-type]

    said = await refused(app, registry, body)
    assert "a coroutine was expected, got <step 'a' of " in said
    assert "`await` it; several at once by ctx.parallel(...)" in said


@pytest.mark.parametrize("length", [float("nan"), float("inf"), "soon", None], ids=str)
async def test_a_sleep_of_no_length_names_what_it_was_given(app: MemoryApp, registry: Registry, length: Any) -> None:
    async def body(ctx: WorkflowContext) -> None:
        await ctx.sleep(length)

    assert f"sleep({length!r}): " in await refused(app, registry, body)


async def _await(step: Any) -> Any:
    return await step


async def test_except_exception_does_not_catch_the_park(app: MemoryApp, registry: Registry, effects: Effects) -> None:
    caught: list[Exception] = []

    @registry.workflow
    async def flow(ctx: WorkflowContext) -> str:
        try:
            await ctx.sleep(60)
        except Exception as error:
            caught.append(error)
        return await ctx.step("after", effects.do, "after")

    run = await flow.start()
    await app.travel(60)
    assert await run.result() == "after"
    assert caught == []


async def test_a_bare_except_changes_nothing_and_gets_the_signal_again(
    app: MemoryApp, registry: Registry, effects: Effects
) -> None:
    caught: list[str] = []

    @registry.workflow
    async def flow(ctx: WorkflowContext) -> str:
        try:
            await ctx.sleep(60)
        except BaseException as error:
            caught.append(str(error))
        try:
            await ctx.step("after", effects.do, "after")
        except BaseException as error:
            caught.append(str(error))
            return "thrown away"
        return "done"

    run = await flow.start()
    await app.run_until_idle()
    assert await run.status() is RunState.WAITING
    assert effects.log == []
    assert len(caught) == 2
    assert "has parked; its body is being left" in caught[0]
    assert "`except BaseException:` that swallows it only delays the run" in caught[1]
    await app.travel(60)
    assert await run.result() == "done"
    assert effects.log == ["after"]


async def test_a_body_that_swallows_the_signal_for_ever_does_not_hold_up_the_worker(
    app: MemoryApp, registry: Registry, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dispatch.engine.runs.playing.LETTING_GO", 0.05)
    swallowed = 0

    @registry.workflow
    async def stubborn(ctx: WorkflowContext) -> None:
        nonlocal swallowed
        while swallowed < 60:
            try:
                await ctx.sleep(60, name=f"sleep-{swallowed}")
            except BaseException:
                swallowed += 1

    @registry.workflow
    async def other(ctx: WorkflowContext) -> int:
        return 1

    run = await stubborn.start()
    with caplog.at_level(logging.ERROR):
        await app.run_until_idle()
    assert "does not let go" in caplog.text
    assert await run.status() is RunState.WAITING
    assert await (await other.start()).result() == 1
    swallowed = 60


async def test_a_step_in_finally_records_nothing_once_the_run_has_parked(
    app: MemoryApp, registry: Registry, effects: Effects
) -> None:
    @registry.workflow
    async def flow(ctx: WorkflowContext) -> None:
        try:
            await ctx.sleep(60)
            await ctx.step("work", effects.do, "work")
        finally:
            await ctx.step("cleanup", effects.do, "cleanup")

    run = await flow.start()
    await app.run_until_idle()
    assert effects.log == []
    assert [c.name for c in await app.workflows.timeline(run.id)] == ["sleep"]
    await app.travel(60)
    await run.result()
    assert effects.log == ["work", "cleanup"]


async def test_an_exit_in_the_body_is_a_failed_attempt_and_no_end_of_the_worker(
    app: MemoryApp, registry: Registry
) -> None:
    async def leave() -> None:
        raise SystemExit(3)

    async def body(ctx: WorkflowContext) -> None:
        await ctx.step("leave", leave)

    assert "HandlerCrashed: step 'leave': step 'leave' raised SystemExit(3)" in await refused(app, registry, body)

    other = Registry()
    async with MemoryApp(other) as app2:

        @other.workflow(max_retries=0)
        async def flow(ctx: WorkflowContext) -> None:
            raise KeyboardInterrupt

        run = await app2.start_workflow(flow)
        await app2.run_until_idle()
        with pytest.raises(RunFailed, match=r"HandlerCrashed: flow raised KeyboardInterrupt\(\)"):
            await run.result()
