"""What a driver says of its run besides the journal: park, compensate, undoing, finish, block. All of it is fenced."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

from dispatch.clock import micros
from dispatch.entity import Reply
from dispatch.ids import DLQID, JobID, WorkerID
from dispatch.jobs.model import Failure
from dispatch.stores.sql import concurrency
from dispatch.stores.sql.enqueue import enqueue
from dispatch.stores.sql.finish import bury
from dispatch.stores.sql.plan import Do, Lock, Many, Plan, Rows, first
from dispatch.stores.sql.rows import NEVER, failure_of, failure_params, names_text
from dispatch.stores.sql.workflow_ends import END_RUN, close_all, end_run, heard_by_parent
from dispatch.stores.sql.workflow_rows import Driver, LockedRun, lock_drivers, lock_runs
from dispatch.stores.sql.workflow_wakes import children_ended, compensates
from dispatch.workflows.model import FinishRun, Group, Park, Parked, RunFinished, RunState

END_DRIVER = (
    *("id", "state", "failed", "reason", "left_as", "now"),
    *("error_type", "error_message", "error_traceback"),
)


def park(worker_id: WorkerID, parks: Sequence[Park], now: int) -> Plan[list[Parked]]:
    """The plan of WorkflowStore.park."""
    drivers = yield from lock_drivers([said.driver for said in parks])
    runs = yield from lock_runs([said.run_id for said in parks])
    answers = []
    asleep: list[_Asleep] = []
    for said in parks:
        driver, run = drivers.get(said.driver), runs.get(said.run_id)
        if driver is None or run is None or not _holds(driver, worker_id, said.epoch, said.run_id):
            answers.append(Parked(_repeated(driver, worker_id, said.epoch, "park")))
        else:
            reply = yield from _park_one(driver, run, said, now, asleep)
            answers.append(Parked(reply))
            if reply is Reply.APPLIED:
                drivers[said.driver] = driver._replace(state="pending", left_as=_mark(driver, "park"))
    yield from _put_to_sleep(asleep, now)
    return answers


class _Asleep(NamedTuple):
    """A run that is parked by this call, and the groups that it waits for, with how many are to end of each."""

    driver: Driver
    said: Park
    remaining: list[int]


def _park_one(driver: Driver, run: LockedRun, said: Park, now: int, asleep: list[_Asleep]) -> Plan[Reply]:
    if run.wake_seq != said.seen_seq:
        return Reply.CONFLICT
    remaining = []
    for group in said.children:
        left = yield from _remaining(run.id, group)
        if left <= 0:
            return Reply.CONFLICT
        remaining.append(left)
    if driver.cancel_reason is not None:
        yield from compensates(run.id, driver.id, driver.cancel_reason, now, _mark(driver, "park"))
    else:
        asleep.append(_Asleep(driver, said, remaining))
    return Reply.APPLIED


def _put_to_sleep(asleep: Sequence[_Asleep], now: int) -> Plan[None]:
    groups, steps, drivers, runs = [], [], [], []
    for driver, said, remaining in asleep:
        for number, (group, left) in enumerate(zip(said.children, remaining, strict=True)):
            groups.append((driver.run_id, number, group.mode, left))
            steps.append((driver.run_id, number, json.dumps(group.steps)))
        until = None if said.until is None else micros(said.until)
        due = (0, NEVER) if until is None else (1, until)
        drivers.append((driver.id, driver.worker_id, driver.epoch, *due, _mark(driver, "park"), now))
        runs.append((driver.run_id, until, now))
    ids = [(run_id,) for run_id, *_ in runs]
    for name in ("drop_groups", "drop_group_steps"):
        yield Many(name, ("run_id",), ids)
    yield Many("add_group", ("run_id", "number", "mode", "remaining"), groups)
    yield Many("add_group_steps", ("run_id", "number", "steps"), steps)
    yield Many("park_driver", ("id", "worker_id", "epoch", "ready", "run_at", "left_as", "now"), drivers)
    yield Many("park_run", ("id", "wakes_at", "now"), runs)


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
    """The plan of WorkflowStore.finish: completions that touch little else in one batch first, the others in order."""
    yield Lock("lock_kin", {"ids": names_text({said.run_id for said in ends})})
    left: set[str] = set()
    short = yield from _complete_short(worker_id, ends, left, now)
    answers = []
    for said in ends:
        if said.run_id in short:
            answers.append(RunFinished(Reply.APPLIED, RunState.COMPLETED))
            continue
        # looked at again one by one: the end of one run may wake or cancel another of the same call
        driver = (yield from lock_drivers([said.driver])).get(said.driver)
        run = (yield from lock_runs([said.run_id])).get(said.run_id)
        if driver is None or run is None or not _holds(driver, worker_id, said.epoch, said.run_id):
            answers.append((yield from _not_held(driver, run, worker_id, said)))
        else:
            answers.append((yield from _finish_one(driver, run, said, now)))
            if driver.concurrency_key is not None:
                left.add(driver.concurrency_key)
    yield from concurrency.leave(left, now)
    return answers


def _complete_short(worker_id: WorkerID, ends: Sequence[FinishRun], left: set[str], now: int) -> Plan[set[str]]:
    """Completes the runs that have no unique key, no open child and no follow-up; answers which they were, notes the
    concurrency keys that they leave."""
    named = Counter(said.run_id for said in ends)
    asked = [
        said
        for said in ends
        if said.state == "completed" and said.failure is None and not said.then and named[said.run_id] == 1
    ]
    if not asked:
        return set()
    drivers = yield from lock_drivers([said.driver for said in asked])
    runs = yield from lock_runs([said.run_id for said in asked])
    parents = {run_id for (run_id,) in (yield Rows("with_open_children", {"ids": names_text(runs)}))}
    short = []
    for said in asked:
        driver, run = drivers.get(said.driver), runs.get(said.run_id)
        if driver is None or run is None or not _holds(driver, worker_id, said.epoch, said.run_id):
            continue
        if driver.unique_key is None and run.id not in parents:
            short.append((said, driver, run))
    completed, no_error = RunState.COMPLETED.value, (None, None, None)
    drivers_end = [(d.id, completed, 0, s.reason, _mark(d, completed), now, *no_error) for s, d, _ in short]
    yield Many("end_driver", END_DRIVER, drivers_end)
    runs_end = [(r.id, completed, s.result, s.reason, int(s.compensation_failed), now, *no_error) for s, _, r in short]
    yield Many("end_run", END_RUN, runs_end)
    yield from close_all([run.id for _, _, run in short])
    awaited = [heard_by_parent(run, RunState.COMPLETED, said.result, None) for said, _, run in short]
    yield from children_ended([child for child in awaited if child is not None], now)
    left.update(driver.concurrency_key for _, driver, _ in short if driver.concurrency_key is not None)
    return {run.id for _, _, run in short}


def _finish_one(driver: Driver, run: LockedRun, said: FinishRun, now: int) -> Plan[RunFinished]:
    state, reason = RunState(said.state), said.reason or (run.reason if said.state != "completed" else None)
    if driver.cancel_reason is not None and state is RunState.FAILED:
        state, reason = RunState.CANCELLED, driver.cancel_reason
    counts = said.failure is not None and (not run.compensating or said.compensation_failed)
    if said.failure is not None and counts:
        yield from note_failure(driver, said.failure, now)
    own = failure_of(run.error_type, run.error_message, run.error_traceback)
    error = (own or said.failure) if run.compensating else (said.failure or own)
    told = failure_params(error if state is RunState.FAILED else None)
    end = (driver.id, state.value, int(counts), reason, _mark(driver, said.state), now, *told.values())
    yield Many("end_driver", END_DRIVER, [end])
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
