"""What makes a run move: its driver is claimed, something wakes it, a child of it ends, it turns to compensation."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Literal

from dispatch.ids import RunID
from dispatch.jobs.model import Failure, JobState
from dispatch.stores.memory.feed import tell_run_began
from dispatch.stores.memory.rows import Row
from dispatch.stores.memory.runs import RunRow
from dispatch.workflows.model import ChildResult, RunState

if TYPE_CHECKING:
    from dispatch.stores.memory.data import Data

Outcome = Literal["completed", "failed", "cancelled"]
OUTCOMES: dict[JobState, Outcome] = {
    JobState.COMPLETED: "completed",
    JobState.FAILED: "failed",
    JobState.CANCELLED: "cancelled",
}


def claimed(data: Data, row: Row, run: RunRow, now: datetime) -> None:
    """The driver has just been claimed; a run that expired before its first start compensates instead of starting."""
    if run.started_at is None and row.expires_at is not None and row.expires_at < now and not run.compensating:
        run.compensating = True
        run.reason = "expired"
    run.unpark()
    run.blocked = None
    first = run.started_at is None
    if first:
        run.started_at = now
    data.runs.to_state(run, run.standing, now)
    if first:
        tell_run_began(data.stream, run, now)


def wake(data: Data, run: RunRow, now: datetime) -> None:
    """Raises wake_seq; a parked run is due now. One in error backoff keeps its time."""
    run.wake_seq += 1
    run.updated_at = now
    row = data.rows[run.driver]
    if run.parked and row.run_at > now:
        data.hurry(row, now)


def compensates(data: Data, row: Row, run: RunRow, reason: str, now: datetime) -> None:
    """The run turns to compensation while nobody holds its driver: that is due at once, with a clean count."""
    run.compensating = True
    run.reason = reason
    run.blocked = None
    run.unpark()
    run.wake_seq += 1
    data.runs.to_state(run, RunState.COMPENSATING, now)
    row.failures = row.crashes = 0
    row.cancel_requested = False
    row.cancel_reason = None
    row.set_aside = False
    if row.concurrency_key is not None:  # it takes a place, room or not: what only compensates waits for none
        row.started_at = row.started_at or now
        data.concurrency.start(row)
    data.wait(row, now, now)


def request_cancel(data: Data, row: Row, reason: str, now: datetime) -> None:
    """Notes that a running job shall be cancelled; the first reason counts."""
    if not row.cancel_requested:
        row.cancel_requested = True
        row.cancel_reason = reason
        data.cancelling[row.id] = row
    row.updated_at = now


def cancel_run(data: Data, run: RunRow, reason: str, now: datetime) -> bool:
    """Asks for the end of a run; False when it has ended or compensates already."""
    if run.state.terminal or run.compensating:
        return False
    row = data.rows[run.driver]
    if row.state is JobState.RUNNING:
        request_cancel(data, row, reason, now)
        run.wake_seq += 1
        run.updated_at = now
    else:
        data.withdraw(row)
        compensates(data, row, run, reason, now)
    return True


def child_job_ended(data: Data, row: Row, now: datetime) -> None:
    """A job has its terminal state; the run that waits for it as a step hears of it."""
    if row.run_id is not None and row.step is not None:
        child_ended(data, row.run_id, row.step, row.id, OUTCOMES[row.state], row.result, row.error, now)


def child_ended(
    data: Data,
    parent_id: RunID,
    step: str,
    child: str,
    state: Outcome,
    result: bytes | None,
    error: Failure | None,
    now: datetime,
) -> None:
    """Writes how a child ended, once, and wakes the parent if that satisfies a group that it parked on."""
    parent = data.runs.rows.get(parent_id)
    if parent is None or step in parent.results:
        return
    completed = state == "completed"
    told = ChildResult(parent_id, step, child, state, result if completed else None, None if completed else error)
    parent.results[step] = told
    satisfied = [group.hears(told) for group in parent.groups]
    if any(satisfied):
        wake(data, parent, now)
    else:
        parent.wake_seq += 1
