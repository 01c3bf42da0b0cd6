"""Steps: what they run, record and answer, and what goes wrong with them."""

from __future__ import annotations

import asyncio
import threading
from datetime import timedelta
from typing import Any

import pytest
from pydantic import BaseModel

from dispatch import Fail, Retry, Snooze, WorkflowContext, current_job
from dispatch.backoff import Constant
from dispatch.errors import InvalidDefinition, RunFailed, RunNotRetryable, StepFailed
from dispatch.registry import Registry
from dispatch.testing import MemoryApp
from dispatch.workflows import RunState
from tests.workflows.conftest import Effects


class Receipt(BaseModel):
    total: int


async def test_a_step_runs_once_however_often_the_body_does(
    registry: Registry, app: MemoryApp, effects: Effects
) -> None:
    bodies = 0

    @registry.workflow
    async def flow(ctx: WorkflowContext, n: int) -> str:
        nonlocal bodies
        bodies += 1
        first = await ctx.step("first", effects.do, f"a{n}")
        await ctx.sleep(60)
        second = await ctx.step("second", effects.do, first + "b")
        await ctx.sleep(60, name="again")
        return second

    run = await flow.start(1)
    await app.travel(200, raise_errors=True)
    assert await run.result() == "a1b"
    assert effects.log == ["a1", "a1b"]
    assert bodies == 3


async def test_what_a_step_answers_is_the_same_live_and_replayed(registry: Registry, app: MemoryApp) -> None:
    seen: list[list[Any]] = []

    async def model() -> Receipt:
        return Receipt(total=3)

    def pair() -> tuple[int, str]:
        return 1, "x"

    def bare():  # type: ignore[no-untyped-def]
        return (1, 2)

    @registry.workflow
    async def flow(ctx: WorkflowContext) -> None:
        seen.append([await ctx.step("model", model), await ctx.step("pair", pair), await ctx.step("bare", bare)])
        await ctx.sleep(1)

    run = await flow.start()
    await app.travel(1, raise_errors=True)
    await run.result()
    assert seen == [[Receipt(total=3), (1, "x"), [1, 2]]] * 2


async def test_a_step_may_be_async_plain_a_lambda_a_method_or_a_definition(registry: Registry, app: MemoryApp) -> None:
    @registry.job
    async def double(n: int) -> int:
        return n * 2

    @registry.job
    def plain_double(n: int) -> int:
        return n * 2

    def thread_name() -> str:
        return threading.current_thread().name

    @registry.workflow
    async def flow(ctx: WorkflowContext) -> list[Any]:
        return [
            await ctx.step("job", double, 2),
            await ctx.step("plain job", plain_double, n=3),
            await ctx.step("thread", thread_name),
            await ctx.step("lambda", lambda: double(4)),
            await ctx.step("builtin", "abc".upper),
        ]

    one, two, thread, four, builtin = await _run(app, flow)
    assert (one, two, four, builtin) == (4, 6, 8, "ABC")
    assert thread.startswith("dispatch-job")


async def _run(app: MemoryApp, flow: Any, *args: Any) -> Any:
    run = await flow.start(*args)
    await app.run_until_idle(raise_errors=True)
    return await run.result()


async def test_inside_of_a_step_the_job_knows_its_effect_key(registry: Registry, app: MemoryApp) -> None:
    async def keyed() -> list[Any]:
        return [current_job().effect_key, current_job().attempt]

    @registry.workflow
    async def flow(ctx: WorkflowContext) -> list[Any]:
        inside = await ctx.step("charge", keyed)
        return [inside, ctx.key("charge"), ctx.run_id]

    inside, key, run_id = await _run(app, flow)
    assert inside == [key, 1]
    assert key == f"{run_id}/charge"


async def test_a_step_retries_in_place_only_when_told(registry: Registry, app: MemoryApp) -> None:
    tries: list[int] = []

    async def flaky() -> int:
        tries.append(current_job().attempt)
        if len(tries) < 3:
            raise ValueError("not yet")
        return 7

    @registry.workflow(max_retries=0)
    async def flow(ctx: WorkflowContext) -> int:
        return await ctx.step("flaky", flaky).retry(2, backoff=Constant(60))

    run = await flow.start()
    await app.run_until_idle(raise_errors=True)
    assert await run.result() == 7
    assert tries == [1, 2, 3]
    assert [c.attempt for c in await app.workflows.timeline(run.id)] == [3]


