"""Jobs as stores keep them: the row, what an enqueue brings, what a worker reports, what a claim returns."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from datetime import datetime
from enum import StrEnum
from operator import attrgetter
from typing import Any, Literal

from dispatch.entity import PAGE_SIZE, Entity, Reply
from dispatch.ids import DLQID, JobID, RunID, WorkerID
from dispatch.scope import NO_SCOPE, Scope

OnConflict = Literal["return", "raise", "skip", "replace"]
UniqueUntil = Literal["finish", "start"]
JobKind = Literal["job", "workflow", "delivery"]

QUARANTINE_FROM = 2
"""From this many crashes on a job is claimed only alone, by a worker with nothing else in flight."""


class JobState(StrEnum):
    """Where a job stands; `retrying` is waiting as `pending` is, after at least one failure or crash."""

    PENDING = "pending"
    RUNNING = "running"
    RETRYING = "retrying"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"

    @property
    def terminal(self) -> bool:
        return self in TERMINAL


TERMINAL = frozenset({JobState.COMPLETED, JobState.FAILED, JobState.CANCELLED})
WAITING = frozenset({JobState.PENDING, JobState.RETRYING})


@dataclass(frozen=True, slots=True)
class Failure:
    """What went wrong in one attempt; the traceback is capped before it gets here."""

    type: str
    message: str
    traceback: str | None = None


@dataclass(frozen=True, slots=True)
class Attempt:
    """One attempt that did not complete, as the history keeps it (success writes none)."""

    number: int
    kind: Literal["failed", "crashed"]
    failure: Failure
    worker_id: WorkerID | None
    epoch: int
    started_at: datetime | None
    ended_at: datetime


@dataclass(slots=True)
class Job(Entity[JobID]):
    """A job's row. Options that nobody set are None: the worker takes them from its own definition."""

    name: str
    queue: str
    state: JobState
    payload: bytes
    """The arguments as JSON by parameter name; opaque to the store."""
    run_at: datetime
    kind: JobKind = "job"
    lane: str = ""
    priority: int = 0
    failures: int = 0
    """Attempts that failed; parks, snoozes, releases and steals do not count."""
    crashes: int = 0
    """How often a worker was lost while it ran this job."""
    epoch: int = 0
    """The fence: grows with every claim, named by every write about the claimed job."""
    worker_id: WorkerID | None = None
    lease_until: datetime | None = None
    started_at: datetime | None = None
    """The latest start."""
    finished_at: datetime | None = None
    scheduled_at: datetime | None = None
    """The cron tick this job stands for."""
    expires_at: datetime | None = None
    max_retries: int | None = None
    timeout: float | None = None
    """Seconds one attempt may take."""
    backoff: dict[str, Any] | None = None
    keep_result: bool | None = None
    result: bytes | None = None
    error: Failure | None = None
    """The latest failure."""
    reason: str | None = None
    """Why a terminal state was reached: expired, cancelled, worker_lost, invalid_payload, result_not_storable …"""
    cancel_requested: bool = False
    unique_key: str | None = None
    effect_key: str = ""
    metadata: dict[str, Any] = field(default_factory=dict)
    tags: tuple[str, ...] = ()
    scope: Scope = NO_SCOPE
    progress: float | None = None
    progress_note: str | None = None
    set_aside: bool = False
    """Due, but no live worker that serves its queue knows its name; out of the workers' way until one does."""
    behind: JobID | None = None
    """Waits as the one successor of this running job, which holds the same unique key."""
    replay_of: DLQID | None = None
    run_id: RunID | None = None
    """Of a driver: the run that it drives. Of a job that is a workflow's step: the run that waits for it."""
    step: str | None = None
    """The name of that step."""
    concurrency_key: str | None = None
    """No more jobs with this key run at once than the key's maximum allows."""
    concurrency_max: int | None = None
    """The maximum that this job brought; the one that the latest enqueue brought counts for all jobs of the key."""
    blocked: bool = False
    """Due, but its concurrency key was full; out of the workers' way until a running job of the key ends."""

    @property
    def attempt(self) -> int:
        """The number of the present or next attempt (1 = the first); of a failed job, that of its last one."""
        return max(self.failures, 1) if self.state is JobState.FAILED else self.failures + 1


