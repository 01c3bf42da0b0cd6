"""A job and what comes of it: a workflow with a step, a child and jobs."""

from __future__ import annotations

import asyncio
from typing import Any

from dispatch import WorkflowContext
from dispatch.registry import Registry


def family(registry: Registry) -> Any:
    """A job that starts a workflow, which has a step, a step on the workers, a child run and a job."""

    @registry.job
    async def note() -> None: ...

    @registry.job
    async def on_worker() -> int:
        return 3

    @registry.workflow
    async def ship(ctx: WorkflowContext) -> None:
        await ctx.step("pack", asyncio.sleep, 0)

    @registry.workflow
    async def checkout(ctx: WorkflowContext) -> None:
        await ctx.step("charge", asyncio.sleep, 0)
        await ctx.step("label", on_worker).on_workers()
        await ctx.run_child(ship)
        await ctx.enqueue(note)

    @registry.job(queue="orders")
    async def order() -> None:
        await checkout.start()

    return order
