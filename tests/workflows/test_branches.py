"""Branches of a body: parallel, gather and fan_out settle, record and unwind as one."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Any

import pytest

from dispatch import Fail, WorkflowContext
from dispatch.backoff import Constant
from dispatch.errors import ChildFailed, RunFailed, StepFailed
from dispatch.registry import Registry
from dispatch.testing import MemoryApp, crash_after
from dispatch.workflows import RunState
from tests.workflows.conftest import Effects


async def result_of(app: MemoryApp, flow: Any, *args: Any, travel: float = 0) -> Any:
    run = await flow.start(*args)
    await app.travel(travel, raise_errors=True)
    return await run.result()


async def test_parallel_answers_in_order(registry: Registry, app: MemoryApp) -> None:
    second_began = asyncio.Event()

    async def first() -> str:
        await second_began.wait()
        return "first"

    async def second() -> str:
        second_began.set()
        return "second"

    @registry.workflow
    async def flow(ctx: WorkflowContext) -> list[str]:
        return list(await ctx.parallel(ctx.step("a", first), ctx.step("b", second)))

    assert await result_of(app, flow) == ["first", "second"]


async def test_parallel_waits_for_all_and_raises_the_first_error(
    registry: Registry, app: MemoryApp, effects: Effects
) -> None:
    failed = asyncio.Event()

    async def quick() -> None:
        failed.set()
        raise ValueError("quick")

    async def slow() -> str:
        await failed.wait()
        await asyncio.sleep(0.01)
        return await effects.do("slow")

    @registry.workflow(max_retries=0)
    async def flow(ctx: WorkflowContext) -> None:
        await ctx.parallel(ctx.step("quick", quick), ctx.step("slow", slow), ctx.step("bad", effects.fail, "bad"))

    run = await flow.start()
    await app.run_until_idle()
    with pytest.raises(RunFailed, match="quick"):
        await run.result()
    assert sorted(effects.log) == ["bad fails", "slow"]
    assert [c.name for c in await app.workflows.timeline(run.id)] == ["slow", "quick~failed-1"]


async def test_gather_settles_what_is_in_flight_before_the_run_is_retried(
    registry: Registry, app: MemoryApp, effects: Effects
) -> None:
    failed = asyncio.Event()
    broken = True

    async def flaky() -> str:
        failed.set()
        if broken:
            raise ValueError("not yet")
        return "flaky"

    async def slow() -> str:
        await failed.wait()
        await asyncio.sleep(0.01)
        return await effects.do("slow")

    async def branch(ctx: WorkflowContext) -> str:
        await ctx.step("slow", slow)
        return await ctx.step("after slow", effects.do, "after slow")

    @registry.workflow(backoff=Constant(10))
    async def flow(ctx: WorkflowContext) -> list[str]:
        return list(await asyncio.gather(ctx.step("flaky", flaky), branch(ctx)))

    run = await flow.start()
    await app.run_until_idle()
    assert effects.log == ["slow"]
    assert [c.name for c in await app.workflows.timeline(run.id)] == ["slow"]
    broken = False
    await app.travel(10)
    assert await run.result() == ["flaky", "after slow"]
    assert effects.log == ["slow", "after slow"]


async def test_a_failure_that_gather_returns_is_survived_and_recorded(
    registry: Registry, app: MemoryApp, effects: Effects
) -> None:
    @registry.workflow
    async def flow(ctx: WorkflowContext) -> list[str]:
        results = await asyncio.gather(
            ctx.step("good", effects.do, "good"), ctx.step("bad", effects.fail, "bad"), return_exceptions=True
        )
        await ctx.sleep(5)
        return [str(result) for result in results]

    text = "step 'bad' failed: ValueError: bad is broken"
    assert await result_of(app, flow, travel=5) == ["good", text]
    assert effects.log == ["good", "bad fails"]


async def test_waits_side_by_side_park_once_and_wake_one_by_one(registry: Registry, app: MemoryApp) -> None:
    bodies = 0

    @registry.workflow
    async def flow(ctx: WorkflowContext) -> list[Any]:
        nonlocal bodies
        bodies += 1
        event, _ = await ctx.parallel(ctx.wait_for_event("go"), ctx.sleep(100))
        return [event.data]

    run = await flow.start()
    await app.run_until_idle()
    assert await run.status() is RunState.WAITING
    await app.events.publish("go", 1)
    await app.run_until_idle(raise_errors=True)
    assert await run.status() is RunState.WAITING
    await app.travel(100)
    assert await run.result() == [1]
    assert bodies == 3


async def test_a_running_branch_keeps_the_run_from_parking(registry: Registry, app: MemoryApp) -> None:
    bodies = 0

    async def slow() -> int:
        await asyncio.sleep(0.05)
        return 1

    @registry.workflow
    async def flow(ctx: WorkflowContext) -> int:
        nonlocal bodies
        bodies += 1
        _, one = await asyncio.gather(ctx.sleep(30), ctx.step("slow", slow))
        return one

    assert await result_of(app, flow, travel=30) == 1
    assert bodies == 2


async def test_a_failed_branch_is_tried_again_while_tries_are_left_and_then_recorded_before_the_run_parks(
    registry: Registry, app: MemoryApp, effects: Effects
) -> None:
    async def naps(ctx: WorkflowContext) -> None:
        for i in range(5):
            await ctx.sleep(60, name=f"nap-{i}")

    @registry.workflow(max_retries=2, backoff=Constant(1))
    async def flow(ctx: WorkflowContext) -> str:
        try:
            await ctx.parallel(ctx.step("bad", effects.fail, "bad"), naps(ctx))
        except StepFailed as error:
            return error.type
        return "unreached"

    run = await flow.start()
    await app.run_until_idle()
    await app.travel(600)
    assert await run.result() == "ValueError"
    assert effects.log == ["bad fails"] * 3


async def test_a_branch_that_fails_for_good_does_not_run_again_at_each_wake(
    registry: Registry, app: MemoryApp, effects: Effects
) -> None:
    async def refuse() -> None:
        effects.log.append("refused")
        raise Fail("no")

    async def naps(ctx: WorkflowContext) -> None:
        for i in range(3):
            await ctx.sleep(60, name=f"nap-{i}")

    @registry.workflow
    async def flow(ctx: WorkflowContext) -> None:
        await ctx.parallel(ctx.step("refuse", refuse), naps(ctx))

    run = await flow.start()
    await app.travel(600)
    with pytest.raises(RunFailed, match="no"):
        await run.result()
    assert effects.log == ["refused"]


async def test_fan_out_keeps_the_order_of_its_items_and_its_limit(registry: Registry, app: MemoryApp) -> None:
    running = most = 0

    async def square(n: int, plus: int) -> int:
        nonlocal running, most
        running += 1
        most = max(most, running)
        await asyncio.sleep(0.001 * (5 - n % 5))
        running -= 1
        return n * n + plus

    @registry.workflow
    async def flow(ctx: WorkflowContext) -> list[int]:
        return await ctx.fan_out("squares", square, range(20), plus=1).limit(4)

    run = await flow.start()
    assert await run.result() == [n * n + 1 for n in range(20)]
    assert most == 4
    assert len(await app.workflows.timeline(run.id)) == 20


async def test_fan_out_over_nothing_is_nothing(registry: Registry, app: MemoryApp, effects: Effects) -> None:
    @registry.workflow
    async def flow(ctx: WorkflowContext) -> list[str]:
        return await ctx.fan_out("none", effects.do, [])

    assert await result_of(app, flow) == []


async def test_fan_out_finishes_the_others_and_raises_the_first_failure(
    registry: Registry, app: MemoryApp, effects: Effects
) -> None:
    async def odd(n: int) -> int:
        if n % 2:
            raise ValueError(f"{n} is odd")
        await effects.do(str(n))
        return n

    @registry.workflow(max_retries=0)
    async def flow(ctx: WorkflowContext) -> None:
        await ctx.fan_out("odd", odd, range(6)).limit(2)

    run = await flow.start()
    await app.run_until_idle()
    with pytest.raises(RunFailed, match="1 is odd"):
        await run.result()
    assert sorted(effects.log) == ["0", "2", "4"]


async def test_fan_out_collects_failures_which_replay_as_they_were(
    registry: Registry, app: MemoryApp, effects: Effects
) -> None:
    tries = 0

    async def odd(n: int) -> int:
        nonlocal tries
        tries += 1
        if n % 2:
            raise ValueError(f"{n} is odd")
        return n

    @registry.workflow
    async def flow(ctx: WorkflowContext) -> list[str]:
        results = await ctx.fan_out("odd", odd, range(4)).on_error("collect")
        await ctx.sleep(10)
        return [r.message if isinstance(r, StepFailed) else str(r) for r in results]

    assert await result_of(app, flow, travel=10) == ["0", "1 is odd", "2", "3 is odd"]
    assert tries == 4


async def test_a_hundred_fan_ins_of_two_children(registry: Registry, app: MemoryApp) -> None:
    @registry.workflow
    async def child(ctx: WorkflowContext, n: int) -> int:
        return n

    @registry.workflow
    async def parent(ctx: WorkflowContext, n: int) -> int:
        return sum(await ctx.fan_out("two", child, [n, n + 1]))

    runs = [await parent.start(n) for n in range(100)]
    done = await app.run_until_idle(raise_errors=True)
    assert done.completed == 300
    assert [await run.result() for run in runs] == [2 * n + 1 for n in range(100)]


async def test_fan_out_over_workflows_starts_no_more_than_its_limit_at_once(registry: Registry, app: MemoryApp) -> None:
    running = most = 0

    async def note(by: int) -> None:
        nonlocal running, most
        running += by
        most = max(most, running)

    @registry.workflow
    async def child(ctx: WorkflowContext, n: int) -> int:
        await ctx.step("begin", note, 1)
        await ctx.sleep(n + 1)
        await ctx.step("end", note, -1)
        return n

    @registry.workflow
    async def parent(ctx: WorkflowContext) -> list[int]:
        return await ctx.fan_out("kids", child, range(12)).limit(3)

    run = await parent.start()
    await app.travel(200, raise_errors=True)
    assert await run.result() == list(range(12))
    assert most == 3


async def test_steps_on_the_workers_are_jobs_and_their_results_typed(registry: Registry, app: MemoryApp) -> None:
    @registry.job(queue="heavy", max_retries=0)
    def crunch(n: int) -> tuple[int, int]:
        return n, n * n

    @registry.workflow
    async def flow(ctx: WorkflowContext) -> list[Any]:
        one = await ctx.step("one", crunch, 3).on_workers()
        many = await ctx.fan_out("many", crunch, [1, 2]).on_workers().limit(1)
        assert isinstance(one, tuple)
        return [one, many]

    assert await result_of(app, flow) == [[3, 9], [[1, 1], [2, 4]]]
    calls = app.enqueued(crunch)
    assert [(call.arguments, call.job.queue) for call in calls] == [({"n": n}, "heavy") for n in (3, 1, 2)]


async def test_a_step_on_the_workers_that_fails_is_a_failed_child(registry: Registry, app: MemoryApp) -> None:
    @registry.job(max_retries=0)
    async def broken() -> None:
        raise ValueError("no")

    @registry.workflow
    async def flow(ctx: WorkflowContext) -> list[str]:
        try:
            await ctx.step("remote", broken).on_workers()
        except ChildFailed as error:
            return [error.step, error.type, error.message, error.state]
        return []

    run = await flow.start()
    await app.run_until_idle()
    assert await run.result() == ["remote", "ValueError", "no", "failed"]


async def test_only_jobs_run_on_the_workers(registry: Registry, app: MemoryApp, effects: Effects) -> None:
    @registry.workflow(max_retries=0)
    async def flow(ctx: WorkflowContext) -> None:
        await ctx.step("here", effects.do, "x").on_workers()

    run = await flow.start()
    await app.run_until_idle()
    with pytest.raises(RunFailed, match="on_workers\\(\\) runs a @job"):
        await run.result()


async def test_child_runs_take_no_options_of_steps(registry: Registry, app: MemoryApp) -> None:
    @registry.workflow
    async def child(ctx: WorkflowContext, n: int) -> int:
        return n

    @registry.workflow(max_retries=0)
    async def flow(ctx: WorkflowContext) -> None:
        await ctx.fan_out("kids", child, [1]).retry(3)

    run = await flow.start()
    await app.run_until_idle()
    with pytest.raises(RunFailed, match="starts child runs, which have retries and timeouts of their own"):
        await run.result()


@pytest.mark.parametrize("verb", ["parallel", "gather", "fan_out"])
async def test_a_failure_survived_before_branches_is_recorded_by_them_so_that_their_undos_are_found(
    registry: Registry, app: MemoryApp, effects: Effects, verb: str
) -> None:
    @registry.workflow(max_retries=0)
    async def flow(ctx: WorkflowContext) -> None:
        with contextlib.suppress(StepFailed):
            await ctx.step("bad", effects.fail, "bad")
        steps = (ctx.step(name, effects.do, name).compensate(effects.undo) for name in ("one", "two"))
        if verb == "parallel":
            await ctx.parallel(*steps)
        elif verb == "gather":
            await asyncio.gather(*steps)
        else:
            await ctx.parallel(*steps, ctx.fan_out("many", effects.do, ["three", "four"]))
        raise ValueError("no")

    run = await flow.start()
    with crash_after("two"):
        await app.run_until_idle()
    assert await run.status() is RunState.FAILED
    kinds = {c.name: c.kind for c in await app.workflows.timeline(run.id)}
    assert kinds["bad"] == "failure"
    assert effects.count("bad fails") == 1
    assert sorted(line for line in effects.log if line.startswith("undo")) == ["undo one", "undo two"]