@dataclass(frozen=True, slots=True)
class Unique:
    """A key that at most one live job may hold (already made specific to job name and tenant)."""

    key: str
    on_conflict: OnConflict = "return"
    until: UniqueUntil = "finish"
    """The key is free again when the job finishes, or as soon as it first starts."""
    hold_for: float | None = None
    """Seconds from the enqueue for which the key stays taken, whatever becomes of the job."""


@dataclass(frozen=True, slots=True)
class Idempotency:
    """An enqueue that may be repeated: the same key makes one job, for `ttl` seconds whatever retention says."""

    key: str
    """Behind the tenant and "|", as the caller wrote it."""
    fingerprint: str
    """A digest of name and payload; the same key with another one is refused."""
    ttl: float


# The four below are made for every job; a frozen dataclass would take four times as long to make.


@dataclass(slots=True)
class NewJob:
    """What an enqueue brings. Times that are relative are resolved by the store's clock."""

    id: JobID
    name: str
    payload: bytes
    queue: str = "default"
    kind: JobKind = "job"
    lane: str | None = None
    """None: the store decides (the tenant on fair or tenant-limited queues, '' elsewhere)."""
    priority: int = 0
    run_at: datetime | None = None
    delay: float | None = None
    """Seconds after the store's now; wins over run_at. With neither the job is due at once."""
    expires_in: float | None = None
    """Seconds within which the job must have been started."""
    max_retries: int | None = None
    timeout: float | None = None
    backoff: dict[str, Any] | None = None
    keep_result: bool | None = None
    effect_key: str | None = None
    """None: the job's own id."""
    metadata: Mapping[str, Any] = field(default_factory=dict)
    tags: tuple[str, ...] = ()
    scope: Scope = NO_SCOPE
    scheduled_at: datetime | None = None
    unique: Unique | None = None
    idempotency: Idempotency | None = None
    replay_of: DLQID | None = None
    run_id: RunID | None = None
    """Of a driver: its run. With `step`: the run that waits for this job as one of its children."""
    step: str | None = None
    concurrency_key: str | None = None
    """A key of which at most `concurrency_max` jobs run at once (already made specific to job name and tenant)."""
    concurrency_max: int | None = None
    """At least 1; None exactly when there is no key."""

    @property
    def metadata_text(self) -> str:
        """The same for jobs whose metadata is written alike, as 1, 1.0 and True are not, although they are equal."""
        return repr(self.metadata) if self.metadata else ""

    def carrying(self, more: Mapping[str, Any]) -> NewJob:
        """A copy that has these in its metadata too; `dataclasses.replace` takes four times as long.

        >>> NewJob(JobID("job_1"), "mail.send", b"{}", metadata={"a": 1}).carrying({"b": 2}).metadata
        {'a': 1, 'b': 2}
        """
        copy = NewJob(*_values(self))
        copy.metadata = {**self.metadata, **more}
        return copy


_values: Callable[[NewJob], tuple[Any, ...]] = attrgetter(*(one.name for one in fields(NewJob)))


def as_written(job: Job) -> NewJob:
    """What an enqueue would have brought for a row that the store has made itself, for hooks that tell of new jobs."""
    same = ("id", "name", "payload", "queue", "kind", "priority", "run_at", "max_retries", "timeout", "backoff")
    more = ("keep_result", "effect_key", "metadata", "tags", "scope", "scheduled_at")
    return NewJob(**{name: getattr(job, name) for name in (*same, *more)})


@dataclass(slots=True)
class Enqueued:
    """What became of one NewJob: its own row, or the row that already held its unique or idempotency key."""

    id: JobID
    created: bool
    """False: a job with that key (or this very id) was already there; `id` names it."""
    replaced: bool = False
    """True: on_conflict="replace" put the new payload into that job."""
    expired: tuple[JobID, ...] = ()
    """Jobs that held its unique key and were cancelled for it: they had expired before their first start."""
    hint: str = field(default="", compare=False)
    """What an enqueue by name says of a name that nobody has announced; "": it is known, or nothing is."""


