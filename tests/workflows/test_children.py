"""Children of a run: waited for, spawned, queued; what their ends mean to it, and its end to them."""

from __future__ import annotations

from typing import Any

import pytest

from dispatch import Fail, Scope, WorkflowContext
from dispatch.documents.runs import checkpoint_document
from dispatch.errors import ChildFailed, RunFailed
from dispatch.ids import JobID, RunID
from dispatch.registry import Registry
from dispatch.scope import use_scope
from dispatch.testing import MemoryApp
from dispatch.workflows import ListOptions, RunState
from tests.workflows.conftest import Effects


async def test_a_child_s_failure_is_told_with_its_type_and_is_not_tried_again(
    registry: Registry, app: MemoryApp
) -> None:
    bodies = 0

    @registry.workflow
    async def child(ctx: WorkflowContext) -> None:
        raise Fail("no")

    @registry.workflow
    async def parent(ctx: WorkflowContext) -> None:
        nonlocal bodies
        bodies += 1
        await ctx.run_child(child)

    run = await parent.start()
    await app.travel(600)
    with pytest.raises(RunFailed, match="Fail: step 'child': no"):
        await run.result()
    assert bodies == 3  # to the wait, from its end, and once more to see what there is to take back


async def test_a_cancelled_child_is_a_failed_step_that_can_be_caught(registry: Registry, app: MemoryApp) -> None:
    @registry.workflow
    async def child(ctx: WorkflowContext) -> None:
        await ctx.sleep(3600)

    @registry.workflow
    async def parent(ctx: WorkflowContext) -> list[str]:
        try:
            await ctx.run_child(child, name="kid")
        except ChildFailed as error:
            return [error.step, error.state, error.child]
        return []

    run = await parent.start()
    await app.run_until_idle()
    (kid,) = (await app.workflows.list(ListOptions(parent=run.id))).items
    await app.workflows.cancel(kid.id)
    await app.run_until_idle()
    assert await run.result() == ["kid", "cancelled", kid.id]


async def test_the_children_of_a_cancelled_parent_are_cancelled_and_take_back(
    registry: Registry, app: MemoryApp, effects: Effects
) -> None:
    @registry.workflow
    async def child(ctx: WorkflowContext) -> None:
        await ctx.step("work", effects.do, "work").compensate(effects.undo)
        await ctx.sleep(3600)

    @registry.workflow
    async def parent(ctx: WorkflowContext) -> None:
        await ctx.run_child(child)

    run = await parent.start()
    await app.run_until_idle()
    await run.cancel()
    await app.run_until_idle()
    (kid,) = (await app.workflows.list(ListOptions(parent=run.id))).items
    assert (await run.status(), kid.state) == (RunState.CANCELLED, RunState.CANCELLED)
    assert effects.log == ["work", "undo work"]


async def test_a_spawned_child_goes_on_when_its_parent_has_completed(registry: Registry, app: MemoryApp) -> None:
    @registry.workflow
    async def survey(ctx: WorkflowContext, order: int) -> int:
        await ctx.sleep(60)
        return order

    @registry.workflow
    async def parent(ctx: WorkflowContext) -> str:
        handle = await ctx.spawn_child(survey, 7)
        await ctx.sleep(1)
        return handle.id

    run = await parent.start()
    await app.travel(100, raise_errors=True)
    spawned = RunID(await run.result())
    assert (await app.workflows.get(spawned)).result == b"7"
    (visit,) = (c for c in await app.workflows.timeline(run.id) if c.kind == "child")
    assert checkpoint_document(visit)["state"] == "recorded", "nobody waits for a spawned child"
    assert (await app.workflows.count())[RunState.COMPLETED] == 2