async def test_a_step_that_overruns_its_timeout_fails(registry: Registry, app: MemoryApp) -> None:
    async def slow() -> None:
        await asyncio.Event().wait()

    @registry.workflow(max_retries=0)
    async def flow(ctx: WorkflowContext) -> None:
        await ctx.step("slow", slow).timeout(0.01)

    run = await flow.start()
    await app.run_until_idle()
    with pytest.raises(RunFailed, match=r"HandlerTimeout: step 'slow': step 'slow' took longer than 0\.01 s"):
        await run.result()


async def test_a_failed_step_that_leaves_the_body_runs_again_with_the_retry(
    registry: Registry, app: MemoryApp, effects: Effects
) -> None:
    broken = True

    async def flaky() -> str:
        effects.log.append("flaky")
        if broken:
            raise ValueError("no")
        return "ok"

    @registry.workflow(max_retries=5, backoff=Constant(10))
    async def flow(ctx: WorkflowContext) -> str:
        await ctx.step("before", effects.do, "before")
        return await ctx.step("flaky", flaky)

    run = await flow.start()
    await app.travel(25)
    assert await run.status() is RunState.RUNNING
    assert [c.name for c in await app.workflows.timeline(run.id)] == ["before"]
    broken = False
    await app.travel(10)
    assert await run.result() == "ok"
    assert effects.log == ["before", "flaky", "flaky", "flaky", "flaky"]


async def test_failures_are_counted_anew_after_each_checkpoint(
    registry: Registry, app: MemoryApp, effects: Effects
) -> None:
    failures = 0

    async def every_other() -> str:
        nonlocal failures
        failures += 1
        if failures % 2:
            raise ValueError("no")
        return "ok"

    @registry.workflow(max_retries=1, backoff=Constant(1))
    async def flow(ctx: WorkflowContext) -> int:
        for i in range(5):
            await ctx.step(f"step-{i}", every_other)
        return failures

    run = await flow.start()
    await app.travel(20)
    assert await run.result() == 10


async def test_retries_without_progress_run_out(registry: Registry, app: MemoryApp, effects: Effects) -> None:
    @registry.workflow(max_retries=2, backoff=Constant(1))
    async def flow(ctx: WorkflowContext) -> None:
        await ctx.step("broken", effects.fail, "x")

    run = await flow.start()
    await app.travel(20)
    assert effects.count("x fails") == 3
    with pytest.raises(RunFailed, match="ValueError: step 'broken': x is broken") as caught:
        await run.result()
    assert caught.value.type == "ValueError"
    assert (await run.run()).reason == "exhausted"
    (letter,) = (await app.dlq.list()).items
    assert (letter.job_name, letter.reason) == ("flow@1", "exhausted")
    with pytest.raises(RunNotRetryable, match=f"`dispatch workflow retry {run.id}` goes on with it"):
        await app.dlq.replay(letter.id)


async def test_a_failure_that_the_body_catches_is_raised_again_in_replay(
    registry: Registry, app: MemoryApp, effects: Effects
) -> None:
    seen: list[tuple[str, str, str, bool]] = []

    @registry.workflow
    async def flow(ctx: WorkflowContext) -> str:
        try:
            await ctx.step("card", effects.fail, "card")
        except StepFailed as error:
            seen.append((error.step, error.type, error.message, isinstance(error.__cause__, ValueError)))
            paid = await ctx.step("invoice", effects.do, "invoice")
        await ctx.sleep(5)
        return paid

    run = await flow.start()
    await app.travel(5, raise_errors=True)
    assert await run.result() == "invoice"
    assert effects.log == ["card fails", "invoice"]
    assert seen == [("card", "ValueError", "card is broken", True), ("card", "ValueError", "card is broken", False)]
    assert [(c.name, c.kind) for c in await app.workflows.timeline(run.id)] == [
        ("card", "failure"),
        ("invoice", "step"),
        ("sleep", "sleep"),
    ]


