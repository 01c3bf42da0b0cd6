"""How runs end with their drivers, and how the ends of parents reach children, those of waiting jobs parents."""

from __future__ import annotations

from collections.abc import Sequence

from dispatch.ids import JobID
from dispatch.jobs.model import Failure, Job, JobState
from dispatch.stores.sql import concurrency, unique
from dispatch.stores.sql.plan import Do, Many, Plan, Rows
from dispatch.stores.sql.rows import failure_of, failure_params, job_of
from dispatch.stores.sql.workflow_rows import LockedRun
from dispatch.stores.sql.workflow_wakes import EndedChild, cancel_run, children_ended, job_ended
from dispatch.workflows.model import RunState

_PARENT_ENDED = "parent_ended"
END_RUN = (
    *("id", "state", "result", "reason", "compensation_failed", "now"),
    *("error_type", "error_message", "error_traceback"),
)


def end_run(
    run: LockedRun,
    state: RunState,
    now: int,
    *,
    reason: str | None,
    result: bytes | None = None,
    error: Failure | None = None,
    compensation_failed: bool = False,
    unique_key: str | None,
) -> Plan[None]:
    """Ends the run: waits, key, the parent's ChildResult, the children's ends. Its driver has been ended before."""
    row = (run.id, state.value, result, reason, int(compensation_failed), now, *failure_params(error).values())
    yield Many("end_run", END_RUN, [row])
    yield from close_all([run.id])
    if unique_key is not None:
        yield from unique.end(unique_key, JobID(run.driver), now)
    heard = heard_by_parent(run, state, result, error)
    if heard is not None:
        yield from children_ended([heard], now)
    yield from _end_children(run.id, completed=state is RunState.COMPLETED, now=now)


def heard_by_parent(run: LockedRun, state: RunState, result: bytes | None, error: Failure | None) -> EndedChild | None:
    """What its parent is told of the run's end; None when it has none that waits for it."""
    if run.parent is None or run.step is None or not run.awaited:
        return None
    told = error or failure_of(run.error_type, run.error_message, run.error_traceback)
    return EndedChild(run.parent, run.step, run.id, state.value, result, told)


def close_all(run_ids: Sequence[str]) -> Plan[None]:
    """Forgets what the runs wait for."""
    for name in ("close_waits", "close_waits_events", "drop_groups", "drop_group_steps"):
        yield Many(name, ("run_id",), [(run_id,) for run_id in run_ids])


def _end_children(run_id: str, *, completed: bool, now: int) -> Plan[None]:
    for row in (yield Rows("open_child_jobs", {"run_id": run_id})):
        job = job_of(row)
        if job.state is JobState.RUNNING:
            yield Do("request_cancel", {"id": str(job.id), "reason": _PARENT_ENDED, "now": now})
        else:
            yield from cancel_waiting(job, _PARENT_ENDED, now)
    for id_, driver, state in (yield Rows("open_child_runs", {"run_id": run_id, "all": not completed})):
        yield from cancel_run(id_, state, driver, _PARENT_ENDED, now)


def cancel_waiting(job: Job, reason: str, now: int) -> Plan[None]:
    """Ends a job that nobody has claimed."""
    yield Do("cancel_waiting", {"id": str(job.id), "reason": reason, "now": now})
    if job.unique_key is not None:
        yield from unique.end(job.unique_key, job.id, now)
    if job.concurrency_key is not None:
        yield from concurrency.leave({job.concurrency_key}, now)
    yield from job_ended(job.id, job.run_id, job.step, now)
