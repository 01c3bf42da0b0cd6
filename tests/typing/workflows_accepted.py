"""Workflows as users write them; type checkers must accept every line and infer the types asserted here."""

from __future__ import annotations

from datetime import datetime
from typing import assert_type
from uuid import UUID

from pydantic import BaseModel

from dispatch import (
    Dispatch,
    Event,
    JobHandle,
    RunHandle,
    SyncRunHandle,
    WorkflowContext,
    cron,
    event,
    job,
    workflow,
)
from dispatch.crons import CronEntry
from dispatch.errors import StepFailed
from dispatch.workflows import RunState


class Order(BaseModel):
    id: str


class Payment(BaseModel):
    amount: int


cleared = event("payment.cleared", Payment)


async def charge(order: Order, *, retry: bool = False) -> Payment:
    return Payment(amount=1)


async def refund(payment: Payment, order_id: str) -> None: ...


def pack(order: Order) -> list[str]:
    return [order.id]


async def thumb(image: str, size: int = 3) -> bytes:
    return image.encode()


@job
def crunch(n: int) -> float:
    return n / 2


@workflow
async def ship(ctx: WorkflowContext, order: Order, weight: int = 1) -> bool:
    return True


@workflow(version=2, max_retries=3)
async def checkout(ctx: WorkflowContext, order: Order) -> str:
    await ctx.on_failure("void", refund, Payment(amount=1), "o-1")
    assert_type(await ctx.step("charge", charge, order, retry=True).compensate(refund, order.id), Payment)
    assert_type(await ctx.step("pack", pack, order).retry(5).timeout(10), list[str])
    assert_type(await ctx.step("crunch", crunch, 5).on_workers(), float)
    pair = await ctx.parallel(ctx.step("a", charge, order), ctx.step("b", pack, order))
    assert_type(pair, tuple[Payment, list[str]])
    assert_type(await ctx.fan_out("thumbs", thumb, ["a"], size=256).limit(8), list[bytes])
    collected = await ctx.fan_out("maybe", thumb, ["a"]).on_error("collect")
    assert_type(collected, list[bytes | StepFailed])
    assert_type(await ctx.fan_out("ships", ship, [order], 5), list[bool])
    assert_type(await ctx.wait_for_event(cleared, key=order.id, timeout="1d"), Payment)
    assert_type(await ctx.wait_for_event("other", Payment, name="o"), Payment)
    assert_type(await ctx.wait_for_event("plain"), Event)
    assert_type(await ctx.wait_for_any(cleared, "declined", timeout=5), Event | None)
    assert_type(await ctx.run_child(ship, order, weight=2), bool)
    assert_type(await ctx.run_child(ship, order, name="again"), bool)
    assert_type(await ctx.spawn_child(ship.options(priority=1), order), RunHandle[bool])
    assert_type(await ctx.enqueue(crunch, 5), JobHandle[float])
    assert_type(await ctx.enqueue(crunch, 5, name="later"), JobHandle[float])
    assert_type(ctx.now(), datetime)
    assert_type(ctx.random(), float)
    assert_type(ctx.uuid(name="id"), UUID)
    return "done"


async def starts(order: Order) -> None:
    run = await checkout.start(order)
    assert_type(run, RunHandle[str])
    assert_type(await run.result(timeout=60), str)
    assert_type(await run.status(), RunState)
    assert_type(await checkout.execute(order), str)
    assert_type(await checkout.execute(order, timeout=60), str)
    assert_type(await checkout.options(unique=order.id).start(order), RunHandle[str])
    assert_type(checkout.sync.start(order), SyncRunHandle[str])
    assert_type(checkout.sync.execute(order, timeout=5), str)
    await cleared.publish(Payment(amount=3), key=order.id)


@cron("@daily", call=lambda: ship.call(Order(id="1")), overlap="allow", misfire="all", timezone="Europe/Berlin")
@workflow
async def nightly(ctx: WorkflowContext, rooms: int = 1) -> None: ...


async def timetables(app: Dispatch) -> None:
    assert_type(await app.crons.create("five", "@hourly", nightly.call(5), jitter="30s"), CronEntry)
    app.register_cron("six", "@hourly", nightly, 6)
