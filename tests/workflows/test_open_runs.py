"""How many runs of a workflow are open at once: `concurrency`, from the decorator to what people are told of it."""

from __future__ import annotations

from datetime import timedelta

import pytest

from dispatch import Limit, WorkflowContext
from dispatch.errors import InvalidDefinition
from dispatch.ids import RunID
from dispatch.jobs.model import Job, ListOptions
from dispatch.jobs.options import EnqueueOptions
from dispatch.registry import Registry
from dispatch.testing import MemoryApp
from dispatch.workflows import RunHandle, RunState
from dispatch.workflows.model import ListOptions as RunOptions

from .conftest import Effects


async def states(app: MemoryApp, *runs: RunHandle[None]) -> list[str]:
    """Where the runs stand."""
    return [str((await app.workflows.get(run.id)).state) for run in runs]


async def test_a_run_that_sleeps_keeps_the_next_one_waiting(
    registry: Registry, app: MemoryApp, effects: Effects
) -> None:
    @registry.workflow(concurrency=Limit(key=lambda customer: customer, max=1))
    async def sync_all(ctx: WorkflowContext, customer: str, number: int = 0) -> None:
        await ctx.step("begin", effects.do, f"begin {customer} {number}")
        await ctx.sleep(60)
        await ctx.step("end", effects.do, f"end {customer} {number}")

    first, second, other = await sync_all.start("a"), await sync_all.start("a", 1), await sync_all.start("b")
    await app.run_until_idle()
    assert await states(app, first, second, other) == ["waiting", "pending", "waiting"]
    await app.travel(60)
    assert await states(app, first, second, other) == ["completed", "waiting", "completed"]
    await app.travel(60)
    assert [line for line in effects.log if " a " in line] == ["begin a 0", "end a 0", "begin a 1", "end a 1"]


async def test_a_run_that_waits_for_a_place_says_who_has_it(registry: Registry, app: MemoryApp) -> None:
    @registry.workflow(concurrency=Limit(max=1))
    async def nightly(ctx: WorkflowContext) -> None:
        await ctx.wait_for_event("go")

    first, second = await nightly.start(), await nightly.start()
    await app.run_until_idle()
    waiting = await app.workflows.get(second.id)
    says = f"blocked by key '@|nightly|', 1/1 held by {first.id}"
    assert await app.workflows.held_up(waiting) == says
    assert (await app.jobs.explain(waiting.driver)).summary == says
    begun = await app.workflows.get(first.id)
    assert await app.workflows.held_up(begun) is None
    (place,) = [gate for gate in (await app.jobs.explain(begun.driver)).gates if gate.name == "concurrency"]
    assert (place.open, place.text) == (True, "its run holds one of the 1 places of key '@|nightly|' until it ends")
    await app.events.publish("go")
    await app.run_until_idle()
    assert await states(app, first, second) == ["completed", "completed"]


async def test_a_waiting_run_that_is_cancelled_never_begins_and_waits_for_nobody(
    registry: Registry, app: MemoryApp, effects: Effects
) -> None:
    @registry.workflow(concurrency=Limit(max=1))
    async def flow(ctx: WorkflowContext, number: int) -> None:
        await ctx.step("do", effects.do, f"do {number}").compensate(effects.undo)
        await ctx.sleep(60)

    first, second, third = [await flow.start(number) for number in range(3)]
    await app.run_until_idle()
    await app.workflows.cancel(second.id)
    await app.run_until_idle()
    assert await states(app, first, second, third) == ["waiting", "cancelled", "pending"]
    await app.workflows.cancel(first.id)
    await app.run_until_idle()
    assert await states(app, first, second, third) == ["cancelled", "cancelled", "waiting"]
    assert effects.log == ["do 0", "undo do 0", "do 2"]


async def test_options_names_versions_and_forks_keep_the_key(registry: Registry, app: MemoryApp) -> None:
    @registry.workflow(concurrency=Limit(key="all", name="imports", max=2))
    async def flow(ctx: WorkflowContext) -> None:
        await ctx.sleep(1)
        await ctx.sleep(1, name="again")

    @registry.workflow(name="flow", version=2, concurrency=Limit(key="all", name="imports", max=2))
    async def newer(ctx: WorkflowContext) -> None:
        await ctx.sleep(1)

    @registry.workflow
    async def other(ctx: WorkflowContext) -> None:
        await ctx.sleep(1)

    run = await flow.start()
    await newer.start()
    await other.options(concurrency=Limit(key="all", name="imports", max=2)).start()
    await app.workflows.start_named("flow", options=EnqueueOptions(tags=("by name",)))
    keys = {job.concurrency_key for job in await drivers(app)}
    assert keys == {"@|imports|all"}
    await app.run_until_idle()
    assert (await app.workflows.count())[RunState.WAITING] == 2
    await app.travel(10)
    fork = await app.workflows.fork(run.id, before="again")
    driver = await app.jobs.get((await app.workflows.get(RunID(fork.id))).driver)
    assert (driver.concurrency_key, driver.concurrency_max) == ("@|imports|all", 2)


