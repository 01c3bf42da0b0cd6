"""What `dispatch check` foretells of a run under changed code is what the engine then does."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import pytest

from dispatch import Fail, WorkflowContext, event
from dispatch.engine.runs.deploy import check_runs, count_runs
from dispatch.errors import StepFailed
from dispatch.registry import Registry
from dispatch.services.deploy import Concern, Problem
from dispatch.testing import MemoryApp
from dispatch.workflows import RunHandle, RunState
from tests.workflows.conftest import Effects

Body = Callable[[WorkflowContext], Awaitable[object]]


@dataclass
class Code:
    """The body that is deployed, over the same effects."""

    app: MemoryApp
    registry: Registry
    effects: Effects
    body: Body | None = None

    async def begin(self, body: Body) -> RunHandle[object]:
        """A run of this body that has done all that can be done now."""

        @self.registry.workflow(name="flow", max_retries=0)
        async def flow(ctx: WorkflowContext) -> object:
            assert self.body is not None
            return await self.body(ctx)

        self.body = body
        run = await flow.start()
        await self.app.run_until_idle(raise_errors=True)
        assert await run.status() is RunState.WAITING
        return run

    async def check(self) -> list[Concern]:
        looked: list[int] = []
        seen, concerns = await check_runs(
            self.app.store, self.registry.workflows, queues=["default"], tick=looked.append
        )
        assert (seen, sum(looked)) == (1, 1)
        assert await count_runs(self.app.store) == 1
        return concerns

    def step(self, ctx: WorkflowContext, name: str) -> Awaitable[str]:
        return ctx.step(name, self.effects.do, name)


@pytest.fixture
def code(app: MemoryApp, registry: Registry, effects: Effects) -> Code:
    return Code(app, registry, effects)


class Changes:
    """New bodies for a run of `old`, which has charged, packed and sleeps; each with what is foretold of the run, what
    acts when it wakes, and how it stands then."""

    def __init__(self, code: Code) -> None:
        self.do = code.step
        self.effects = code.effects

    async def old(self, ctx: WorkflowContext) -> object:
        await self.do(ctx, "charge")
        await self.do(ctx, "pack")
        await ctx.sleep(10)
        return await self.do(ctx, "ship")

    async def the_same(self, ctx: WorkflowContext) -> object:
        return await self.old(ctx)

    async def other_behind(self, ctx: WorkflowContext) -> object:
        await self.do(ctx, "charge")
        await self.do(ctx, "pack")
        await ctx.sleep(10)
        return await self.do(ctx, "send")

    async def moved(self, ctx: WorkflowContext) -> object:
        await self.do(ctx, "pack")
        await self.do(ctx, "charge")
        await ctx.sleep(10)
        return await self.do(ctx, "ship")

    async def renamed(self, ctx: WorkflowContext) -> object:
        await self.do(ctx, "charge card")
        await self.do(ctx, "pack")
        await ctx.sleep(10)
        return await self.do(ctx, "ship")

    async def inserted(self, ctx: WorkflowContext) -> object:
        await self.do(ctx, "charge")
        assert await self.do(ctx, "weigh") != "heavy"
        await self.do(ctx, "pack")
        await ctx.sleep(10)
        return await self.do(ctx, "ship")

    async def removed(self, ctx: WorkflowContext) -> object:
        await self.do(ctx, "charge")
        await ctx.sleep(10)
        return await self.do(ctx, "ship")

    async def of_another_kind(self, ctx: WorkflowContext) -> object:
        await self.do(ctx, "charge")
        await ctx.sleep(5, name="pack")
        return await self.do(ctx, "ship")

    async def raising(self, ctx: WorkflowContext) -> object:
        await self.do(ctx, "charge")
        raise KeyError("typo")

    async def forgetful(self, ctx: WorkflowContext) -> object:
        await self.do(ctx, "charge")
        await self.do(ctx, "pack")
        await ctx.sleep(10)
        self.do(ctx, "ship")
        return None

    async def failing_on_purpose(self, ctx: WorkflowContext) -> object:
        await self.do(ctx, "charge")
        await self.do(ctx, "pack")
        await ctx.sleep(10)
        raise Fail("not any more")


CHANGES = {
    "the_same": ([], ["ship"], RunState.COMPLETED),
    "other_behind": ([], ["send"], RunState.COMPLETED),
    "moved": ([], ["ship"], RunState.COMPLETED),
    "renamed": ([(Problem.RENAMED, "charge card")], ["charge card", "ship"], RunState.COMPLETED),
    "inserted": ([(Problem.INSERTED, "weigh")], ["weigh", "ship"], RunState.COMPLETED),
    "removed": ([(Problem.DROPPED, "pack")], ["ship"], RunState.COMPLETED),
    "of_another_kind": ([(Problem.BLOCKED, "pack")], [], RunState.BLOCKED),
    "raising": ([(Problem.FAILS, "")], [], RunState.FAILED),
    "forgetful": ([(Problem.FAILS, "")], [], RunState.FAILED),
    "failing_on_purpose": ([], [], RunState.FAILED),
}


@pytest.mark.parametrize("change", CHANGES)
async def test_what_is_foretold_of_a_change_is_what_the_engine_does(
    change: str, code: Code, caplog: pytest.LogCaptureFixture
) -> None:
    foretold, acts, state = CHANGES[change]
    changes = Changes(code)
    run = await code.begin(changes.old)
    before = [(c.name, c.data) for c in await code.app.workflows.timeline(run.id)]
    row = await run.run()
    code.body = getattr(changes, change)
    concerns = await code.check()
    assert [(concern.problem, concern.step) for concern in concerns] == foretold
    assert all((concern.name, concern.sample) == ("flow@1", [run.id]) for concern in concerns)
    assert [concern.danger for concern in concerns] == [problem is not Problem.DROPPED for problem, _ in foretold]
    assert code.effects.log == ["charge", "pack"], "the check itself has no effect"
    assert [(c.name, c.data) for c in await code.app.workflows.timeline(run.id)] == before
    assert await run.run() == row

    with caplog.at_level(logging.WARNING):
        await code.app.travel(10)
    assert code.effects.log[2:] == acts
    ended = await run.run()
    assert ended.state is state
    if state is RunState.BLOCKED:
        assert concerns[0].text == ended.reason
    if state is RunState.COMPLETED:
        left = [step for problem, step in foretold if problem is Problem.DROPPED]
        left += ["charge" for problem, _ in foretold if problem is Problem.RENAMED]
        assert ("completed without visiting what it had recorded: " in caplog.text) is bool(left)
        assert all(name in caplog.text for name in left)


async def test_a_sleep_that_comes_next_is_not_named_beside_a_step_that_was_inserted(code: Code) -> None:
    def body(*steps: str) -> Body:
        async def play(ctx: WorkflowContext) -> object:
            for name in steps:
                await code.step(ctx, name)
            await ctx.sleep(10, name="first")
            await ctx.sleep(10, name="second")
            return await code.step(ctx, "ship")

        return play

    await code.begin(body("charge"))
    code.body = body("charge", "weigh")
    assert [(c.problem, c.step) for c in await code.check()] == [(Problem.INSERTED, "weigh")]


async def test_a_wait_before_what_is_recorded_is_named_as_inserted(code: Code) -> None:
    def body(*waits: str) -> Body:
        async def play(ctx: WorkflowContext) -> object:
            await code.step(ctx, "charge")
            for name in waits:
                await ctx.wait_for_event(name)
            return await ctx.sleep(10, name="first")

        return play

    await code.begin(body())
    code.body = body("paid")
    assert [(c.problem, c.step) for c in await code.check()] == [(Problem.INSERTED, "paid")]


async def test_a_version_that_is_gone_is_named_with_those_that_are_there(code: Code) -> None:
    run = await code.begin(Changes(code).old)
    other = Registry()

    @other.workflow(name="flow", version=2)
    async def flow(ctx: WorkflowContext) -> None: ...

    code.registry = other
    (gone,) = await code.check()
    assert (gone.problem, gone.danger, gone.sample) == (Problem.REMOVED, True, [run.id])
    assert gone.text == "no version 1 of workflow 'flow' is defined any more; there are: 2"
    _, none = await check_runs(code.app.store, {}, queues=(), elsewhere=["flow"], tick=lambda _: None)
    assert none == []


async def test_input_that_does_not_fit_blocks_a_run_with_records_and_fails_one_without(
    app: MemoryApp, registry: Registry, effects: Effects
) -> None:
    @registry.workflow(name="flow")
    async def before(ctx: WorkflowContext, amount: int) -> None:
        await ctx.step("charge", effects.do, "charge")
        await ctx.sleep(10)

    begun = await before.start(1)
    await app.run_until_idle(raise_errors=True)
    fresh = await before.options(delay=20).start(2)
    after = Registry()

    @after.workflow(name="flow")
    async def changed(ctx: WorkflowContext, total: int) -> None: ...

    _, concerns = await check_runs(app.store, after.workflows, queues=["default"], tick=lambda _: None)
    assert [(c.problem, c.sample, c.danger) for c in concerns] == [
        (Problem.BLOCKED, [begun.id], True),
        (Problem.INVALID, [fresh.id], True),
    ]


async def test_a_run_that_is_blocked_already_keeps_no_other_deploy_back(code: Code) -> None:
    changes = Changes(code)
    run = await code.begin(changes.old)
    code.body = changes.of_another_kind
    await code.app.travel(10)
    assert await run.status() is RunState.BLOCKED
    (blocked,) = await code.check()
    assert (blocked.problem, blocked.danger) == (Problem.BLOCKED, False)
    code.body = changes.old
    assert await code.check() == []


async def test_waits_branches_children_and_caught_failures_are_followed(
    code: Code, registry: Registry, effects: Effects
) -> None:
    cleared = event("cleared")

    @registry.workflow
    async def child(ctx: WorkflowContext, number: int) -> int:
        await ctx.wait_for_event("go", key=number)
        return number

    async def branch(ctx: WorkflowContext) -> object:
        return await ctx.wait_for_event(cleared, timeout=60)

    async def other(ctx: WorkflowContext, name: str) -> None:
        await ctx.step(name, effects.do, name)
        await ctx.sleep(10)
        await ctx.step("after", effects.do, "after")

    def body(*, wait: str = "cleared", name: str = "one") -> Body:
        async def play(ctx: WorkflowContext) -> object:
            ctx.now()
            with pytest.raises(StepFailed):
                await ctx.step("bad", effects.fail, "bad")
            await ctx.spawn_child(child, 7, name="apart")
            awaited = branch(ctx) if wait == "cleared" else ctx.wait_for_event(wait)
            await asyncio.gather(awaited, other(ctx, name), ctx.fan_out("many", child, [1, 2]))
            return await code.step(ctx, "end")

        return play

    run = await code.begin(body())

    async def foretold() -> list[tuple[Problem, str]]:
        _, concerns = await check_runs(code.app.store, registry.workflows, queues=["default"], tick=lambda _: None)
        return [(concern.problem, concern.step) for concern in concerns if concern.name == "flow@1"]

    assert await foretold() == []
    code.body = body(wait="paid")
    assert await foretold() == [(Problem.RENAMED, "paid")]
    code.body = body(name="uno")
    assert await foretold() == [(Problem.RENAMED, "uno")]
    code.body = body()
    for number in (1, 2, 7):
        await code.app.events.publish("go", {}, key=number)
    await code.app.events.publish("cleared", {})
    await code.app.travel(10)
    assert await run.result() == "end"


async def test_a_body_that_gets_nowhere_is_given_up(code: Code, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dispatch.engine.runs.forecast._LIMIT", 0.05)

    async def stuck(ctx: WorkflowContext) -> None:
        await asyncio.Event().wait()

    changes = Changes(code)
    await code.begin(changes.old)
    code.body = stuck
    fails, *_ = await code.check()
    assert (fails.problem, fails.text) == (
        Problem.FAILS,
        "the body raises TimeoutError: its body got nowhere within 0.05 s",
    )
