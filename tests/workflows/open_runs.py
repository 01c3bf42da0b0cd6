"""`python -m workflows.open_runs URL NAMESPACE FOLDER`: a worker for runs of which only so many may be open."""

from __future__ import annotations

import asyncio
import sys

from dispatch import Config, Dispatch, Limit, Registry, WorkflowContext
from dispatch.engine.run import RunOptions, run_worker

from .processes import TIMES

registry = Registry()
MOST = 3


async def nothing(value: object = None) -> None:
    """A step without an effect."""


@registry.workflow(concurrency=Limit(key=lambda customer: customer, max=MOST), max_retries=1)
async def visit(ctx: WorkflowContext, customer: str, number: int) -> None:
    """Sleeps and waits, for which it is parked; some fail and take back what they did."""
    await ctx.step("begin", nothing).compensate(nothing)
    await ctx.sleep(1.1 + number % 3 * 0.2)
    await ctx.wait_for_any("never", timeout=1.1, name="wait")
    if number % 5 == 4:
        raise ValueError("this one fails")
    await ctx.step("end", nothing)


async def main(url: str, namespace: str) -> None:
    """Works until a signal ends it."""
    config = Config.model_validate({**TIMES, "namespace": namespace})
    async with Dispatch(url, config=config, registry=registry) as app:
        await run_worker(app, RunOptions(queues={"default": 0}, concurrency=8))


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2]))
