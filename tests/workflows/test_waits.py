"""Waiting: for time, events and signals; over parks, restarts and timeouts."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from pydantic import BaseModel

from dispatch import Event, WorkflowContext, event
from dispatch.errors import EventTimeout, InvalidArguments, RunEnded, RunFailed, RunNotFound
from dispatch.ids import RunID
from dispatch.registry import Registry
from dispatch.testing import MemoryApp
from dispatch.workflows import RunState


class Cleared(BaseModel):
    amount: int


cleared = event("payment.cleared", Cleared)


async def test_a_sleep_keeps_its_end_over_retries_and_parks(registry: Registry, app: MemoryApp) -> None:
    woke: list[float] = []
    start = app.now()

    @registry.workflow
    async def flow(ctx: WorkflowContext) -> None:
        await ctx.sleep(timedelta(hours=2))
        woke.append((app.now() - start).total_seconds())
        await ctx.sleep_until(start + timedelta(hours=5))
        woke.append((app.now() - start).total_seconds())

    run = await flow.start()
    for _ in range(6):
        await app.travel(timedelta(hours=1), raise_errors=True)
        if not (await run.status()).terminal:
            await app.workflows.migrate(run.id, version=1)
    await run.result()
    assert (woke[0], woke[-1]) == (7200.0, 18000.0)
    assert set(woke[:-1]) == {7200.0, 10800.0, 14400.0, 18000.0}


async def test_a_parked_run_holds_no_slot(registry: Registry) -> None:
    async with MemoryApp(registry, concurrency=1) as app:

        @registry.workflow
        async def flow(ctx: WorkflowContext) -> int:
            await ctx.sleep(3600)
            return 1

        runs = [await flow.start() for _ in range(20)]
        await app.run_until_idle()
        assert {await run.status() for run in runs} == {RunState.WAITING}
        await app.travel(3600)
        assert [await run.result() for run in runs] == [1] * 20


async def test_an_event_wakes_the_runs_that_wait_for_it_with_its_key(registry: Registry, app: MemoryApp) -> None:
    @registry.workflow
    async def flow(ctx: WorkflowContext, order: int) -> int:
        return (await ctx.wait_for_event(cleared, key=order)).amount

    runs = [await flow.start(n) for n in (1, 1, 2)]
    await app.run_until_idle()
    await cleared.publish(Cleared(amount=5), key=1)
    await app.run_until_idle(raise_errors=True)
    assert [await run.status() for run in runs] == [RunState.COMPLETED, RunState.COMPLETED, RunState.WAITING]
    assert await runs[1].result() == 5


async def test_an_event_that_came_before_the_wait_is_taken(registry: Registry, app: MemoryApp) -> None:
    @registry.workflow
    async def flow(ctx: WorkflowContext) -> list[int]:
        await ctx.sleep(10)
        first = await ctx.wait_for_event("n", int)
        second = await ctx.wait_for_event("n", int, name="n again")
        return [first, second]

    run = await flow.start()
    await app.run_until_idle()
    await app.events.publish("n", 1)
    await app.events.publish("n", 2)
    await app.travel(10, raise_errors=True)
    assert await run.result() == [1, 2]


async def test_a_timeout_is_recorded_and_raised_again(registry: Registry, app: MemoryApp) -> None:
    timeouts = 0

    @registry.workflow
    async def flow(ctx: WorkflowContext) -> str:
        nonlocal timeouts
        try:
            await ctx.wait_for_event("go", key="k", timeout=60)
        except EventTimeout as error:
            timeouts += 1
            text = str(error)
        await ctx.sleep(60)
        return text

    run = await flow.start()
    await app.travel(60, raise_errors=True)
    await app.events.publish("go", key="k")
    await app.travel(60, raise_errors=True)
    assert await run.result() == "no event 'go' with key 'k' came within 60 s"
    assert timeouts == 2


async def test_a_timeout_that_leaves_the_body_is_not_tried_again(registry: Registry, app: MemoryApp) -> None:
    bodies = 0

    @registry.workflow
    async def flow(ctx: WorkflowContext) -> None:
        nonlocal bodies
        bodies += 1
        await ctx.wait_for_event("go", timeout=60)

    run = await flow.start()
    await app.travel(600)
    with pytest.raises(RunFailed, match="EventTimeout"):
        await run.result()
    assert bodies == 3  # to the wait, from its end, and once more to see what there is to take back


async def test_wait_for_any_answers_the_event_or_none(registry: Registry, app: MemoryApp) -> None:
    @registry.workflow
    async def flow(ctx: WorkflowContext) -> list[Any]:
        answers: list[Any] = []
        for day in range(3):
            match await ctx.wait_for_any("approved", cleared, timeout=60, name=f"day-{day}"):
                case Event(name="approved"):
                    answers.append("approved")
                case Event() as other:
                    answers.append(other.data)
                case None:
                    answers.append(None)
        return answers

    run = await flow.start()
    await app.travel(60, raise_errors=True)
    await app.events.publish("approved")
    await app.run_until_idle(raise_errors=True)
    await cleared.publish(Cleared(amount=1))
    await app.run_until_idle(raise_errors=True)
    assert await run.result() == [None, "approved", {"amount": 1}]


async def test_a_payload_that_does_not_fit_is_skipped_recorded_and_shown(
    registry: Registry, app: MemoryApp, caplog: pytest.LogCaptureFixture
) -> None:
    @registry.workflow
    async def flow(ctx: WorkflowContext) -> int:
        return (await ctx.wait_for_event(cleared)).amount

    run = await flow.start()
    await app.run_until_idle()
    await app.events.publish("payment.cleared", {"amount": "many"})
    await app.events.publish("payment.cleared", {"wrong": 1})
    await app.run_until_idle(raise_errors=True)
    assert await run.status() is RunState.WAITING
    await cleared.publish(Cleared(amount=3))
    await app.run_until_idle(raise_errors=True)
    assert await run.result() == 3
    names = [c.name for c in await app.workflows.timeline(run.id)]
    assert names == ["payment.cleared~skipped-1", "payment.cleared~skipped-2", "payment.cleared"]
    assert "whose payload does not fit: event payment.cleared: amount: Input should be a valid integer" in caplog.text


async def test_a_signal_is_for_one_run_and_waits_in_its_mailbox(registry: Registry, app: MemoryApp) -> None:
    @registry.workflow
    async def flow(ctx: WorkflowContext) -> str:
        await ctx.sleep(5)
        return await ctx.wait_for_event("word", str)

    one, two = await flow.start(), await flow.start()
    await one.signal("word", "for one")
    await app.travel(5, raise_errors=True)
    assert await one.result() == "for one"
    assert await two.status() is RunState.WAITING
    with pytest.raises(RunEnded):
        await one.signal("word", "late")
    with pytest.raises(RunNotFound):
        await app.workflows.signal(RunID.new(), "word")


async def test_what_is_published_is_checked_against_its_declaration(app: MemoryApp) -> None:
    with pytest.raises(InvalidArguments, match=r"event payment\.cleared: amount: Input should be a valid integer"):
        await cleared.publish({"amount": "x"})  # type: ignore[arg-type]
    published = await app.events.publish(cleared, Cleared(amount=2), key=7)
    assert (published.data, published.key) == ({"amount": 2}, "7")


async def test_waiting_for_an_event_of_the_past_takes_since(registry: Registry, app: MemoryApp) -> None:
    await app.events.publish("news", "old")
    before = app.now()

    @registry.workflow
    async def flow(ctx: WorkflowContext) -> Any:
        return (await ctx.wait_for_event("news", since=before)).data

    app.clock.advance(10)
    run = await flow.start()
    assert await run.result() == "old"
