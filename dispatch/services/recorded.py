"""Runs that a recorded child has ended: a retry would meet what is recorded and end the same way at once."""

from __future__ import annotations

import shlex
from collections.abc import Sequence

from dispatch.workflows.model import ChildResult, Run, RunState


def ended_by(run: Run, children: Sequence[ChildResult]) -> ChildResult | None:
    """The child (a run, or a step's job) whose end is what the run failed of; None of a run that failed of something
    else, though it may have survived the failures of children, or that goes on by taking back what it did."""
    if run.state is not RunState.FAILED or run.error is None or run.compensated or run.compensation_failed:
        return None
    for child in children:
        if child.state == "completed" or not run.error.message.startswith(f"step {child.step!r}: "):
            continue
        kind = child.state.capitalize() if child.error is None else child.error.type
        message = "" if child.error is None else child.error.message
        if run.error.type == kind and run.error.message.endswith(message):
            return child
    return None


def would_end_again(run: Run, children: Sequence[ChildResult]) -> str:
    """Why a retry of the run is of no use, and the command that is; "" where nothing recorded is in the way."""
    child = ended_by(run, children)
    if child is None:
        return ""
    fork = f"dispatch workflow fork {run.id} --from {shlex.quote(child.step)}"
    return (
        f"it failed of its child {child.step!r} ({child.child}), whose failure is recorded and would end it again at "
        f"once; `{fork}` makes a new run that starts the child anew (what the child has completed is done again)"
    )
