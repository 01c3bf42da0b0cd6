"""Forks of runs that have failed: they go on with the step that failed, which is not recorded."""

from __future__ import annotations

import pytest

from dispatch import WorkflowContext
from dispatch.errors import Fail, InvalidArguments
from dispatch.registry import Registry
from dispatch.testing import MemoryApp
from dispatch.workflows import RunState


@pytest.mark.parametrize("name", ["ship", 'it\'s "so"'])
async def test_a_fork_goes_on_with_the_step_that_failed(registry: Registry, app: MemoryApp, name: str) -> None:
    log: list[str] = []
    sold_out = True

    async def do(what: str) -> str:
        log.append(what)
        if what == name and sold_out:
            raise Fail("sold out")
        return what

    async def undo(what: str) -> None:
        log.append(f"undo {what}")

    @registry.workflow(max_retries=0)
    async def flow(ctx: WorkflowContext) -> str:
        await ctx.step("charge", do, "charge").compensate(undo)
        await ctx.step("pack", do, "pack")
        return await ctx.step(name, do, name).retry(0)

    run = await flow.start()
    await app.run_until_idle()
    assert await run.status() is RunState.FAILED
    assert log == ["charge", "pack", name, "undo charge"]
    with pytest.raises(InvalidArguments, match="has recorded no 'shp'") as refused:
        await app.workflows.fork(run.id, before="shp")
    assert ("did you mean 'ship'?" in str(refused.value)) == (name == "ship")
    sold_out = False
    log.clear()
    fork = await app.workflows.fork(run.id, before=name, edits={"pack": "box"})
    await app.run_until_idle()
    assert log == [name]
    assert (await app.workflows.get(fork.id)).state is RunState.COMPLETED
    journal = [(c.name, c.data, c.inherited) for c in await app.workflows.timeline(fork.id)]
    assert journal == [("charge", b'"charge"', True), ("pack", b'"box"', True), (name, journal[2][1], False)]


async def test_a_failure_of_the_body_itself_names_no_step(registry: Registry, app: MemoryApp) -> None:
    @registry.workflow(max_retries=0)
    async def flow(ctx: WorkflowContext) -> None:
        raise Fail("step one was nothing")

    run = await flow.start()
    await app.run_until_idle()
    with pytest.raises(InvalidArguments, match="has recorded no 'one'"):
        await app.workflows.fork(run.id, before="one")


@pytest.mark.parametrize("text", ["step 'one': foo", r"step '\x': foo", r"step '\N{nothing}': foo"])
async def test_an_error_that_only_looks_like_that_of_a_step_names_none(
    registry: Registry, app: MemoryApp, text: str
) -> None:
    @registry.workflow(max_retries=0)
    async def flow(ctx: WorkflowContext) -> None:
        raise ValueError(text)

    run = await flow.start()
    await app.run_until_idle()
    with pytest.raises(InvalidArguments, match="has recorded no 'one'"):
        await app.workflows.fork(run.id, before="one")


async def test_a_step_that_is_to_be_tried_again_has_not_failed_yet(registry: Registry, app: MemoryApp) -> None:
    async def break_down() -> None:
        raise OSError("for now")

    @registry.workflow(max_retries=5)
    async def flow(ctx: WorkflowContext) -> None:
        await ctx.step("bad", break_down).retry(0)

    run = await flow.start()
    await app.run_until_idle()
    found = await app.workflows.get(run.id)
    assert not found.state.terminal and found.error is not None and "step 'bad'" in found.error.message
    with pytest.raises(InvalidArguments, match="has recorded no 'bad'"):
        await app.workflows.fork(run.id, before="bad")
