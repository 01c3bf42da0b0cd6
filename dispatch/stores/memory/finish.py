"""Ways out of `running`: what a transition or a lapsed lease makes of a row, and the dead letter it may leave."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from dispatch.dlq.model import DLQEntry, DLQState
from dispatch.entity import Reply
from dispatch.ids import DLQID, WorkerID
from dispatch.jobs.model import TERMINAL, WAITING, Attempt, Failure, Finished, JobState, Stolen, Transition, Verdict
from dispatch.stores.memory import wakes
from dispatch.stores.memory.data import Data, insert_sorted
from dispatch.stores.memory.enqueue import enqueue_followups, new_row
from dispatch.stores.memory.feed import tell_job, tell_retry, tell_run_ended
from dispatch.stores.memory.rows import (
    Origin,
    Row,
    checked_bytes,
    checked_failure,
    checked_text,
    copy_job,
    copy_json,
    is_driver,
    later,
)
from dispatch.stores.memory.runs import RunRow
from dispatch.workflows.model import RunState

_MISSING = Finished(Reply.MISSING)
_COMPLETED = Finished(Reply.APPLIED, JobState.COMPLETED)
_WORKER_LOST = "worker_lost"
_PARENT_ENDED = "parent_ended"
_ENDS = (Verdict.COMPLETE, Verdict.FAIL, Verdict.CANCEL)


def finish(data: Data, worker_id: WorkerID, transitions: Sequence[Transition], now: datetime) -> list[Finished]:
    """Checks that everything can be stored, then applies each transition that its fence allows."""
    for transition in transitions:
        _check(transition, now)
    answers = [_finish_one(data, worker_id, transition, now) for transition in transitions]
    data.signal.bump()
    return answers


def _check(transition: Transition, now: datetime) -> None:
    if transition.result is not None:
        checked_bytes(transition.result, f"the result of job {transition.job_id}")
    if transition.failure is not None:
        checked_failure(transition.failure, f"job {transition.job_id}")
    if transition.reason is not None:
        checked_text(transition.reason, f"the reason of job {transition.job_id}")
    if transition.delay:
        later(now, transition.delay, f"the delay of job {transition.job_id}")
    for new in transition.then:
        new_row(new, now)


def _finish_one(data: Data, worker_id: WorkerID, transition: Transition, now: datetime) -> Finished:
    row = data.rows.get(transition.job_id)
    if row is None:
        return _MISSING
    epoch, verdict = transition.epoch, transition.verdict
    if row.state is not JobState.RUNNING or row.epoch != epoch or row.worker_id != worker_id:
        if row.epoch == epoch and row.last == (worker_id, epoch, verdict):
            return Finished(Reply.APPLIED, row.state, row.letter, None if row.state in TERMINAL else row.run_at)
        return Finished(Reply.STALE, row.state)
    run = data.runs.driven_by(row)
    if run is not None and verdict in _ENDS:
        return Finished(Reply.CONFLICT, row.state)
    data.stop(row)
    row.last = (worker_id, epoch, verdict)
    row.letter = None
    if run is not None and transition.failure is not None and not run.compensating:
        run.error = transition.failure
    if verdict is Verdict.COMPLETE:
        row.result = transition.result
        if transition.failure is not None:
            record_attempt(data, row, "failed", transition.failure, now)
        data.end(row, JobState.COMPLETED, None, now)
    else:
        _settle(data, row, transition, now)
    if transition.then:
        enqueue_followups(data, transition.then, now)
    if verdict is Verdict.COMPLETE:
        return _COMPLETED
    return Finished(Reply.APPLIED, row.state, row.letter, None if row.state in TERMINAL else row.run_at)


def _settle(data: Data, row: Row, transition: Transition, now: datetime) -> None:
    """Every verdict but COMPLETE, on a row that was just stopped."""
    verdict, failure = transition.verdict, transition.failure
    if failure is not None:
        record_attempt(data, row, "failed", failure, now)
    if verdict is Verdict.RETRY or (verdict is Verdict.FAIL and failure is not None):
        row.failures += 1
    if row.cancel_requested:
        run = data.runs.driven_by(row)
        if run is not None:
            wakes.compensates(data, row, run, row.cancel_reason or "cancelled", now)
        else:
            data.end(row, JobState.CANCELLED, row.cancel_reason, now)
        return
    match verdict:
        case Verdict.FAIL:
            data.end(row, JobState.FAILED, transition.reason, now)
            if transition.dead_letter:
                bury(data, row, transition.reason or "failed", now)
        case Verdict.CANCEL:
            data.end(row, JobState.CANCELLED, transition.reason or "cancelled", now)
        case Verdict.RELEASE:
            data.wait(row, row.run_at, now)
        case _:
            data.wait(row, now + timedelta(seconds=transition.delay), now)
            if verdict is Verdict.RETRY:
                tell_retry(data.stream, row, row.failures, now)


def steal(data: Data, limit: int, max_crashes: int, delays: Sequence[float], now: datetime) -> list[Stolen]:
    """Takes rows with a lapsed lease, longest lapsed first, from whoever held them."""
    due = [later(now, delay, "a delay of the steal") for delay in delays] or [now]
    lapsed = [row for row in data.running.values() if row.lease_until is not None and row.lease_until < now]
    lapsed.sort(key=lambda row: (row.lease_until, row.id))
    stolen = []
    for row in lapsed[: max(0, limit)]:
        from_worker = row.worker_id
        failure = Failure(
            "WorkerLost", f"worker {from_worker} was lost while it ran this job (crash {row.crashes + 1})"
        )
        record_attempt(data, row, "crashed", failure, now)
        data.stop(row)
        row.worker_id = None
        row.letter = None
        row.crashes += 1
        run = data.runs.driven_by(row)
        if run is not None and not row.cancel_requested and not run.compensating:
            run.error = failure  # else why it compensates is what it ends with
        if run is not None and (row.cancel_requested or row.crashes > max_crashes):
            lose_driver(data, row, run, failure, now)
        elif row.cancel_requested:
            data.end(row, JobState.CANCELLED, row.cancel_reason, now)
        elif row.crashes > max_crashes:
            data.end(row, JobState.FAILED, _WORKER_LOST, now)
            bury(data, row, _WORKER_LOST, now)
        else:
            data.wait(row, due[min(row.crashes, len(due)) - 1], now)
            tell_retry(data.stream, row, row.failures + 1, now)
        stolen.append(Stolen(copy_job(row), from_worker, row.letter))
    if stolen:
        data.signal.bump()
    return stolen


def lose_driver(data: Data, row: Row, run: RunRow, failure: Failure, now: datetime) -> None:
    """A driver whose cancellation was requested, or that was lost too often: its run compensates. One that was lost too
    often while it compensated has failed."""
    if row.cancel_requested:
        wakes.compensates(data, row, run, row.cancel_reason or "cancelled", now)
        return
    if not run.compensating:
        wakes.compensates(data, row, run, _WORKER_LOST, now)
        return
    run.compensation_failed = True
    run.error = run.error or failure
    end_run(data, row, run, RunState.FAILED, now, reason=run.reason or _WORKER_LOST)


def end_run(
    data: Data,
    row: Row,
    run: RunRow,
    state: RunState,
    now: datetime,
    *,
    reason: str | None,
    result: bytes | None = None,
    dead_letter: bool = True,
) -> None:
    """Ends the run and its stopped driver: key, dead letter, waits, the parent's ChildResult, the children's ends."""
    run.result = result
    run.reason = reason
    run.finished_at = now
    run.unpark()
    data.runs.close_all(run)
    data.runs.to_state(run, state, now)
    tell_run_ended(data.stream, run, now)
    data.end(row, JobState(state.value), reason, now)
    if state is RunState.FAILED:
        row.error = run.error
        if dead_letter:
            bury(data, row, reason or "failed", now)
    if run.parent is not None and run.step is not None and run.awaited:
        wakes.child_ended(data, run.parent, run.step, run.id, wakes.OUTCOMES[row.state], result, run.error, now)
    for job_id in sorted(run.child_jobs):
        child = data.rows[job_id]
        if not child.state.terminal:
            cancel_job(data, child, _PARENT_ENDED, now)
    for run_id in sorted(run.child_runs):
        child_run = data.runs.rows[run_id]
        if not child_run.abandon and (child_run.awaited or state is not RunState.COMPLETED):
            wakes.cancel_run(data, child_run, _PARENT_ENDED, now)


def cancel_job(data: Data, row: Row, reason: str, now: datetime) -> None:
    """Ends a waiting job, or asks for the end of a running one."""
    if row.state in WAITING:
        data.withdraw(row)
        data.end(row, JobState.CANCELLED, reason, now)
        return
    wakes.request_cancel(data, row, reason, now)


def record_attempt(data: Data, row: Row, kind: str, failure: Failure, now: datetime) -> None:
    """Keeps the failure as the row's error and in its history."""
    row.error = failure
    attempt = Attempt(
        number=row.failures + 1,
        kind="crashed" if kind == "crashed" else "failed",
        failure=failure,
        worker_id=row.worker_id,
        epoch=row.epoch,
        started_at=row.started_at,
        ended_at=now,
    )
    data.attempts.setdefault(row.id, []).append(attempt)