def as_given(key: str) -> str:
    """An idempotency key as its caller wrote it, for messages.

    >>> as_given("shop/t-1|order-42"), as_given("|order|42"), as_given("order-42")
    ('order-42', 'order|42', 'order-42')
    """
    return key.split("|", 1)[-1]


class Verdict(StrEnum):
    """What a worker says of a job that it ran."""

    COMPLETE = "complete"
    RETRY = "retry"
    SNOOZE = "snooze"
    RELEASE = "release"
    FAIL = "fail"
    CANCEL = "cancel"


@dataclass(slots=True)
class Transition:
    """One job's way out of `running`, fenced by the epoch of the claim."""

    job_id: JobID
    epoch: int
    verdict: Verdict
    result: bytes | None = None
    delay: float = 0.0
    """RETRY and SNOOZE: due again this many seconds after the store's now."""
    failure: Failure | None = None
    """Recorded as an attempt; with RETRY and FAIL it raises `failures` by one."""
    dead_letter: bool = False
    """FAIL: make the dead letter in the same transaction."""
    reason: str | None = None
    then: tuple[NewJob, ...] = ()
    """Follow-ups, inserted in the same transaction if the transition is applied; a unique conflict drops one."""


@dataclass(slots=True)
class Finished:
    """The answer to a Transition: whether it was applied, the state the row has now, the dead letter it made."""

    reply: Reply
    state: JobState | None = None
    dead_letter: DLQID | None = None
    run_at: datetime | None = None
    """APPLIED to a row that waits again: when it is due, by the store's clock."""


@dataclass(frozen=True, slots=True)
class Claimed:
    """The answer to a claim."""

    jobs: list[Job]
    expired: list[Job] = field(default_factory=list)
    """Jobs that the claim found past their `expires_at` and cancelled."""
    next_due: datetime | None = None
    """When fewer than asked for were found: the earliest run_at of a waiting job this worker could take."""
    now: datetime | None = None
    """The store's clock at the claim, to measure `next_due` by."""


@dataclass(frozen=True, slots=True)
class Renewed:
    """The answer to a beat."""

    held: list[JobID]
    lost: list[JobID]
    """Named, but no longer this worker's at that epoch: stop working on them."""
    cancel_requested: list[JobID]
    unnamed: list[tuple[JobID, int]]
    """Rows running in this worker's name that it did not name: claims whose reply was lost."""


@dataclass(frozen=True, slots=True)
class Stolen:
    """A job whose lease had lapsed: free again, or buried when it crashed too often, or cancelled when asked to be."""

    job: Job
    from_worker: WorkerID | None
    dead_letter: DLQID | None = None


@dataclass(frozen=True, slots=True)
class Changed:
    """The answer to cancel and retry, with the row's state after it (RUNNING with APPLIED: cancel is requested)."""

    reply: Reply
    state: JobState | None = None
    replayed_as: JobID | None = None
    """CONFLICT of a retry: the job that was made of this one's dead letter, which stands for it now."""
    holder: JobID | None = None
    """CONFLICT of a retry: the live job (of a run: its driver) that holds the unique key which this one would need."""


@dataclass(frozen=True, slots=True)
class KeyHolders:
    """A concurrency key as it stands: its maximum (None: no unfinished job has it) and the jobs that run under it."""

    max: int | None
    running: list[JobID]


@dataclass(frozen=True, slots=True)
class ListOptions:
    """Which jobs, newest first; empty filters match everything."""

    states: Sequence[JobState] = ()
    queues: Sequence[str] = ()
    names: Sequence[str] = ()
    tags: Sequence[str] = ()
    """Jobs that carry all of these."""
    kinds: Sequence[JobKind] = ("job",)
    scope: Scope | None = None
    """None: every tenant."""
    created_after: datetime | None = None
    created_before: datetime | None = None
    limit: int = PAGE_SIZE
    cursor: str | None = None


@dataclass(frozen=True, slots=True)
class CountOptions:
    """Which jobs to count."""

    queues: Sequence[str] = ()
    names: Sequence[str] = ()
    kinds: Sequence[JobKind] = ("job",)
    scope: Scope | None = None
