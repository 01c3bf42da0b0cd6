"""Starting runs and asking after them: handles, options, names, the synchronous twin, and a worker that really runs."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from dispatch import Dispatch, WorkflowContext
from dispatch.config import Config
from dispatch.errors import (
    DuplicateJob,
    InvalidArguments,
    RunNotFound,
    WaitRefused,
    WaitTimeout,
    WorkflowNotFound,
)
from dispatch.ids import RunID
from dispatch.registry import Registry
from dispatch.testing import MemoryApp
from dispatch.workflows import RunState

QUIET = Config(auto_open=False)


async def test_a_unique_run_is_answered_while_it_lives(registry: Registry, app: MemoryApp) -> None:
    @registry.workflow(unique=lambda order: order)
    async def flow(ctx: WorkflowContext, order: int) -> int:
        await ctx.sleep(10)
        return order

    @registry.job(unique=lambda order: order)
    async def other(order: int) -> None: ...

    first, again, another = await flow.start(1), await flow.start(1), await flow.start(2)
    assert (first.id, first.created, again.created) == (again.id, True, False)
    assert another.id != first.id
    assert (await other.enqueue(1)).created
    with pytest.raises(DuplicateJob):
        await flow.options(on_conflict="raise").start(1)
    await app.travel(10)
    assert (await flow.start(1)).id != first.id


async def test_an_idempotent_start_makes_one_run(registry: Registry, app: MemoryApp) -> None:
    @registry.workflow
    async def flow(ctx: WorkflowContext, n: int) -> int:
        return n

    first = await flow.options(idempotency_key="k").start(1)
    await app.run_until_idle()
    again = await flow.options(idempotency_key="k").start(1)
    assert (again.id, again.created) == (first.id, False)
    assert await again.result() == 1


async def test_arguments_are_checked_at_the_start(registry: Registry, app: MemoryApp) -> None:
    @registry.workflow
    async def flow(ctx: WorkflowContext, n: int) -> None: ...

    with pytest.raises(InvalidArguments, match="flow: n: Input should be a valid integer"):
        await flow.start("x")  # type: ignore[arg-type]
    with pytest.raises(InvalidArguments, match="no parameter 'ctx'"):
        await flow.start(1, ctx=2)  # type: ignore[call-arg]


async def test_runs_are_started_by_name_with_the_newest_version(registry: Registry, app: MemoryApp) -> None:
    for version in (1, 3, 2):

        @registry.workflow(name="flow", version=version)
        async def flow(ctx: WorkflowContext, n: int = 0) -> int:
            return n

    created = await app.workflows.start_named("flow", {"n": 4})
    assert (await app.workflows.get(created.id)).version == 3
    assert (await app.workflows.get((await app.workflows.start_named("flow", [4], version=2)).id)).version == 2
    with pytest.raises(WorkflowNotFound):
        await app.workflows.start_named("flow", version=9)
    with pytest.raises(InvalidArguments, match="no parameter 'm'; it takes n"):
        await app.workflows.start_named("flow", {"m": 4})


async def test_an_app_without_the_code_starts_what_another_has_announced(registry: Registry, app: MemoryApp) -> None:
    @registry.workflow(queue="shop")
    async def flow(ctx: WorkflowContext, n: int) -> int:
        return n * 2

    await app.announce()
    outside = Dispatch(app.store, registry=Registry(), config=QUIET)
    created = await outside.workflows.start_named("flow", {"n": 4})
    with pytest.raises(InvalidArguments, match="flow: n:"):
        await outside.workflows.start_named("flow", {"n": "x"})
    with pytest.raises(WorkflowNotFound, match="did you mean 'flow'"):
        await outside.workflows.start_named("flwo", {})
    await app.run_until_idle()
    run = await app.workflows.get(created.id)
    assert (run.queue, run.result) == ("shop", b"8")


async def test_waiting_tells_what_a_run_waits_for(registry: Registry, app: MemoryApp) -> None:
    @registry.workflow
    async def flow(ctx: WorkflowContext) -> None:
        await ctx.wait_for_event("go", timeout=60)

    run = await flow.start()
    with pytest.raises(WaitTimeout, match=r"is waiting, for go, until .* Publish what it waits for"):
        await run.result()
    with pytest.raises(RunNotFound):
        await app.workflows.wait(RunID.new(), timeout=0)


async def test_waiting_for_a_run_inside_of_a_job_is_refused(registry: Registry, app: MemoryApp) -> None:
    @registry.workflow
    async def flow(ctx: WorkflowContext) -> None: ...

    @registry.job(max_retries=0)
    async def waits() -> str:
        try:
            await flow.execute()
        except WaitRefused as error:
            return str(error)
        return ""

    handle = await waits.enqueue()
    assert "ctx.run_child" in await handle.result()


async def test_drivers_are_no_jobs(registry: Registry, app: MemoryApp) -> None:
    @registry.workflow
    async def flow(ctx: WorkflowContext) -> None: ...

    await flow.start()
    await app.run_until_idle()
    assert app.enqueued() == []


def test_synchronous_code_starts_and_waits() -> None:
    registry = Registry()

    @registry.workflow
    async def double(ctx: WorkflowContext, n: int) -> int:
        return n * 2

    with Dispatch("memory://", registry=registry, config=QUIET) as app:
        app.sync.start()
        run = double.sync.start(4)
        assert run.result(timeout=10) == 8
        assert run.status() is RunState.COMPLETED
        assert run.run().version == 1
        assert double.sync.execute(5, timeout=10) == 10


async def test_a_worker_with_one_slot_plays_parents_and_children() -> None:
    registry = Registry()

    @registry.workflow
    async def child(ctx: WorkflowContext, n: int) -> int:
        await ctx.sleep(0.05)
        return n

    @registry.workflow
    async def parent(ctx: WorkflowContext) -> list[int]:
        return await ctx.fan_out("kids", child, range(5))

    config = Config.model_validate({"park_after": "0.001s", "poll_interval": "0.05s", "auto_open": False})
    async with Dispatch("memory://", registry=registry, config=config, concurrency=1) as app:
        await app.start()
        assert await parent.execute(timeout=20) == list(range(5))


async def test_a_short_sleep_is_waited_for_in_place(registry: Registry) -> None:
    bodies = 0

    @registry.workflow
    async def flow(ctx: WorkflowContext) -> None:
        nonlocal bodies
        bodies += 1
        await ctx.sleep(0.02)
        await asyncio.gather(ctx.sleep(0.01, name="a"), ctx.sleep(0.02, name="b"))

    async with Dispatch("memory://", registry=registry, config=QUIET) as app:
        await app.start()
        await flow.execute(timeout=10)
    assert bodies == 1


async def test_the_hooks_of_runs_are_told_what_happened(registry: Registry) -> None:
    from dispatch import hookimpl

    seen: list[tuple[Any, ...]] = []

    class Plugin:
        @hookimpl
        def workflow_started(self, run: Any) -> None:
            seen.append(("started", run.name))

        @hookimpl
        def workflow_step_completed(self, run: Any, step: str, elapsed: float) -> None:
            seen.append(("step", step))

        @hookimpl
        def workflow_step_failed(self, run: Any, step: str, error: Any) -> None:
            seen.append(("step failed", step, error.message))

        @hookimpl
        def workflow_completed(self, run: Any, elapsed: float) -> None:
            seen.append(("completed", run.name))

        @hookimpl
        def workflow_failed(self, run: Any, error: Any) -> None:
            seen.append(("failed", run.reason, error.type))

        @hookimpl
        def job_started(self, job: Any) -> None:
            seen.append(("a job",))

    async def fine() -> None: ...

    async def broken() -> None:
        raise ValueError("no")

    async def undo(result: None) -> None: ...

    @registry.workflow(max_retries=0)
    async def flow(ctx: WorkflowContext, fail: bool) -> None:
        await ctx.step("fine", fine).compensate(undo)
        await ctx.sleep(1)
        if fail:
            await ctx.step("broken", broken)

    async with MemoryApp(registry, plugins=[Plugin()]) as app:
        await flow.start(False)
        await app.travel(1)
        assert seen == [("started", "flow"), ("step", "fine"), ("completed", "flow")]
        seen.clear()
        await flow.start(True)
        await app.travel(1)
        assert seen == [
            ("started", "flow"),
            ("step", "fine"),
            ("step failed", "broken", "no"),
            ("step", "fine~undo"),
            ("failed", "exhausted", "ValueError"),
        ]


def test_a_job_is_no_workflow() -> None:
    @Registry().job
    async def a_job() -> None: ...

    with pytest.raises(Exception, match="is a job already"):
        Registry().workflow(a_job)  # type: ignore[call-overload]
