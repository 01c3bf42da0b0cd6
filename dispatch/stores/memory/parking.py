"""What a driver says of its run besides the journal: park, compensate, undoing, finish, block. All of it is fenced."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from dispatch.entity import Reply
from dispatch.ids import JobID, WorkerID
from dispatch.jobs.model import Failure
from dispatch.stores.memory import wakes
from dispatch.stores.memory.data import Data
from dispatch.stores.memory.enqueue import enqueue_followups, new_row
from dispatch.stores.memory.finish import end_run, record_attempt
from dispatch.stores.memory.journal import fence
from dispatch.stores.memory.rows import NEVER, checked_bytes, checked_failure, checked_text, utc
from dispatch.stores.memory.runs import OpenGroup, RunRow
from dispatch.workflows.model import FinishRun, Group, Park, Parked, RunFinished, RunState

_PARK = "park"


def park(data: Data, worker_id: WorkerID, parks: Sequence[Park], now: datetime) -> list[Parked]:
    """Each park that its fence allows and nothing has overtaken."""
    for said in parks:
        if said.until is not None:
            utc(said.until, f"the end of the park of {said.run_id}")
    answers = [Parked(_park_one(data, worker_id, said, now)) for said in parks]
    data.signal.bump()
    return answers


def _park_one(data: Data, worker_id: WorkerID, said: Park, now: datetime) -> Reply:
    held = fence(data, worker_id, said.driver, said.epoch, said.run_id)
    if held is None:
        return _repeated(data, worker_id, said.driver, said.epoch, _PARK)
    row, run = held
    groups = [open_group(run, group) for group in said.children]
    if run.wake_seq != said.seen_seq or None in groups:
        return Reply.CONFLICT
    data.stop(row)
    row.last = (worker_id, said.epoch, _PARK)
    if row.cancel_requested:
        wakes.compensates(data, row, run, row.cancel_reason or "cancelled", now)
        return Reply.APPLIED
    row.failures = row.crashes = 0
    run.parked = True
    if not run.compensating:
        run.error = None
    run.wakes_at = said.until
    run.groups = [group for group in groups if group is not None]
    data.runs.to_state(run, run.standing, now)
    data.wait(row, NEVER if said.until is None else said.until, now)
    return Reply.APPLIED


def open_group(run: RunRow, group: Group) -> OpenGroup | None:
    """The group with the steps that are open; None: it is satisfied already."""
    ended = [run.results[step] for step in group.steps if step in run.results]
    left = set(group.steps) - run.results.keys()
    if group.mode == "any":
        return None if ended else OpenGroup(group.mode, left)
    failed = group.mode == "all_or_failure" and any(result.state != "completed" for result in ended)
    return None if failed or not left else OpenGroup(group.mode, left)


def compensate(
    data: Data, worker_id: WorkerID, driver: JobID, epoch: int, failure: Failure | None, reason: str, now: datetime
) -> Reply:
    """Turns a run whose driver goes on running to compensation."""
    checked_failure(failure, f"the driver {driver}")
    checked_text(reason, f"the reason of {driver}")
    held = fence(data, worker_id, driver, epoch)
    if held is None:
        return Reply.STALE
    row, run = held
    if run.compensating:
        return Reply.APPLIED
    if failure is not None:
        record_attempt(data, row, "failed", failure, now)
        run.error = failure
    run.compensating = True
    run.reason = reason
    data.runs.to_state(run, RunState.COMPENSATING, now)
    row.failures = row.crashes = 0
    row.cancel_requested = False
    row.cancel_reason = None
    data.cancelling.pop(row.id, None)
    data.signal.bump()
    return Reply.APPLIED


def undoing(data: Data, worker_id: WorkerID, driver: JobID, epoch: int, now: datetime) -> Reply:
    """Notes that the first undo is about to act."""
    held = fence(data, worker_id, driver, epoch)
    if held is None:
        return Reply.STALE
    held[1].compensated = True
    held[1].updated_at = now
    return Reply.APPLIED


def finish(data: Data, worker_id: WorkerID, ends: Sequence[FinishRun], now: datetime) -> list[RunFinished]:
    """Checks that everything can be stored, then ends what its fence allows."""
    for said in ends:
        checked_bytes(said.result, f"the result of run {said.run_id}")
        checked_failure(said.failure, f"run {said.run_id}")
        checked_text(said.reason, f"the reason of run {said.run_id}")
        for new in said.then:
            new_row(new, now)
    answers = [_finish_one(data, worker_id, said, now) for said in ends]
    data.signal.bump()
    return answers


def _finish_one(data: Data, worker_id: WorkerID, said: FinishRun, now: datetime) -> RunFinished:
    held = fence(data, worker_id, said.driver, said.epoch, said.run_id)
    if held is None:
        known, letter = data.runs.rows.get(said.run_id), data.rows.get(said.driver)
        reply = _repeated(data, worker_id, said.driver, said.epoch, said.state)
        again = reply is Reply.APPLIED and letter is not None
        return RunFinished(reply, known.state if known else None, letter.letter if again and letter else None)
    row, run = held
    state, reason = RunState(said.state), said.reason or (run.reason if said.state != "completed" else None)
    if row.cancel_requested and state is RunState.FAILED:
        state, reason = RunState.CANCELLED, row.cancel_reason
    if said.failure is not None:
        if not run.compensating or said.compensation_failed:
            record_attempt(data, row, "failed", said.failure, now)
            row.failures += 1
        run.error = (run.error if run.compensating else None) or said.failure
    run.compensation_failed = said.compensation_failed
    data.stop(row)
    row.last = (worker_id, said.epoch, said.state)
    row.letter = None
    result = said.result if state is RunState.COMPLETED else None
    end_run(data, row, run, state, now, reason=reason, result=result, dead_letter=said.dead_letter)
    enqueue_followups(data, said.then, now)
    return RunFinished(Reply.APPLIED, run.state, row.letter)


def block(data: Data, worker_id: WorkerID, driver: JobID, epoch: int, reason: str, now: datetime) -> Reply:
    """Sets the driver aside until somebody has the right code."""
    checked_text(reason, f"the reason of {driver}")
    held = fence(data, worker_id, driver, epoch)
    if held is None:
        return _repeated(data, worker_id, driver, epoch, "block")
    row, run = held
    data.stop(row)
    row.last = (worker_id, epoch, "block")
    if row.cancel_requested:
        wakes.compensates(data, row, run, row.cancel_reason or "cancelled", now)
    else:
        run.blocked = reason
        data.runs.to_state(run, RunState.BLOCKED, now)
        row.set_aside = True
        data.wait(row, now, now)
    data.signal.bump()
    return Reply.APPLIED


def _repeated(data: Data, worker_id: WorkerID, driver: JobID, epoch: int, verdict: str) -> Reply:
    """APPLIED when this very request was applied and only its reply was lost; else STALE."""
    row = data.rows.get(driver)
    same = row is not None and row.epoch == epoch and row.last == (worker_id, epoch, verdict)
    return Reply.APPLIED if same else Reply.STALE