async def test_where_a_unique_key_is_taken_the_handle_is_of_the_one_that_has_it(
    registry: Registry, app: MemoryApp
) -> None:
    @registry.job
    async def remind() -> None: ...

    @registry.workflow
    async def survey(ctx: WorkflowContext) -> None:
        await ctx.sleep(3600)

    @registry.workflow
    async def flow(ctx: WorkflowContext) -> list[str]:
        jobs = [await ctx.enqueue(remind.options(unique="r", delay=60), name=f"job-{i}") for i in range(2)]
        runs = [await ctx.spawn_child(survey.options(unique="s"), name=f"run-{i}") for i in range(2)]
        await ctx.sleep(1, name="replayed")
        assert [handle.created for handle in (*jobs, *runs)] == [True, False, True, False]
        return [*(job.id for job in jobs), *(run.id for run in runs)]

    run = await flow.start()
    await app.travel(2, raise_errors=True)
    one, two, three, four = await run.result()
    assert one == two and three == four
    assert (await app.jobs.get(JobID(one))).name == "remind"
    assert (await app.workflows.get(RunID(three))).name == "survey"


async def test_an_enqueued_job_is_queued_once_with_its_options(registry: Registry, app: MemoryApp) -> None:
    @registry.job
    async def remind(name: str, order: int) -> None: ...

    @registry.workflow
    async def flow(ctx: WorkflowContext) -> str:
        handle = await ctx.enqueue(remind.options(queue="mails", delay=30), "ada", 1)
        await ctx.sleep(10)
        return handle.id

    run = await flow.start()
    await app.travel(10, raise_errors=True)
    (call,) = app.enqueued(remind)
    assert call.job.id == JobID(await run.result())
    assert (call.arguments, call.job.queue) == ({"name": "ada", "order": 1}, "mails")


async def test_children_belong_to_the_tenant_of_their_parent(registry: Registry, app: MemoryApp) -> None:
    @registry.job
    async def work() -> None: ...

    @registry.workflow
    async def child(ctx: WorkflowContext) -> None: ...

    @registry.workflow
    async def parent(ctx: WorkflowContext) -> None:
        await ctx.run_child(child)
        await ctx.step("remote", work).on_workers()
        await ctx.enqueue(work, name="later")

    with use_scope("shop", "t-1"):
        await parent.start()
    await app.run_until_idle(raise_errors=True)
    shop = Scope("shop", "t-1")
    assert {run.scope for run in (await app.workflows.list()).items} == {shop}
    assert {call.job.scope for call in app.enqueued(work)} == {shop}


@pytest.mark.parametrize("option", [{"unique": "one"}, {"idempotency_key": "one"}])
async def test_a_child_that_is_waited_for_is_the_run_s_own(
    registry: Registry, app: MemoryApp, option: dict[str, Any]
) -> None:
    @registry.workflow
    async def child(ctx: WorkflowContext) -> None: ...

    @registry.workflow(max_retries=0)
    async def parent(ctx: WorkflowContext) -> None:
        await ctx.run_child(child.options(**option))

    run = await parent.start()
    await app.run_until_idle()
    with pytest.raises(RunFailed, match="a run can wait only for a child of its own"):
        await run.result()


async def test_a_child_s_arguments_are_checked_when_it_is_started(registry: Registry, app: MemoryApp) -> None:
    @registry.workflow
    async def child(ctx: WorkflowContext, n: int) -> None: ...

    @registry.workflow(max_retries=0)
    async def parent(ctx: WorkflowContext) -> None:
        await ctx.run_child(child, "many")  # type: ignore[call-overload]

    run = await parent.start()
    await app.run_until_idle()
    with pytest.raises(RunFailed, match="InvalidArguments: child: n: Input should be a valid integer"):
        await run.result()
    assert (await app.workflows.list(ListOptions(names=["child"]))).items == []


async def test_a_parameter_called_name_is_the_child_s(registry: Registry, app: MemoryApp) -> None:
    @registry.workflow
    async def greet(ctx: WorkflowContext, name: str) -> str:
        return f"hello {name}"

    @registry.workflow
    async def parent(ctx: WorkflowContext) -> str:
        return await ctx.run_child(greet, name="ada")

    run = await parent.start()
    assert await run.result() == "hello ada"
