"""A small shop at work, for pages to show: jobs that end well and badly, a run that waits, cron entries, events."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from dispatch import WorkflowContext
from dispatch.backoff import Constant
from dispatch.config import Config
from dispatch.registry import Registry
from dispatch.stores.memory import MemoryStore
from tests.dashboard.browsing import Place, placed
from tests.dashboard.history import Behind, an_hour


def shop() -> Registry:
    """What the shop can do."""
    registry = Registry()

    @registry.job(queue="mailers", tags=("mail",))
    async def send_receipt(to: str, order: int) -> str:
        return f"{to}: order {order}"

    @registry.job(queue="payments", max_retries=1, backoff=Constant(0))
    async def settle(order: int) -> None:
        raise ConnectionError(f"the bank does not answer for order {order}")

    @registry.job(queue="payments", max_retries=3, backoff=Constant(3600))
    async def refund(order: int) -> None:
        raise TimeoutError(f"no answer within 5 s about order {order}")

    @registry.job(queue="reports")
    async def daily_report(shop: str = "main") -> dict[str, int]:
        return {"orders": 12}

    async def reserve(order: int) -> dict[str, int]:
        await asyncio.sleep(0.02)
        return {"order": order, "shelf": 7}

    async def charge(order: int) -> dict[str, Any]:
        await asyncio.sleep(0.05)
        return {"order": order, "amount": 4200}

    async def release(value: object) -> None: ...

    async def ship(order: int) -> str:
        return f"parcel {order}"

    async def refuse(order: int) -> None:
        raise ValueError(f"order {order} is out of stock")

    @registry.workflow(max_retries=0)
    async def checkout(ctx: WorkflowContext, order: int) -> str:
        if order == 13:
            await ctx.step("pick", refuse, order)
        await ctx.step("reserve", reserve, order).compensate(release)
        await ctx.step("charge", charge, order)
        await ctx.wait_for_event("payment.cleared", key=str(order), timeout=3600)
        return await ctx.step("ship", ship, order)

    return registry


@contextmanager
def staged(config: Config | None = None, *, past: bool = False) -> Iterator[Place]:
    """The shop, with a worker that has done what there was to do; with a past it has worked for an hour."""
    registry, clock = shop(), Behind()
    with placed(MemoryStore(clock=clock), config=config, registry=registry) as place:
        if past:
            place.run(an_hour(place.app.store, clock))
        place.seen = place.run(busy(place, registry))
        yield place


async def busy(place: Place, registry: Registry) -> dict[str, Any]:
    """Lets the shop work; what came of it, by name."""
    app = place.app
    await app.start()
    jobs, (checkout,) = registry.jobs, registry.workflows.values()
    sent = [await jobs["send_receipt"].enqueue("ada@example.com", order) for order in range(40)]
    settled = [await jobs["settle"].enqueue(order) for order in range(3)]
    refunds = [await jobs["refund"].enqueue(order) for order in range(2)]
    waiting, failed, done = [await checkout.start(order) for order in (7, 13, 21)]
    for job in (*sent, *settled):
        await app.jobs.wait(job.id, timeout=20)
    await app.workflows.wait(failed.id, timeout=20)
    async with asyncio.timeout(20):
        while not all([(await app.workflows.waits(run.id)) for run in (waiting, done)]):
            await asyncio.sleep(0.01)
        while [(await app.jobs.get(job.id)).state for job in refunds] != ["retrying", "retrying"]:
            await asyncio.sleep(0.01)
    await app.events.publish("payment.cleared", {"order": 21}, key="21")
    await app.workflows.wait(done.id, timeout=20)
    entry = await app.crons.create("nightly-report", "0 3 * * *", jobs["daily_report"].call("north"))
    tick = await app.crons.trigger(entry.name)
    assert tick.job_id is not None
    await app.jobs.wait(tick.job_id, timeout=20)
    return {
        "sent": sent[0].id, "settled": settled[0].id, "refund": refunds[0].id,
        "waiting": waiting.id, "failed": failed.id, "done": done.id,
        "cron": entry.id, "letter": (await app.dlq.list()).items[0].id,
        "worker": (await app.workers.list(live=True))[0].id,
    }  # fmt: skip
