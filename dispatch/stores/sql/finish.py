"""Finish: from what a worker says of a job to the job's next state, decided in one pure function."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from dispatch.clock import from_micros
from dispatch.entity import Reply
from dispatch.ids import DLQID, JobID, WorkerID
from dispatch.jobs.model import QUARANTINE_FROM, TERMINAL, WAITING, Failure, Finished, JobState, Transition, Verdict
from dispatch.stores.sql import concurrency, unique
from dispatch.stores.sql.enqueue import enqueue
from dispatch.stores.sql.plan import Do, Lock, Plan, Rows, first
from dispatch.stores.sql.rows import failure_params, later, names_text
from dispatch.stores.sql.workflow_wakes import compensates, jobs_ended

_ENDS = (Verdict.COMPLETE, Verdict.FAIL, Verdict.CANCEL)


class Held(NamedTuple):
    """What a transition needs to know of its job's row."""

    state: str
    worker_id: str | None
    epoch: int
    failures: int
    crashes: int
    cancel_reason: str | None
    unique_key: str | None
    left_as: str | None
    started_at: int | None
    run_at: int
    concurrency_key: str | None
    kind: str
    run_id: str | None
    step: str | None

    @property
    def drives(self) -> str | None:
        """The run that it drives, if it is a driver."""
        return self.run_id if self.kind == "workflow" else None


@dataclass(frozen=True, slots=True)
class Outcome:
    """The row's next state."""

    state: JobState
    failures: int
    run_at: int
    reason: str | None = None
    dead_letter: bool = False


def decide(held: Held, said: Transition, now: int) -> Outcome:
    """What becomes of a job that its worker holds, from the verdict and the row."""
    failed = said.verdict is Verdict.FAIL and said.failure is not None
    failures = held.failures + (1 if failed or said.verdict is Verdict.RETRY else 0)
    if said.verdict is Verdict.COMPLETE:
        return Outcome(JobState.COMPLETED, failures, held.run_at)
    if said.verdict is Verdict.CANCEL or held.cancel_reason is not None:
        return Outcome(JobState.CANCELLED, failures, held.run_at, held.cancel_reason or said.reason or "cancelled")
    if said.verdict is Verdict.FAIL:
        return Outcome(JobState.FAILED, failures, held.run_at, said.reason, said.dead_letter)
    state = JobState.RETRYING if failures or held.crashes else JobState.PENDING
    return Outcome(state, failures, held.run_at if said.verdict is Verdict.RELEASE else later(now, said.delay))


def wait_again(held: Held, said: Transition, now: int) -> Outcome:
    """What becomes of a driver that is given back: one whose run was cancelled is due to compensate."""
    if held.cancel_reason is not None:
        return Outcome(JobState.PENDING, 0, now)
    return decide(held, said, now)


def is_repetition(held: Held, said: Transition, worker_id: WorkerID) -> bool:
    """Whether this very transition was applied before and only its reply was lost."""
    if held.epoch != said.epoch:
        return False
    completed = held.state == JobState.COMPLETED and said.verdict is Verdict.COMPLETE
    return held.left_as == mark(worker_id, said) or (completed and held.worker_id == worker_id)


def mark(worker_id: WorkerID, said: Transition) -> str:
    return f"{worker_id}:{said.epoch}:{said.verdict.value}"


Complete = Callable[[WorkerID, Sequence[Transition], int], Plan[set[JobID]]]
"""Completes plain jobs the short way; answers which it knows to be completed. The others are looked at one by one: one
that was completed after all is found as if that had been reported before."""


def finish(
    worker_id: WorkerID, transitions: Sequence[Transition], now: int, *, complete: Complete
) -> Plan[list[Finished]]:
    """The plan of JobStore.finish: plain completions in one batch first, everything else one by one in order."""
    answers: list[Finished | None] = [None] * len(transitions)
    held = yield Lock("lock_jobs", {"ids": names_text({said.job_id for said in transitions})})
    unique_keys = [key for (key,) in held]
    unique_keys += [job.unique.key for said in transitions for job in said.then if job.unique is not None]
    yield from unique.lock(unique_keys)
    if len({said.job_id for said in transitions}) == len(transitions):
        plain = [
            (number, said)
            for number, said in enumerate(transitions)
            if said.verdict is Verdict.COMPLETE and said.failure is None and not said.then
        ]
        completed = yield from complete(worker_id, [said for _, said in plain], now)
        done = Finished(Reply.APPLIED, JobState.COMPLETED)
        for number, said in plain:
            if said.job_id in completed:
                answers[number] = done
    finished = []
    left = _Left()
    for said, answer in zip(transitions, answers, strict=True):
        finished.append(answer or (yield from _finish_one(worker_id, said, now, left)))
    yield from jobs_ended(left.children, now)
    yield from concurrency.leave(left.keys, now)
    return finished


