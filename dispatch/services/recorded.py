"""Of which step or child a run has failed, and whether a retry would meet that end again at once."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from typing import Protocol

from dispatch.ids import RunID
from dispatch.workflows.documents import is_end_with
from dispatch.workflows.model import Checkpoint, ChildResult, Run, RunState
from dispatch.workflows.names import step_of_failure


class Journals(Protocol):
    """Where runs are read: a store's workflows, a WorkflowService, or one behind a server."""

    async def timeline(self, run_id: RunID, /) -> Sequence[Checkpoint]: ...
    async def children(self, run_id: RunID, /) -> Sequence[ChildResult]: ...


def end_of(run: Run, checkpoints: Sequence[Checkpoint]) -> tuple[str, Checkpoint] | None:
    """The step or child that ended the run, and where its worker has recorded that; None of a run that has not ended,
    or that failed of something else."""
    if run.error is None or not run.state.terminal:
        return None
    for found in sorted(checkpoints, key=lambda c: -c.position):
        step = step_of_failure(found.name)
        if step is not None and not found.inherited and is_end_with(found, run.error):
            return step, found
    return None


def ended_by(run: Run, checkpoints: Sequence[Checkpoint], children: Sequence[ChildResult]) -> ChildResult | None:
    """The child (a run, or a step's job) whose end is what the run failed of; None of a run that failed of something
    else, though it may have survived the failures of children, or that goes on by taking back what it did."""
    if run.state is not RunState.FAILED or run.compensated or run.compensation_failed:
        return None
    end = end_of(run, checkpoints)
    return next((c for c in children if end is not None and c.step == end[0] and c.state != "completed"), None)


async def would_end_again(run: Run, journals: Journals) -> str:
    """Why a retry of the run is of no use, and the command that is; "" where nothing recorded is in the way."""
    if run.state is not RunState.FAILED:
        return ""
    children = await journals.children(run.id)
    if all(child.state == "completed" for child in children):
        return ""
    child = ended_by(run, await journals.timeline(run.id), children)
    if child is None:
        return ""
    fork = f"dispatch workflow fork {run.id} --from {shlex.quote(child.step)}"
    return (
        f"it failed of its child {child.step!r} ({child.child}), whose failure is recorded and would end it again at "
        f"once; `{fork}` makes a new run that starts the child anew (what the child has completed is done again)"
    )