async def test_a_step_chooses_the_outcome_of_the_attempt(registry: Registry, app: MemoryApp) -> None:
    raised: list[Exception] = [Snooze(30, "later"), Retry("again", delay=40), Fail("no")]
    times: list[float] = []
    start = app.now()

    async def choosy() -> None:
        times.append((app.now() - start).total_seconds())
        raise raised.pop(0)

    @registry.workflow(max_retries=5)
    async def flow(ctx: WorkflowContext) -> None:
        await ctx.step("choosy", choosy).retry(3)

    run = await flow.start()
    await app.travel(100)
    with pytest.raises(RunFailed, match="Fail: step 'choosy': no"):
        await run.result()
    assert times[0] == 0.0
    assert times[1] == 30.0
    assert raised == []


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (object(), r"step 'odd': the result of odd \(object\) cannot be stored as JSON: .*; return plain values"),
        (float("nan"), r"step 'odd': the result of odd \(float\) holds NaN or an infinity"),
        ("x" * 5_000_000, r"step 'odd': its result \(str\) takes 5,000,002 bytes as JSON, .*; store it elsewhere"),
    ],
)
async def test_a_result_that_cannot_be_stored_names_step_and_type_and_is_not_tried_again(
    registry: Registry, app: MemoryApp, value: Any, message: str
) -> None:
    runs = 0

    def odd() -> Any:
        nonlocal runs
        runs += 1
        return value

    @registry.workflow
    async def flow(ctx: WorkflowContext) -> None:
        await ctx.step("odd", odd)

    run = await flow.start()
    await app.travel(600)
    with pytest.raises(RunFailed, match=message):
        await run.result()
    assert runs == 1
    assert (await run.run()).reason == "result_not_storable"


async def test_the_result_of_a_run_has_its_bounds_too(registry: Registry, app: MemoryApp) -> None:
    @registry.workflow
    async def flow(ctx: WorkflowContext) -> str:
        return "x" * 2_000_000

    run = await flow.start()
    await app.run_until_idle()
    with pytest.raises(RunFailed, match=r"the result of flow \(str\) takes 2,000,002 bytes .*; store it elsewhere"):
        await run.result()


async def test_values_are_the_same_on_every_run_of_the_body(registry: Registry, app: MemoryApp) -> None:
    seen: list[tuple[Any, ...]] = []

    @registry.workflow
    async def flow(ctx: WorkflowContext) -> None:
        seen.append((ctx.now(), ctx.random(), ctx.uuid(), ctx.now(name="later")))
        await ctx.sleep(100)

    run = await flow.start()
    await app.travel(100, raise_errors=True)
    await run.result()
    assert len(seen) == 2
    assert seen[0] == seen[1]
    assert seen[0][0] == app.now() - timedelta(seconds=100)


async def test_values_are_recorded_before_the_next_effect(registry: Registry, app: MemoryApp) -> None:
    recorded: list[list[str]] = []

    @registry.workflow
    async def flow(ctx: WorkflowContext) -> None:
        run_id = ctx.run_id

        async def look() -> None:
            recorded.append([c.name for c in await app.store.workflows.timeline(run_id)])

        ctx.now()
        await ctx.step("look", look)

    await _run(app, flow)
    assert recorded == [["now"]]


def test_options_of_jobs_that_make_no_sense_for_runs_are_refused(registry: Registry) -> None:
    async def flow(ctx: WorkflowContext) -> None: ...

    with pytest.raises(InvalidDefinition, match="there is no option 'keep_result'"):
        registry.workflow(keep_result=False)(flow)
    with pytest.raises(InvalidDefinition, match='on_conflict="replace" is for jobs'):
        registry.workflow(on_conflict="replace")(flow)
    with pytest.raises(InvalidDefinition, match="there is no option 'retries'; did you mean"):
        registry.workflow(retries=3)(flow)  # type: ignore[call-overload]