@dataclass(slots=True)
class _Left:
    """What is to be done once all transitions of a call are applied."""

    keys: set[str] = field(default_factory=set)
    """The concurrency keys that were left."""
    children: list[tuple[JobID, str, str]] = field(default_factory=list)
    """The jobs that ended and that a run waits for, with run and step."""


def _finish_one(worker_id: WorkerID, said: Transition, now: int, left: _Left) -> Plan[Finished]:
    """Applies one transition; notes what it leaves to be done."""
    row = first((yield Rows("job_held", {"id": str(said.job_id)})))
    if row is None:
        return Finished(Reply.MISSING)
    held = Held(*row)
    if held.state != JobState.RUNNING or held.worker_id != worker_id or held.epoch != said.epoch:
        reply = Reply.APPLIED if is_repetition(held, said, worker_id) else Reply.STALE
        entry = None
        if reply is Reply.APPLIED and held.state == JobState.FAILED:
            entry = first((yield Rows("latest_dead_letter", {"job_id": str(said.job_id)})))
        again = from_micros(held.run_at) if reply is Reply.APPLIED and held.state in WAITING else None
        return Finished(reply, JobState(held.state), DLQID(entry[0]) if entry else None, again)
    run_id = held.drives
    if run_id is not None and said.verdict in _ENDS:
        return Finished(Reply.CONFLICT, JobState.RUNNING)
    outcome = decide(held, said, now) if run_id is None else wait_again(held, said, now)
    terminal = outcome.state in TERMINAL
    changed = yield Do(
        "leave_running",
        {
            "id": str(said.job_id),
            "worker_id": str(worker_id),
            "epoch": said.epoch,
            "state": outcome.state.value,
            "ready": 0 if terminal else ready(held.crashes),
            "failures": outcome.failures,
            "run_at": outcome.run_at,
            "keeps_worker": str(worker_id) if terminal else None,
            "finished_at": now if terminal else None,
            "now": now,
            "reason": outcome.reason,
            "left_as": mark(worker_id, said),
            "result": said.result if outcome.state is JobState.COMPLETED else None,
            **failure_params(said.failure),
        },
    )
    if not changed:
        return Finished(Reply.STALE, JobState(held.state))
    if held.concurrency_key is not None and run_id is None:
        left.keys.add(held.concurrency_key)
    if said.failure is not None:
        yield Do("add_attempt", attempt(said.job_id, held, "failed", said.failure, now))
        if run_id is not None:
            yield Do("note_run_error", {"id": run_id, **failure_params(said.failure)})
    if run_id is not None and held.cancel_reason is not None:
        yield from compensates(run_id, str(said.job_id), held.cancel_reason, now)
    entry_id = None
    if outcome.dead_letter:
        entry_id = yield from bury(said.job_id, outcome.reason or "failed", now)
    if terminal and held.unique_key is not None:
        yield from unique.end(held.unique_key, said.job_id, now)
    if terminal and held.run_id is not None and held.step is not None:
        left.children.append((said.job_id, held.run_id, held.step))
    if said.then:
        yield from enqueue(said.then, now, lenient=True)
    return Finished(Reply.APPLIED, outcome.state, entry_id, None if terminal else from_micros(outcome.run_at))


def ready(crashes: int) -> int:
    """The `ready` column of a waiting row: 1, or 2 once it has crashed too many workers."""
    return 1 if crashes < QUARANTINE_FROM else 2


def attempt(job_id: JobID, held: Held, kind: str, failure: Failure, now: int) -> dict[str, Any]:
    return {
        "job_id": str(job_id),
        "number": held.failures + 1,
        "kind": kind,
        "worker_id": held.worker_id,
        "epoch": held.epoch,
        "started_at": held.started_at,
        "now": now,
        **failure_params(failure),
    }


def bury(job_id: JobID, reason: str, now: int) -> Plan[DLQID]:
    """Makes the dead letter of a job that has just failed for good."""
    entry_id = DLQID.new()
    yield Do("bury_job", {"id": str(entry_id), "job_id": str(job_id), "reason": reason, "now": now})
    return entry_id
