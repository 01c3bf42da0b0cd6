"""What a driver says of its run besides the journal: park, compensate, undoing, finish, block. All of it is fenced."""

from __future__ import annotations

import json
from collections.abc import Sequence

from dispatch.clock import micros
from dispatch.entity import Reply
from dispatch.ids import DLQID, JobID, WorkerID
from dispatch.jobs.model import Failure
from dispatch.stores.sql.enqueue import enqueue
from dispatch.stores.sql.finish import bury
from dispatch.stores.sql.plan import Do, Plan, Rows, first
from dispatch.stores.sql.rows import NEVER, failure_of, failure_params
from dispatch.stores.sql.workflow_ends import end_run
from dispatch.stores.sql.workflow_rows import Driver, LockedRun, lock_drivers, lock_runs
from dispatch.stores.sql.workflow_wakes import compensates
from dispatch.workflows.model import FinishRun, Group, Park, Parked, RunFinished, RunState


def park(worker_id: WorkerID, parks: Sequence[Park], now: int) -> Plan[list[Parked]]:
    """The plan of WorkflowStore.park."""
    drivers = yield from lock_drivers([said.driver for said in parks])
    runs = yield from lock_runs([said.run_id for said in parks])
    answers = []
    for said in parks:
        driver, run = drivers.get(said.driver), runs.get(said.run_id)
        if driver is None or run is None or not _holds(driver, worker_id, said.epoch, said.run_id):
            answers.append(Parked(_repeated(driver, worker_id, said.epoch, "park")))
        else:
            reply = yield from _park_one(driver, run, said, now)
            answers.append(Parked(reply))
            if reply is Reply.APPLIED:
                drivers[said.driver] = driver._replace(state="pending", left_as=_mark(driver, "park"))
    return answers


def _park_one(driver: Driver, run: LockedRun, said: Park, now: int) -> Plan[Reply]:
    if run.wake_seq != said.seen_seq:
        return Reply.CONFLICT
    remaining = []
    for group in said.children:
        left = yield from _remaining(run.id, group)
        if left <= 0:
            return Reply.CONFLICT
        remaining.append(left)
    left_as = _mark(driver, "park")
    if driver.cancel_reason is not None:
        yield from compensates(run.id, driver.id, driver.cancel_reason, now, left_as)
        return Reply.APPLIED
    yield Do("drop_groups", {"run_id": run.id})
    yield Do("drop_group_steps", {"run_id": run.id})
    for number, (group, left) in enumerate(zip(said.children, remaining, strict=True)):
        params = {"run_id": run.id, "number": number, "mode": group.mode, "remaining": left}
        yield Do("add_group", params)
        yield Do("add_group_steps", {**params, "steps": json.dumps(group.steps)})
    until = None if said.until is None else micros(said.until)
    yield Do(
        "park_driver",
        {
            "id": driver.id,
            "worker_id": driver.worker_id,
            "epoch": driver.epoch,
            "ready": 0 if until is None else 1,
            "run_at": NEVER if until is None else until,
            "left_as": left_as,
            "now": now,
        },
    )
    yield Do("park_run", {"id": run.id, "wakes_at": until, "now": now})
    return Reply.APPLIED


def _remaining(run_id: str, group: Group) -> Plan[int]:
    """How many more children must end before the group is satisfied; 0: it is."""
    params = {"run_id": run_id, "steps": json.dumps(group.steps)}
    ended, failed = (yield Rows("children_ended", params))[0]
    if (group.mode == "any" and ended) or (group.mode == "all_or_failure" and failed):
        return 0
    return 1 if group.mode == "any" else len(set(group.steps)) - int(ended)


def compensate(
    worker_id: WorkerID, driver_id: JobID, epoch: int, failure: Failure | None, reason: str, now: int
) -> Plan[Reply]:
    """The plan of WorkflowStore.compensate."""
    held = yield from _held(worker_id, driver_id, epoch)
    if held is None:
        return Reply.STALE
    driver, run = held
    if run.compensating:
        return Reply.APPLIED
    if failure is not None:
        yield from note_failure(driver, failure, now)
    yield Do("compensate_run", {"id": run.id, "reason": reason, "wake": 0, "now": now})
    yield Do("calm_driver", {"id": driver.id})
    return Reply.APPLIED


def undoing(worker_id: WorkerID, driver_id: JobID, epoch: int, now: int) -> Plan[Reply]:
    """The plan of WorkflowStore.undoing."""
    held = yield from _held(worker_id, driver_id, epoch)
    if held is None:
        return Reply.STALE
    yield Do("begin_undoing", {"id": held[1].id, "now": now})
    return Reply.APPLIED


