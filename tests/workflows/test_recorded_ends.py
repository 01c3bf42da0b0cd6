"""Runs that a recorded child has ended: what a retry answers, and what makes them go on."""

from __future__ import annotations

import pytest

from dispatch import Fail, WorkflowContext
from dispatch.errors import ChildFailed, RunFailed, RunNotRetryable
from dispatch.registry import Registry
from dispatch.services.recorded import end_of, ended_by
from dispatch.testing import MemoryApp
from dispatch.workflows import RunState
from tests.workflows.conftest import Effects


async def test_a_run_that_its_child_has_ended_is_not_retried_and_the_fork_that_is_named_finishes_it(
    registry: Registry, app: MemoryApp, effects: Effects
) -> None:
    broken = True

    def ship() -> None:
        if broken:
            raise Fail("the carrier is away")

    @registry.workflow
    async def child(ctx: WorkflowContext) -> str:
        await ctx.step("ship", ship)
        return "shipped"

    @registry.workflow
    async def parent(ctx: WorkflowContext) -> str:
        await ctx.step("charge", effects.do, "charge")
        return await ctx.run_child(child, name="send it")

    run = await parent.start()
    await app.run_until_idle()
    with pytest.raises(RunFailed, match="Fail: step 'send it': step 'ship': the carrier is away"):
        await run.result()
    broken = False
    fork = f"`dispatch workflow fork {run.id} --from 'send it'` makes a new run"
    with pytest.raises(RunNotRetryable, match=fork):
        await app.workflows.retry(run.id)
    letters = [letter for letter in (await app.dlq.list()).items if letter.job_name == "parent@1"]
    with pytest.raises(RunNotRetryable, match=fork):
        await app.dlq.replay(letters[0].id)
    assert await run.status() is RunState.FAILED
    forked = await app.workflows.fork(run.id, before="send it")
    await app.run_until_idle()
    assert (await app.workflows.get(forked.id)).result == b'"shipped"'
    assert effects.log == ["charge"]


async def test_a_run_that_a_step_on_the_workers_has_ended_is_not_retried(registry: Registry, app: MemoryApp) -> None:
    @registry.job(max_retries=0)
    async def pack() -> None:
        raise Fail("no boxes")

    @registry.workflow
    async def parent(ctx: WorkflowContext) -> None:
        await ctx.step("pack", pack).on_workers()

    run = await parent.start()
    await app.run_until_idle()
    with pytest.raises(RunNotRetryable, match=f"workflow fork {run.id} --from pack`"):
        await app.workflows.retry(run.id)


async def test_a_run_that_survived_its_child_and_failed_of_something_else_is_retried(
    registry: Registry, app: MemoryApp
) -> None:
    broken = True

    def refund() -> None:
        if broken:
            raise Fail("no")

    @registry.workflow
    async def child(ctx: WorkflowContext) -> None:
        await ctx.step("refund", refund)

    @registry.workflow
    async def parent(ctx: WorkflowContext) -> str:
        try:
            await ctx.run_child(child)
        except ChildFailed:
            await ctx.step("refund", refund)
        return "refunded"

    run = await parent.start()
    await app.run_until_idle()
    with pytest.raises(RunFailed, match="Fail: step 'refund': no"):
        await run.result()
    (ended,) = await app.workflows.children(run.id)
    journal = await app.workflows.timeline(run.id)
    assert (ended.state, ended_by(await run.run(), journal, [ended])) == ("failed", None)
    broken = False
    await app.workflows.retry(run.id)
    await app.run_until_idle()
    assert await run.result() == "refunded"


async def test_an_error_of_the_bodys_own_that_reads_like_its_childs_is_none_of_the_child(
    registry: Registry, app: MemoryApp
) -> None:
    broken = True

    def ship() -> None:
        raise Fail("no")

    @registry.workflow
    async def child(ctx: WorkflowContext) -> None:
        await ctx.step("ship", ship)

    @registry.workflow
    async def parent(ctx: WorkflowContext) -> str:
        try:
            await ctx.run_child(child)
        except ChildFailed as error:
            if broken:
                raise Fail(f"step 'child': {error.message}") from None
        return "went on"

    run = await parent.start()
    await app.run_until_idle()
    with pytest.raises(RunFailed, match="Fail: step 'child': step 'ship': no"):
        await run.result()
    broken = False
    await app.workflows.retry(run.id)
    await app.run_until_idle()
    assert await run.result() == "went on"


async def test_what_ended_a_run_is_told_by_its_journal_for_as_long_as_it_has_that_end(
    registry: Registry, app: MemoryApp
) -> None:
    trouble = "step"

    def ship() -> None:
        if trouble == "step":
            raise Fail("no carrier")

    @registry.workflow(max_retries=0)
    async def parent(ctx: WorkflowContext) -> None:
        if trouble == "body":
            raise Fail("step 'ship': no address")
        await ctx.step("ship", ship)

    run = await parent.start()
    await app.run_until_idle()
    (told,) = await app.workflows.timeline(run.id)
    error = b'{"error":{"type":"Fail","message":"step \'ship\': no carrier"}}'
    assert (told.name, told.kind, told.data) == ("ship~failed-1", "value", error)
    assert end_of(await run.run(), [told]) == ("ship", told)
    for cause, end in (("body", None), ("step", "ship")):
        trouble = cause
        await app.workflows.retry(run.id)
        await app.run_until_idle()
        journal = await app.workflows.timeline(run.id)
        found = end_of(await run.run(), journal)
        assert (found and found[0]) == end
    assert [visit.name for visit in journal] == ["ship~failed-1", "ship~failed-2"]
    trouble = ""
    fork = await app.workflows.fork(run.id, before="ship")
    await app.run_until_idle()
    assert [visit.name for visit in await app.workflows.timeline(fork.id)] == ["ship~failed-1", "ship"]
