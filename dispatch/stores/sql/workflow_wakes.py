"""What makes a run move from outside: something wakes it, a child of it ends, it turns to compensation."""

from __future__ import annotations

from collections.abc import Sequence

from dispatch.ids import JobID, RunID
from dispatch.jobs.model import Failure, JobState
from dispatch.stores.sql.plan import Do, Plan, Rows, first
from dispatch.stores.sql.rows import failure_of, names_text
from dispatch.stores.sql.workflow_rows import lock_runs


def wake(ids: Sequence[str], now: int) -> Plan[None]:
    """Raises wake_seq; those that are parked are due now. One in error backoff keeps its time."""
    params = {"ids": names_text(ids), "now": now}
    yield Rows("lock_drivers_of", params)
    yield Do("wake_runs", params)
    yield Do("wake_drivers", params)


def compensates(run_id: str, driver: str, reason: str, now: int, left_as: str | None = None) -> Plan[None]:
    """The run turns to compensation while nobody holds its driver: that is due at once, with a clean count."""
    yield Do("compensate_run", {"id": run_id, "reason": reason, "wake": 1, "now": now})
    yield Do("free_driver", {"id": driver, "left_as": left_as, "now": now})


def cancel_run(run_id: str, driver_state: str, driver: str, reason: str, now: int) -> Plan[None]:
    """Asks for the end of a run that has not ended and does not compensate."""
    if driver_state == JobState.RUNNING:
        yield Do("request_cancel", {"id": driver, "reason": reason, "now": now})
        yield Do("wake_runs", {"ids": names_text([run_id]), "now": now})
    else:
        yield from compensates(run_id, driver, reason, now)


def job_ended(job_id: JobID, run_id: RunID | str | None, step: str | None, now: int) -> Plan[None]:
    """A job has its terminal state; the run that waits for it as a step hears of it."""
    if run_id is None or step is None:
        return
    state, result, *error = (yield Rows("child_outcome", {"id": str(job_id)}))[0]
    yield from child_ended(str(run_id), step, str(job_id), state, result, failure_of(*error), now)


def child_ended(
    parent_id: str, step: str, child: str, state: str, result: bytes | None, error: Failure | None, now: int
) -> Plan[None]:
    """Writes how a child ended, once, and wakes the parent if that satisfies a group that it parked on."""
    ids = {"ids": names_text([parent_id])}
    yield Rows("lock_drivers_of", ids)
    parent = (yield from lock_runs([parent_id])).get(parent_id)
    if parent is None:
        return
    completed = state == "completed"
    told = None if completed else error
    added = yield Do(
        "add_child_result",
        {
            "run_id": parent_id,
            "step": step,
            "child": child,
            "state": state,
            "result": result if completed else None,
            "error_type": told.type if told else None,
            "error_message": told.message if told else None,
            "error_traceback": told.traceback if told else None,
        },
    )
    if not added:
        return
    if parent.parked and (yield from _satisfied(parent_id, step, failed=not completed)):
        yield from wake([parent_id], now)
    else:
        yield Do("hear_child", {"id": parent_id})


def _satisfied(run_id: str, step: str, *, failed: bool) -> Plan[bool]:
    if not (yield Do("count_down", {"run_id": run_id, "step": step, "failed": failed})):
        return False
    return first((yield Rows("satisfied_group", {"run_id": run_id}))) is not None