def finish(worker_id: WorkerID, ends: Sequence[FinishRun], now: int) -> Plan[list[RunFinished]]:
    """The plan of WorkflowStore.finish."""
    yield from lock_drivers([said.driver for said in ends])
    answers = []
    for said in ends:
        # looked at again one by one: the end of one run may wake or cancel another of the same call
        driver = (yield from lock_drivers([said.driver])).get(said.driver)
        run = (yield from lock_runs([said.run_id])).get(said.run_id)
        if driver is None or run is None or not _holds(driver, worker_id, said.epoch, said.run_id):
            answers.append((yield from _not_held(driver, run, worker_id, said)))
        else:
            answers.append((yield from _finish_one(driver, run, said, now)))
    return answers


def _finish_one(driver: Driver, run: LockedRun, said: FinishRun, now: int) -> Plan[RunFinished]:
    state, reason = RunState(said.state), said.reason or (run.reason if said.state != "completed" else None)
    if driver.cancel_reason is not None and state is RunState.FAILED:
        state, reason = RunState.CANCELLED, driver.cancel_reason
    counts = said.failure is not None and (not run.compensating or said.compensation_failed)
    if said.failure is not None and counts:
        yield from note_failure(driver, said.failure, now)
    error = said.failure or failure_of(run.error_type, run.error_message, run.error_traceback)
    yield Do(
        "end_driver",
        {
            "id": driver.id,
            "state": state.value,
            "failed": counts,
            "reason": reason,
            "left_as": _mark(driver, said.state),
            "now": now,
            **failure_params(error if state is RunState.FAILED else None),
        },
    )
    letter: DLQID | None = None
    if state is RunState.FAILED and said.dead_letter:
        letter = yield from bury(JobID(driver.id), reason or "failed", now)
    yield from end_run(
        run,
        state,
        now,
        reason=reason,
        result=said.result if state is RunState.COMPLETED else None,
        error=error,
        compensation_failed=said.compensation_failed,
        unique_key=driver.unique_key,
    )
    if said.then:
        yield from enqueue(said.then, now, lenient=True)
    return RunFinished(Reply.APPLIED, state, letter)


def _not_held(driver: Driver | None, run: LockedRun | None, worker_id: WorkerID, said: FinishRun) -> Plan[RunFinished]:
    reply = _repeated(driver, worker_id, said.epoch, said.state)
    state = None if run is None else RunState(run.state)
    if reply is not Reply.APPLIED or state is not RunState.FAILED or not said.dead_letter:
        return RunFinished(reply, state)
    entry = first((yield Rows("latest_dead_letter", {"job_id": str(said.driver)})))
    return RunFinished(reply, state, DLQID(entry[0]) if entry else None)


def block(worker_id: WorkerID, driver_id: JobID, epoch: int, reason: str, now: int) -> Plan[Reply]:
    """The plan of WorkflowStore.block."""
    held = yield from _held(worker_id, driver_id, epoch)
    if held is None:
        driver = (yield from lock_drivers([driver_id])).get(driver_id)
        return _repeated(driver, worker_id, epoch, "block")
    driver, run = held
    left_as = _mark(driver, "block")
    if driver.cancel_reason is not None:
        yield from compensates(run.id, driver.id, driver.cancel_reason, now, left_as)
    else:
        yield Do("block_driver", {"id": driver.id, "left_as": left_as, "now": now})
        yield Do("block_run", {"id": run.id, "reason": reason, "now": now})
    return Reply.APPLIED


def note_failure(driver: Driver, failure: Failure, now: int) -> Plan[None]:
    """Keeps a failure in the history, as the driver's error and as the run's."""
    params = failure_params(failure)
    yield Do(
        "add_attempt",
        {
            "job_id": driver.id,
            "number": driver.failures + 1,
            "kind": "failed",
            "worker_id": driver.worker_id,
            "epoch": driver.epoch,
            "started_at": driver.started_at,
            "now": now,
            **params,
        },
    )
    yield Do("note_job_error", {"id": driver.id, **params})
    yield Do("note_run_error", {"id": driver.run_id, **params})


def _held(worker_id: WorkerID, driver_id: JobID, epoch: int) -> Plan[tuple[Driver, LockedRun] | None]:
    driver = (yield from lock_drivers([driver_id])).get(driver_id)
    if driver is None or not driver.held_by(worker_id, epoch):
        return None
    run = (yield from lock_runs([driver.run_id])).get(driver.run_id)
    return None if run is None else (driver, run)


def _holds(driver: Driver, worker_id: WorkerID, epoch: int, run_id: str) -> bool:
    return driver.run_id == run_id and driver.held_by(worker_id, epoch)


def _mark(driver: Driver, verdict: str) -> str:
    return f"{driver.worker_id}:{driver.epoch}:{verdict}"


def _repeated(driver: Driver | None, worker_id: WorkerID, epoch: int, verdict: str) -> Reply:
    """APPLIED when this very request was applied and only its reply was lost; else STALE."""
    same = driver is not None and driver.epoch == epoch and driver.left_as == f"{worker_id}:{epoch}:{verdict}"
    return Reply.APPLIED if same else Reply.STALE
