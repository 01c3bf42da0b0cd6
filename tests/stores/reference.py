"""A reference model of the jobs and dead letters of one queue: plain dicts, no index, no cleverness."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta

from dispatch.clock import ManualClock
from dispatch.dlq import DLQState
from dispatch.entity import Reply
from dispatch.ids import DLQID, JobID, WorkerID
from dispatch.jobs.model import QUARANTINE_FROM, TERMINAL, WAITING, JobState, Unique, Verdict

END_OF = {Verdict.COMPLETE: JobState.COMPLETED, Verdict.FAIL: JobState.FAILED, Verdict.CANCEL: JobState.CANCELLED}


@dataclass
class ModelJob:
    id: JobID
    payload: bytes
    priority: int
    run_at: datetime
    unique: Unique | None = None
    state: JobState = JobState.PENDING
    failures: int = 0
    crashes: int = 0
    attempts: int = 0
    epoch: int = 0
    worker: WorkerID | None = None
    lease_until: datetime | None = None
    cancel_requested: bool = False
    behind: JobID | None = None
    last: tuple[WorkerID, int, Verdict] | None = None
    letter: DLQID | None = None

    def seen(self) -> tuple[object, ...]:
        """What a reader of the store must see of this job."""
        return (
            self.id,
            self.state,
            self.payload,
            self.priority,
            self.run_at,
            self.failures,
            self.crashes,
            self.epoch,
            self.worker if self.state is JobState.RUNNING else None,
            self.lease_until if self.state is JobState.RUNNING else None,
            self.cancel_requested if self.state is JobState.RUNNING else None,
            self.behind,
        )


@dataclass
class Letter:
    job_id: JobID
    state: DLQState = DLQState.OPEN
    replayed_as: JobID | None = None


@dataclass
class Reference:
    clock: ManualClock
    jobs: dict[JobID, ModelJob] = field(default_factory=dict)
    holders: dict[str, JobID] = field(default_factory=dict)
    idempotency: dict[str, tuple[JobID, str]] = field(default_factory=dict)
    letters: dict[DLQID, Letter] = field(default_factory=dict)
    paused: bool = False
    limit: int | None = None

    @property
    def now(self) -> datetime:
        return self.clock.now()

    def after(self, seconds: float) -> datetime:
        return self.now + timedelta(seconds=seconds)

    def running(self) -> list[ModelJob]:
        return [job for job in self.jobs.values() if job.state is JobState.RUNNING]

    def successor(self, job_id: JobID) -> ModelJob | None:
        return next((job for job in self.jobs.values() if job.behind == job_id), None)

    def enqueue(self, job: ModelJob, idempotency: tuple[str, str] | None) -> tuple[JobID, bool, bool] | str:
        """(id, created, replaced), or the name of the error."""
        if job.id in self.jobs:
            return job.id, False, False
        if idempotency is not None and idempotency[0] in self.idempotency:
            known, fingerprint = self.idempotency[idempotency[0]]
            return (known, False, False) if fingerprint == idempotency[1] else "IdempotencyMismatch"
        answer = self._resolve(job)
        if idempotency is not None and not isinstance(answer, str):
            self.idempotency[idempotency[0]] = (answer[0], idempotency[1])
        return answer

    def _resolve(self, job: ModelJob) -> tuple[JobID, bool, bool] | str:
        holder_id = self.holders.get(job.unique.key) if job.unique else None
        if holder_id is None or job.unique is None:
            self.jobs[job.id] = job
            if job.unique:
                self.holders[job.unique.key] = job.id
            return job.id, True, False
        holder = self.jobs[holder_id]
        match job.unique.on_conflict:
            case "raise":
                return "DuplicateJob"
            case "replace":
                target = self.successor(holder_id) or (holder if holder.state in WAITING else None)
                if target is None:
                    job.behind = holder_id
                    self.jobs[job.id] = job
                    return job.id, True, False
                target.payload, target.run_at, target.priority = job.payload, job.run_at, job.priority
                return target.id, False, True
            case _:
                return holder_id, False, False

    def claimable(self, *, quarantined: bool) -> list[ModelJob]:
        due = [
            job
            for job in self.jobs.values()
            if job.state in WAITING
            and job.run_at <= self.now
            and job.behind is None
            and (job.crashes >= QUARANTINE_FROM) == quarantined
        ]
        return sorted(due, key=lambda job: (-job.priority, job.run_at, job.id))

    def claim(self, worker: WorkerID, limit: int, lease: float, *, alone: bool) -> list[ModelJob]:
        room = limit if self.limit is None else min(limit, max(0, self.limit - len(self.running())))
        if self.paused or room == 0:
            return []
        taken = (alone and self.claimable(quarantined=True)[:1]) or self.claimable(quarantined=False)[:room]
        for job in taken:
            job.state, job.worker, job.last = JobState.RUNNING, worker, None
            job.epoch = max(job.epoch + 1, int(self.now.timestamp() * 1000))
            job.lease_until = self.after(lease)
            if job.unique and job.unique.until == "start":
                self._free_key(job)
        return taken

    def finish(
        self, job_id: JobID, worker: WorkerID, epoch: int, verdict: Verdict, delay: float, *, fails: bool
    ) -> Reply:
        job = self.jobs[job_id]
        if job.state is not JobState.RUNNING or (job.worker, job.epoch) != (worker, epoch):
            return Reply.APPLIED if job.last == (worker, epoch, verdict) else Reply.STALE
        job.last = (worker, epoch, verdict)
        job.letter = None
        if fails:
            job.attempts += 1
        if verdict is Verdict.RETRY or (verdict is Verdict.FAIL and fails):
            job.failures += 1
        if verdict is Verdict.COMPLETE or job.cancel_requested:
            self._end(job, JobState.COMPLETED if verdict is Verdict.COMPLETE else JobState.CANCELLED)
        elif verdict in END_OF:
            self._end(job, END_OF[verdict])
        else:
            self._wait(job, job.run_at if verdict is Verdict.RELEASE else self.after(delay))
        return Reply.APPLIED

    def steal(self, max_crashes: int, delay: float) -> list[ModelJob]:
        lapsed = [job for job in self.running() if job.lease_until is not None and job.lease_until < self.now]
        for job in lapsed:
            job.crashes += 1
            job.attempts += 1
            job.last = job.letter = None
            if job.cancel_requested:
                self._end(job, JobState.CANCELLED)
            elif job.crashes > max_crashes:
                self._end(job, JobState.FAILED)
            else:
                self._wait(job, self.after(delay))
        return lapsed

    def cancel(self, job_id: JobID) -> tuple[Reply, JobState]:
        job = self.jobs[job_id]
        if job.state in TERMINAL:
            return Reply.CONFLICT, job.state
        if job.state is JobState.RUNNING:
            job.cancel_requested = True
        else:
            job.behind = None
            self._end(job, JobState.CANCELLED)
        return Reply.APPLIED, job.state

    def retry(self, job_id: JobID) -> tuple[Reply, JobState]:
        job = self.jobs[job_id]
        if job.state is JobState.RETRYING:
            job.run_at = self.now
            return Reply.APPLIED, job.state
        taken = job.unique is not None and job.unique.key in self.holders
        if job.state not in (JobState.FAILED, JobState.CANCELLED) or taken:
            return Reply.CONFLICT, job.state
        letter = self.letters.get(job.letter) if job.letter else None
        if letter is not None and letter.state is DLQState.OPEN:
            letter.state = DLQState.RETRIED
        job.failures = job.crashes = 0
        job.cancel_requested = False
        job.last = job.letter = None
        if job.unique:
            self.holders[job.unique.key] = job.id
        self._wait(job, self.now)
        return Reply.APPLIED, job.state

    def replay(self, letter_id: DLQID, new_id: JobID) -> tuple[Reply, JobID | None]:
        letter = self.letters[letter_id]
        dead = self.jobs[letter.job_id]
        if letter.state is not DLQState.OPEN:
            return (Reply.APPLIED if letter.replayed_as == new_id else Reply.CONFLICT), letter.replayed_as
        twin = self.holders.get(dead.unique.key) if dead.unique else None
        if twin is not None:
            return Reply.CONFLICT, twin
        letter.state, letter.replayed_as = DLQState.REPLAYED, new_id
        self.jobs[new_id] = ModelJob(new_id, dead.payload, dead.priority, self.now, dead.unique)
        if dead.unique:
            self.holders[dead.unique.key] = new_id
        return Reply.APPLIED, new_id

    def discard(self, letter_id: DLQID) -> Reply:
        letter = self.letters[letter_id]
        if letter.state is not DLQState.OPEN:
            return Reply.CONFLICT
        letter.state = DLQState.DISCARDED
        return Reply.APPLIED

    def _wait(self, job: ModelJob, run_at: datetime) -> None:
        job.state = JobState.RETRYING if job.failures or job.crashes else JobState.PENDING
        job.run_at, job.worker, job.lease_until = run_at, None, None

    def _end(self, job: ModelJob, state: JobState) -> None:
        job.state = state
        successor = self.successor(job.id)
        self._free_key(job)
        if successor is not None and successor.unique is not None:
            successor.behind = None
            self.holders[successor.unique.key] = successor.id

    def _free_key(self, job: ModelJob) -> None:
        if job.unique and self.holders.get(job.unique.key) == job.id:
            del self.holders[job.unique.key]
