"""What is promised of workflows, used."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from dispatch.registry import Registry as Names

from .promised import get, row


async def played(app: Any, body: Any) -> Any:
    """What a run of this body answers, on a worker of the app."""
    flow = app.registry.workflow(name=f"flow-{len(app.registry.workflows)}")(body)
    if app.engine is not None:
        await app.stop()
    await app.start()
    return await (await flow.start()).result(timeout=10)


async def _text(value: str) -> str:
    return value


@row(16)
async def use_workflow(
    definition: Any, decorator: Any, run: Any, state: Any, checkpoint: Any, store: Any, options: Any, app: Any
) -> None:
    @app.registry.workflow(version=2)
    async def flow(ctx: Any) -> str:
        return str(await ctx.step("one", _text, "x"))

    assert isinstance(flow, definition)
    assert decorator.__func__ is Names.workflow
    assert app.registry.workflows["flow", 2] is flow
    await app.start()
    handle = await flow.start()
    await handle.result(timeout=5)
    found = await app.workflows.get(handle.id)
    assert isinstance(found, run)
    assert found.state is state.COMPLETED
    assert [type(c) for c in await app.workflows.timeline(handle.id)] == [checkpoint]
    assert [r.id for r in (await app.workflows.list(options(names=["flow"]))).items] == [handle.id]
    assert hasattr(store, "record")


@row(17)
async def use_context(context: Any, app: Any) -> None:
    async def body(ctx: Any) -> bool:
        return isinstance(ctx, context) and ctx.key("a") == f"{ctx.run_id}/a"

    assert await played(app, body)


@row(18)
async def use_step(step: Any, app: Any) -> None:
    async def body(ctx: Any) -> str:
        return str(await step(ctx, "one", _text, "done"))

    assert await played(app, body) == "done"


@row(19)
async def use_compensate(compensate: Any, app: Any) -> None:
    undone: list[str] = []

    async def undo(result: str) -> None:
        undone.append(result)

    async def body(ctx: Any) -> None:
        await compensate(ctx.step("one", _text, "done"), undo)
        raise get("dispatch.Fail")("no")

    with pytest.raises(get("dispatch.errors.RunFailed")):
        await played(app, body)
    assert undone == ["done"]


@row(20)
async def use_parallel(parallel: Any, app: Any) -> None:
    async def body(ctx: Any) -> list[str]:
        return list(await parallel(ctx, ctx.step("a", _text, "a"), ctx.step("b", _text, "b")))

    assert await played(app, body) == ["a", "b"]


@row(21)
async def use_waits(for_event: Any, for_any: Any, app: Any) -> None:
    async def body(ctx: Any) -> list[Any]:
        first = await for_event(ctx, "paid", key="k", since=datetime(2020, 1, 1, tzinfo=UTC))
        return [first.data, await for_any(ctx, "never", timeout=0.05)]

    await app.events.publish("paid", 7, key="k")
    assert await played(app, body) == [7, None]


@row(22)
async def use_sleeps(sleep: Any, until: Any, app: Any) -> None:
    async def body(ctx: Any) -> bool:
        start = ctx.now()
        await sleep(ctx, 0.05)
        await until(ctx, start + timedelta(seconds=0.1))
        return ctx.now(name="after") >= start + timedelta(seconds=0.1)

    assert await played(app, body)


@row(23)
async def use_children(run_child: Any, spawn_child: Any, app: Any) -> None:
    @app.registry.workflow
    async def child(ctx: Any, n: int) -> int:
        return n + 1

    async def body(ctx: Any) -> list[Any]:
        spawned = await spawn_child(ctx, child, 5, name="spawned")
        return [await run_child(ctx, child, 1), spawned.id]

    two, spawned = await played(app, body)
    assert two == 2
    assert (await app.workflows.wait(spawned, timeout=5)).result == b"6"


@row(24)
async def use_fan_out(fan_out: Any, app: Any) -> None:
    async def body(ctx: Any) -> list[str]:
        return list(await fan_out(ctx, "texts", _text, ["a", "b", "c"]).limit(2))

    assert await played(app, body) == ["a", "b", "c"]


@row(25)
async def use_run_compensations(compensations: Any, app: Any) -> None:
    undone: list[str] = []

    async def undo(result: str) -> None:
        undone.append(result)

    async def body(ctx: Any) -> None:
        await ctx.step("one", _text, "done").compensate(undo)
        await compensations(ctx)

    await played(app, body)
    assert undone == ["done"]


@row(26)
async def use_crash_after(crash_after: Any) -> None:
    ran: list[str] = []

    async def note(name: str) -> str:
        ran.append(name)
        return name

    registry = Names()

    @registry.workflow
    async def flow(ctx: Any) -> list[str]:
        return [await ctx.step(name, note, name) for name in ("a", "b", "c")]

    async with get("dispatch.testing.app")(registry) as app:
        handle = await app.start_workflow(flow)
        with crash_after("b"):
            await app.run_until_idle()
        assert await handle.result() == ["a", "b", "c"]
    assert ran == ["a", "b", "c"]
