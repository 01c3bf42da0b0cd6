"""Mistakes in workflows that type checkers must report: each line marked `# E` holds one."""

from __future__ import annotations

from dispatch import WorkflowContext, event, job, workflow


async def charge(order: int) -> str:
    return str(order)


async def refund(payment: str, order: int) -> None: ...


async def wrong_refund(payment: int) -> None: ...


cleared = event("cleared", int)


@job
def crunch(n: int) -> float:
    return n / 2


@workflow
async def ship(ctx: WorkflowContext, order: int) -> bool:
    return True


@workflow(verison=2)  # E: no such option
async def misspelt(ctx: WorkflowContext) -> None: ...


@workflow  # E: the first parameter is the context
async def contextless(order: int) -> None: ...


@workflow
async def body(ctx: WorkflowContext) -> None:
    await ctx.step("a", charge, "5")  # E: the argument is no number
    await ctx.step("b", charge)  # E: the argument is missing
    number: int = await ctx.step("c", charge, 5)  # E: the step gives a text
    await ctx.step("d", charge, 5).compensate(wrong_refund)  # E: the undo takes another result
    await ctx.step("e", charge, 5).compensate(refund, "x")  # E: the undo's argument is no number
    await ctx.step("f", charge, 5).compensate(refund)  # E: the undo's argument is missing
    await ctx.step("g", charge, 5).retry("3")  # E: a number of retries is no text
    await ctx.run_child(ship, "5")  # E: the argument is no number
    text: str = await ctx.run_child(ship, 5)  # E: the child gives a flag
    await ctx.spawn_child(ship)  # E: the argument is missing
    await ctx.enqueue(crunch, "5")  # E: the argument is no number
    await ctx.fan_out("h", charge, ["a"])  # E: the items are no numbers
    numbers: list[int] = await ctx.fan_out("i", charge, [1])  # E: the results are texts
    await ctx.fan_out("j", charge, [1]).on_error("ignore")  # E: no such rule
    await ctx.wait_for_event(cleared, timeout=[1])  # E: no duration
    flag: bool = await ctx.wait_for_event(cleared, name="k")  # E: the payload is a number
    await ctx.on_failure("l", refund, 5, 5)  # E: the argument is no text
    _ = (number, text, numbers, flag)


async def starts() -> None:
    await ship.start("5")  # E: the argument is no number
    await ship.start()  # E: the argument is missing
    wrong: str = await ship.execute(5)  # E: the run gives a flag
    await ship.options(prioritty=1).start(5)  # E: no such option
    ship.sync.start("5")  # E: checked in synchronous code too
    await cleared.publish("5")  # E: the payload is no number
    _ = wrong
