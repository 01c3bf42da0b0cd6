"""An expense waits for somebody's word, with reminders. `dispatch run approval.py`

Start one: `dispatch workflow start expense what=chair amount:=120`, and decide it:
`dispatch workflow signal RUN approved '{"by": "ada"}'`, or `dispatch workflow signal RUN declined`.
"""

from __future__ import annotations

from pydantic import BaseModel

from dispatch import Event, WorkflowContext, event, job, workflow


class Decision(BaseModel):
    """Who decided."""

    by: str = "somebody"


approved = event("approved", Decision)


@job
async def remind(what: str, day: int) -> str:
    """Tells the boss again."""
    return f"day {day}: the {what} still waits for you"


@workflow
async def expense(ctx: WorkflowContext, what: str, amount: int) -> str:
    """Small things pass; others wait for three days at most."""
    if amount < 50:
        return f"{what}: passed"
    for day in range(1, 4):
        match await ctx.wait_for_any(approved, "declined", timeout="1d", name=f"day-{day}"):
            case Event(name="approved") as word:
                return f"{what}: approved by {Decision.model_validate(word.data or {}).by}"
            case Event():
                return f"{what}: declined"
            case None:
                await ctx.enqueue(remind, what, day, name=f"reminder-{day}")
    return f"{what}: nobody decided"
