"""A parent with children: bills of a household, each paid by a child run. `python household.py`

The children wait for their money side by side; the parent holds no slot meanwhile, and one bill that
fails does not stop the others.
"""

from __future__ import annotations

import asyncio

from dispatch import Dispatch, Fail, WorkflowContext, workflow
from dispatch.errors import StepFailed

BILLS = {"rent": 900, "power": 60, "yacht": 100_000}


async def transfer(amount: int) -> str:
    """Moves the money."""
    if amount > 10_000:
        raise Fail(f"no money for {amount}", dead_letter=False)
    return f"paid {amount}"


@workflow
async def pay(ctx: WorkflowContext, bill: str) -> str:
    """Pays one bill, a little later."""
    await ctx.sleep(0.1)
    return f"{bill}: {await ctx.step('transfer', transfer, BILLS[bill])}"


@workflow
async def month(ctx: WorkflowContext, bills: list[str]) -> list[str]:
    """Pays all bills and reports."""
    answers = await ctx.fan_out("pay", pay, bills).on_error("collect")
    return [a.message if isinstance(a, StepFailed) else a for a in answers]


async def main() -> None:
    async with Dispatch("memory://", concurrency=1) as app:
        await app.start()
        for line in await (await month.start([*BILLS])).result(timeout=20):
            print(line)


if __name__ == "__main__":
    asyncio.run(main())