def bury(data: Data, row: Row, reason: str, now: datetime) -> DLQID:
    """Makes the dead letter of a row that has just failed for good."""
    failures, crashes = row.failures, row.crashes
    if is_driver(row):  # its counts begin anew with what its run records
        kinds = [attempt.kind for attempt in data.attempts.get(row.id, ())]
        failures, crashes = kinds.count("failed"), kinds.count("crashed")
    entry = DLQEntry(
        id=DLQID.new(),
        created_at=now,
        updated_at=now,
        job_id=row.id,
        job_name=row.name,
        queue=row.queue,
        state=DLQState.OPEN,
        reason=reason,
        error=row.error,
        payload=row.payload,
        failures=failures,
        crashes=crashes,
        priority=row.priority,
        max_retries=row.max_retries,
        timeout=row.timeout,
        backoff=None if row.backoff is None else copy_json(row.backoff),
        keep_result=row.keep_result,
        unique_key=row.unique_key,
        effect_key=row.effect_key,
        metadata=copy_json(row.metadata),
        tags=row.tags,
        scope=row.scope,
        concurrency_key=row.concurrency_key,
        concurrency_max=row.concurrency_max,
    )
    row.letter = entry.id
    data.letters[entry.id] = entry
    insert_sorted(data.letter_order, entry.id)
    data.origins[entry.id] = Origin(row.kind, row.lane, row.unique_until)
    tell_job(data.stream, "job.dlq", row, now, reason=reason)
    return entry.id
