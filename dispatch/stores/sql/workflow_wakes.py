"""What makes a run move from outside: something wakes it, a child of it ends, it turns to compensation."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from dispatch.ids import JobID, RunID
from dispatch.jobs.model import Failure, JobState
from dispatch.stores.sql.plan import Do, Each, Many, Plan, Rows
from dispatch.stores.sql.rows import failure_of, failure_params, names_text
from dispatch.stores.sql.workflow_rows import lock_runs

_RESULT = ("run_id", "step", "child", "state", "result", "error_type", "error_message", "error_traceback")


@dataclass(frozen=True, slots=True)
class EndedChild:
    """How a child of a run has ended."""

    parent: str
    step: str
    child: str
    state: str
    result: bytes | None
    error: Failure | None

    def row(self) -> tuple[str | bytes | None, ...]:
        """The parameters of `add_child_result`."""
        completed = self.state == JobState.COMPLETED
        told = failure_params(None if completed else self.error)
        return self.parent, self.step, self.child, self.state, self.result if completed else None, *told.values()


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
    if run_id is not None and step is not None:
        yield from jobs_ended([(job_id, run_id, step)], now)


def jobs_ended(ended: Sequence[tuple[JobID, RunID | str, str]], now: int) -> Plan[None]:
    """As `job_ended` for several children: their ids, parents and steps."""
    children = []
    for job_id, run_id, step in ended:
        state, result, *error = (yield Rows("child_outcome", {"id": str(job_id)}))[0]
        children.append(EndedChild(str(run_id), step, str(job_id), state, result, failure_of(*error)))
    yield from children_ended(children, now)


def children_ended(children: Sequence[EndedChild], now: int) -> Plan[None]:
    """Writes how children ended, each once, and wakes the parents whose groups, that they parked on, that satisfies."""
    if not children:
        return
    ids = sorted({child.parent for child in children})
    yield Rows("lock_drivers_of", {"ids": names_text(ids)})
    parents = yield from lock_runs(ids)
    known = [child for child in children if child.parent in parents]
    added = yield Each("add_child_result", _RESULT, [child.row() for child in known])
    heard = [child for child, count in zip(known, added, strict=True) if count]
    parked = [child for child in heard if parents[child.parent].parked]
    satisfied: set[str] = set()
    if parked:
        downs = [(child.parent, child.step, int(child.state != JobState.COMPLETED)) for child in parked]
        # looked at in a statement of its own: the ends of the last two children may meet here
        if (yield Many("count_down", ("run_id", "step", "failed"), downs)):
            rows = yield Rows("satisfied_groups", {"ids": names_text(sorted({child.parent for child in parked}))})
            satisfied = {run_id for (run_id,) in rows}
    times = Counter(child.parent for child in heard)
    times.subtract(satisfied)
    yield Many("hear_child", ("id", "times"), [(id_, count) for id_, count in sorted(times.items()) if count])
    if satisfied:
        yield from wake(sorted(satisfied), now)