async def drivers(app: MemoryApp) -> list[Job]:
    """The jobs that drive runs."""
    return (await app.jobs.list(ListOptions(kinds=("workflow",)))).items


async def test_children_are_held_to_the_key_of_their_workflow(registry: Registry, app: MemoryApp) -> None:
    @registry.workflow(concurrency=Limit(max=2))
    async def one(ctx: WorkflowContext, number: int) -> int:
        await ctx.sleep(timedelta(minutes=1))
        return number

    @registry.workflow
    async def many(ctx: WorkflowContext) -> list[int]:
        found: list[int] = await ctx.fan_out("each", one, range(5))
        return found

    run = await many.start()
    for minute in range(3):
        await app.run_until_idle()
        counts = await app.workflows.count(names=["one"])
        assert (counts[RunState.COMPLETED], counts[RunState.WAITING]) == (2 * minute, min(2, 5 - 2 * minute))
        await app.travel(60)
    assert await run.result(timeout=5) == [0, 1, 2, 3, 4]


def test_a_key_that_takes_more_than_the_workflow_does_is_refused(registry: Registry) -> None:
    with pytest.raises(InvalidDefinition, match="the concurrency key takes 2 arguments, the workflow fewer"):

        @registry.workflow(concurrency=Limit(key=lambda a, b: (a, b), max=1))
        async def flow(ctx: WorkflowContext, order: int) -> None: ...


async def test_a_run_that_waits_for_a_child_under_its_own_full_key_is_told_of(
    registry: Registry, app: MemoryApp, caplog: pytest.LogCaptureFixture
) -> None:
    shared = Limit(key="all", name="imports", max=1)

    @registry.workflow(concurrency=shared)
    async def leaf(ctx: WorkflowContext) -> None: ...

    @registry.workflow
    async def middle(ctx: WorkflowContext) -> None:
        await ctx.run_child(leaf)

    @registry.workflow(concurrency=shared)
    async def top(ctx: WorkflowContext) -> None:
        await ctx.run_child(middle)

    @registry.workflow(concurrency=shared)
    async def direct(ctx: WorkflowContext) -> None:
        await ctx.parallel(ctx.run_child(leaf), ctx.run_child(leaf, name="again"))

    run = await top.start()
    await app.run_until_idle()
    (blocked,) = (await app.workflows.list(RunOptions(names=("leaf",)))).items
    says = await app.workflows.held_up(blocked)
    assert says is not None
    assert f"{run.id} started this run: if it waits for it, neither ever goes on. Cancel {run.id}" in says
    assert "under its own concurrency key" not in caplog.text
    await run.cancel()
    run = await direct.start()
    await app.run_until_idle()
    (warning,) = [record for record in caplog.records if "under its own concurrency key" in record.message]
    assert warning.message == (
        f"direct@1 ({run.id}) waits for its child leaf@1 under its own concurrency key '@|imports|all' (max 1): where "
        "runs that wait so hold every place, no child begins and they wait for ever; give the child a key of its own"
    )


async def test_a_child_that_others_keep_waiting_is_not_said_to_wait_for_ever(
    registry: Registry, app: MemoryApp, caplog: pytest.LogCaptureFixture
) -> None:
    @registry.workflow(concurrency=Limit(max=1))
    async def leaf(ctx: WorkflowContext) -> None:
        await ctx.sleep(60)

    @registry.workflow(concurrency=Limit(max=1))
    async def top(ctx: WorkflowContext) -> None:
        await ctx.run_child(leaf)

    await leaf.start()
    await app.run_until_idle()
    await top.start()
    await app.run_until_idle()
    (blocked,) = (await app.workflows.list(RunOptions(names=("leaf",), states=(RunState.PENDING,)))).items
    says = await app.workflows.held_up(blocked)
    assert says is not None
    assert says.startswith("blocked by key '@|leaf|'")
    assert "neither" not in says
    assert "concurrency key" not in caplog.text


async def test_the_body_of_a_run_that_is_cancelled_before_it_began_is_not_played(
    registry: Registry, app: MemoryApp, effects: Effects
) -> None:
    @registry.workflow(concurrency=Limit(max=1))
    async def flow(ctx: WorkflowContext, number: int) -> None:
        effects.log.append(f"body {number}")
        await ctx.sleep(60)

    first, second = await flow.start(1), await flow.start(2)
    await app.run_until_idle()
    await second.cancel()
    await app.run_until_idle()
    assert await states(app, first, second) == ["waiting", "cancelled"]
    assert effects.log == ["body 1"]
