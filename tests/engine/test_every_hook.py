"""Every lifecycle hook on real work: told as often as the thing happened, beside plugins that raise, hang and exit."""

from __future__ import annotations

import asyncio
import inspect
import sys
from collections import Counter
from collections.abc import Callable
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from dispatch import Fail, WorkflowContext, hookimpl, hookspecs, testing
from dispatch.backoff import Constant
from dispatch.ids import JobID, WorkerID
from dispatch.jobs.model import NewJob
from dispatch.registry import Registry
from dispatch.stores.memory import MemoryStore

from .conftest import QUICK, Start
from .facts import eventually

LIFECYCLE = {
    name: tuple(inspect.signature(spec).parameters)
    for name, spec in vars(hookspecs).items()
    if hasattr(spec, "dispatch_spec") and not name.startswith("register_")
}


def plugin_of(function: Callable[[str], Callable[..., Any]], kind: str) -> Any:
    """A plugin with every lifecycle hook: an object, or a plain module."""
    hooks = {name: hookimpl(function(name)) for name in LIFECYCLE}
    if kind == "module":
        module = ModuleType("acme_hooks")
        vars(module).update(hooks)
        return module
    return SimpleNamespace(**hooks)


def told_in(seen: list[tuple[str, Any]], *, waits: bool) -> Callable[[str], Callable[..., Any]]:
    """Implementations that note the hook and what it is about, with exactly the documented arguments."""

    def make(name: str) -> Callable[..., Any]:
        arguments = ", ".join(LIFECYCLE[name])
        first = LIFECYCLE[name][0] if LIFECYCLE[name] else "None"
        code = f"{'async ' if waits else ''}def {name}({arguments}):\n    seen.append(({name!r}, {first}))\n"
        space: dict[str, Any] = {"seen": seen}
        exec(code, space)
        function: Callable[..., Any] = space[name]
        return function

    return make


def hostile(name: str) -> Callable[..., Any]:
    def implementation() -> None:
        if len(name) % 2:
            sys.exit(3)
        raise RuntimeError(f"{name} is broken")

    return implementation


def hanging(name: str) -> Callable[..., Any]:
    async def implementation() -> None:
        await asyncio.Event().wait()

    return implementation


async def live(start: Start, registry: Registry, plugins: list[Any]) -> None:
    """Makes everything happen that there is a hook for, as often as EXPECTED says."""

    @registry.job
    async def good() -> None: ...

    @registry.job(max_retries=1, backoff=Constant(0))
    async def bad() -> None:
        raise ValueError("no")

    @registry.job
    async def expected() -> None:
        raise Fail("no", dead_letter=False)

    async def breaks() -> None:
        raise RuntimeError("broken")

    async def undo(value: object) -> None: ...

    @registry.workflow
    async def flow(ctx: WorkflowContext) -> None:
        await ctx.step("one", asyncio.sleep, 0)
        await ctx.step("two", good).on_workers()
        await ctx.enqueue(good)

    @registry.workflow(max_retries=0)
    async def fragile(ctx: WorkflowContext) -> None:
        await ctx.step("one", asyncio.sleep, 0).compensate(undo)
        await ctx.step("two", breaks)

    store = MemoryStore()
    await store.open()
    stolen = JobID.new()
    await store.jobs.enqueue([NewJob(stolen, "good", b"{}")])
    await store.jobs.claim(WorkerID.new(), queues={"default": 1}, names=["good"], limit=1, lease=0.001)
    app = await start(store=store.sibling(), app={"plugins": plugins}, **QUICK)
    await app.jobs.wait(stolen, timeout=10)
    for handle in (await app.enqueue(good), await app.enqueue(bad), await app.enqueue(expected)):
        await app.jobs.wait(handle.id, timeout=10)
    await (await good.options(delay=1000).enqueue()).cancel()
    for run in (await flow.start(), await fragile.start()):
        await app.workflows.wait(run.id, timeout=10)
    await eventually(lambda: app.engine is not None and app.engine.idle)
    await app.events.publish("hello")
    (letter,) = [letter for letter in (await app.dlq.list()).items if letter.job_name == "bad"]
    await app.jobs.wait(await app.dlq.replay(letter.id), timeout=10)
    await app.crons.create("entry", "0 0 1 1 *", good.call())
    tick = await app.crons.trigger("entry")
    assert tick.job_id is not None
    await app.jobs.wait(tick.job_id, timeout=10)
    await app.close()


EXPECTED = Counter(
    job_enqueuing=6,  # good, bad, expected, cancelled, and those of flow
    job_enqueued=8,  # and the replay, the tick
    job_started=10,
    job_completed=5,
    job_failed=3,
    job_retrying=2,
    job_dlq=2,
    job_cancelled=1,
    job_stolen=1,
    workflow_started=2,
    workflow_step_completed=3,
    workflow_step_failed=1,
    workflow_completed=1,
    workflow_failed=1,
    event_published=1,
    cron_fired=1,
    worker_started=1,
    worker_stopped=1,
    leader_changed=2,
    shutdown=1,
)


@pytest.mark.parametrize("kind", ["object", "module"])
@pytest.mark.parametrize("waits", [True, False], ids=["async", "plain"])
async def test_every_hook_is_told_what_happened_and_as_often(
    registry: Registry, start: Start, waits: bool, kind: str
) -> None:
    seen: list[tuple[str, Any]] = []
    await live(start, registry, [plugin_of(told_in(seen, waits=waits), kind)])
    counts = Counter(name for name, _ in seen)
    assert set(counts) == set(LIFECYCLE)
    assert counts == EXPECTED
    assert [name for name, _ in seen][-1] == "shutdown"
    assert all(about is not None for name, about in seen if name != "shutdown")


async def test_plugins_that_raise_and_exit_stop_neither_the_work_nor_the_others(
    registry: Registry, start: Start, caplog: pytest.LogCaptureFixture
) -> None:
    seen: list[tuple[str, Any]] = []
    good = plugin_of(told_in(seen, waits=False), "object")
    await live(start, registry, [plugin_of(hostile, "object"), good, plugin_of(hostile, "object")])
    assert Counter(name for name, _ in seen) == EXPECTED
    told = [record.getMessage() for record in caplog.records if record.name == "dispatch.plugins"]
    assert {name for name in LIFECYCLE if any(f"its {name} raised" in text for text in told)} == set(LIFECYCLE)
    assert any("raised SystemExit" in text for text in told)


async def test_plugins_that_hang_are_cut_off_and_hold_up_no_job(caplog: pytest.LogCaptureFixture) -> None:
    registry = Registry()
    seen: list[tuple[str, Any]] = []

    @registry.job
    async def work() -> str:
        return "done"

    plugins = [plugin_of(hanging, "object"), plugin_of(told_in(seen, waits=True), "object")]
    async with testing.app(registry, plugins=plugins) as app:
        app.plugins._hook_timeout = 0.05
        handle = await work.enqueue()
        await app.run_until_idle()
        assert await handle.result(timeout=1) == "done"
    counts = Counter(name for name, _ in seen)
    assert counts["job_enqueuing"] == counts["job_enqueued"] == counts["job_completed"] == 1
    assert "its job_enqueuing took longer than 0.05 s" in caplog.text
