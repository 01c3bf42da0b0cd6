"""Workflow runs, their checkpoints and waits: what stores keep, what a driver reports, what it is answered."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any, Literal

from dispatch.entity import PAGE_SIZE, Entity, Reply
from dispatch.events.model import Event
from dispatch.ids import DLQID, CheckpointID, EventID, JobID, RunID, WorkerID
from dispatch.jobs.model import Failure, NewJob
from dispatch.scope import NO_SCOPE, Scope

UNDO_INHERITED = "dispatch.undo_inherited"
"""In a fork's metadata: what it inherited is its own to take back."""

CheckpointKind = Literal["step", "value", "sleep", "wait", "child", "undo", "failure"]


class RunState(StrEnum):
    """Where a run stands."""

    PENDING = "pending"
    """No driver has claimed it yet."""
    RUNNING = "running"
    """Its driver runs, or waits for its next attempt."""
    WAITING = "waiting"
    """Parked: for events, children or a time. Costs a row, no memory."""
    COMPENSATING = "compensating"
    """It failed for good or was cancelled; undos run, the body never acts again."""
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"
    BLOCKED = "blocked"
    """What it recorded does not fit the code that the workers have."""

    @property
    def terminal(self) -> bool:
        return self in TERMINAL


TERMINAL = frozenset({RunState.COMPLETED, RunState.FAILED, RunState.CANCELLED})


def driver_name(name: str, version: int) -> str:
    """The name of the jobs that drive runs of this workflow and version; no user's job can have it."""
    return f"{name}@{version}"


def driver_id(run_id: RunID) -> JobID:
    """The id of a run's driver: the run's own with the prefix of a job, so that either is known from the other.

    >>> driver_id(RunID("run_00000000000000000000000001"))
    'job_00000000000000000000000001'
    """
    return JobID(JobID.prefix + run_id.removeprefix(RunID.prefix))


def driven_by(driver: JobID) -> RunID:
    """The run that a driver drives.

    >>> driven_by(JobID("job_00000000000000000000000001"))
    'run_00000000000000000000000001'
    """
    return RunID(RunID.prefix + driver.removeprefix(JobID.prefix))


@dataclass(slots=True)
class Run(Entity[RunID]):
    """One run of a workflow; its driver is a job of kind "workflow", which also holds queue, priority, tags, metadata
    and the input (as its payload)."""

    name: str
    version: int
    state: RunState
    driver: JobID
    input: bytes = b""
    """The arguments as JSON by parameter name; empty in lists."""
    result: bytes | None = None
    error: Failure | None = None
    """Why the run failed, or the latest failure of an attempt."""
    reason: str | None = None
    """Why it is compensating, blocked or ended: cancelled, exhausted, failed, worker_lost, expired …"""
    compensated: bool = False
    """An undo has begun: the run can no longer be retried from its steps."""
    compensation_failed: bool = False
    parent: RunID | None = None
    step: str | None = None
    """The name of the parent's checkpoint that this run is."""
    forked_from: RunID | None = None
    wake_seq: int = 0
    queue: str = "default"
    tags: tuple[str, ...] = ()
    metadata: Mapping[str, Any] = field(default_factory=dict)
    scope: Scope = NO_SCOPE
    started_at: datetime | None = None
    finished_at: datetime | None = None
    wakes_at: datetime | None = None
    """When a parked run is due without an event or child; None: never by itself."""


@dataclass(slots=True)
class Checkpoint(Entity[CheckpointID]):
    """What one named visit of a run recorded, once; never changed after."""

    run_id: RunID
    name: str
    kind: CheckpointKind
    data: bytes = b"null"
    """JSON, opaque to the store."""
    position: int = 0
    """Its place in the run's journal, given by the store, rising."""
    attempt: int = 1
    worker_id: WorkerID | None = None
    started_at: datetime | None = None
    """When the visit began; created_at is when it was recorded."""
    event_id: EventID | None = None
    """The event that this visit consumed."""
    inherited: bool = False
    """Copied by a fork: its undo does not run unless the fork asked for that."""


@dataclass(slots=True)
class ChildResult:
    """How a child (a run, or a job that a step runs on the workers) ended; written once, kept with the parent."""

    run_id: RunID
    """The parent."""
    step: str
    child: str
    """The child's run id, or its job id."""
    state: Literal["completed", "failed", "cancelled"]
    result: bytes | None = None
    error: Failure | None = None


@dataclass(frozen=True, slots=True)
class Wait:
    """An open wait for events: which of them, and until when."""

    run_id: RunID
    name: str
    """The checkpoint it will become."""
    events: tuple[str, ...]
    key: str | None = None
    since: datetime | None = None
    """Only events published at or after this; None: after the run was created."""
    deadline: datetime | None = None


@dataclass(slots=True)
class NewRun:
    """A run to be made, with its driver."""

    id: RunID
    name: str
    version: int
    driver: NewJob
    """Kind "workflow", id `driver_id(id)`, name `driver_name(name, version)`, payload the input, run_id this run. Its
    unique key (if any) is the run's; it has no concurrency key. Its lane left open is its name."""
    parent: RunID | None = None
    step: str | None = None
    awaited: bool = True
    """A parent reads how it ends (run_child, fan_out); False: spawned, nothing is written for the parent."""
    abandon: bool = False
    """It goes on when its parent is cancelled."""


@dataclass(slots=True)
class CreatedRun:
    """What became of a NewRun: its own row, or the run whose driver held its unique or idempotency key."""

    id: RunID
    created: bool


@dataclass(slots=True)
class NewCheckpoint:
    """A visit to record: insert-only by (run, name)."""

    name: str
    kind: CheckpointKind
    data: bytes = b"null"
    attempt: int = 1
    """Which attempt of the step it was that is recorded."""
    started_at: datetime | None = None
    event_id: EventID | None = None
    """Consumed by this visit, unless another of the run has consumed it: then nothing is recorded under this name."""
    jobs: tuple[NewJob, ...] = ()
    """Inserted in the same transaction if, and only if, the checkpoint is. One with `run_id` and `step` is a child: its
    end is written as a ChildResult. A unique conflict drops it (an awaited child is never unique)."""
    runs: tuple[NewRun, ...] = ()
    """As `jobs`."""


@dataclass(slots=True)
class Record:
    """Checkpoints of one run, fenced by its driver's claim."""

    run_id: RunID
    driver: JobID
    epoch: int
    checkpoints: Sequence[NewCheckpoint]

    @property
    def brings(self) -> bool:
        """Whether it makes jobs or runs, for which workers wait; nobody waits for a checkpoint alone."""
        return any(new.jobs or new.runs for new in self.checkpoints)


@dataclass(slots=True)
class Recorded:
    """The answer to a Record."""

    reply: Reply
    """APPLIED or STALE."""
    checkpoints: list[Checkpoint] = field(default_factory=list)
    """What stands under each name now: the one given, or an earlier one that won. In the order given; left out is one
    whose event another visit of the run has consumed: wait again."""


@dataclass(slots=True)
class WaitFor:
    """One visit of a wait, fenced: look for an event, else register, else time out."""

    run_id: RunID
    driver: JobID
    epoch: int
    name: str
    events: tuple[str, ...]
    key: str | None = None
    since: datetime | None = None
    timeout: float | None = None
    """Seconds from the first visit; later visits keep the first one's deadline. None: for ever."""


@dataclass(slots=True)
class Waited:
    """The answer to a WaitFor: exactly one of checkpoint, event or neither (still open)."""

    reply: Reply
    """APPLIED or STALE."""
    checkpoint: Checkpoint | None = None
    """What is recorded under the name already, or the timeout recorded just now (kind wait, no event_id)."""
    event: Event | None = None
    """The oldest match that the run has not consumed; not recorded yet: `record` it with its event_id (or as
    skipped, under another name) and it is consumed."""
    deadline: datetime | None = None
    """Until when the wait is open."""


@dataclass(frozen=True, slots=True)
class Group:
    """Children that a parked run waits for."""

    steps: tuple[str, ...]
    mode: Literal["any", "all", "all_or_failure"] = "any"
    """When to wake: one of them ended, all did, all did or one did not complete."""


@dataclass(slots=True)
class Park:
    """A run that can do nothing now; its driver gives up its slot."""

    run_id: RunID
    driver: JobID
    epoch: int
    seen_seq: int
    """The wake_seq that the driver loaded (or was answered) before it looked for what it waits for."""
    until: datetime | None = None
    """The earliest deadline among its sleeps and waits."""
    children: tuple[Group, ...] = ()


@dataclass(slots=True)
class Parked:
    """The answer to a Park."""

    reply: Reply
    """APPLIED: parked, slot given back. CONFLICT: something (event, child, cancel) woke the run since `seen_seq`;
    it is still claimed, load it again. STALE: the driver is not this worker's any more."""


@dataclass(slots=True)
class FinishRun:
    """A run's end, fenced."""

    run_id: RunID
    driver: JobID
    epoch: int
    state: Literal["completed", "failed", "cancelled"]
    result: bytes | None = None
    failure: Failure | None = None
    reason: str | None = None
    compensation_failed: bool = False
    dead_letter: bool = True
    """False: a failure that was to be expected (`Fail(dead_letter=False)`) makes no dead letter."""
    then: tuple[NewJob, ...] = ()
    """Follow-ups, as those of a job's Transition."""


@dataclass(slots=True)
class RunFinished:
    """The answer to a FinishRun."""

    reply: Reply
    state: RunState | None = None
    dead_letter: DLQID | None = None


@dataclass(slots=True)
class Activation:
    """What a driver needs to run, read on one snapshot after its claim."""

    run: Run
    checkpoints: list[Checkpoint]
    """By position."""
    children: dict[str, ChildResult]
    """By step."""
    cancel_requested: bool
    now: datetime


@dataclass(slots=True)
class RunChanged:
    """The answer to cancel, retry and migrate, with the run's state after it."""

    reply: Reply
    state: RunState | None = None
    holder: JobID | None = None
    """CONFLICT of a retry: the live job (of a run: its driver) that holds the unique key which this run would need."""


@dataclass(frozen=True, slots=True)
class ListOptions:
    """Which runs, newest first; empty filters match everything."""

    states: Sequence[RunState] = ()
    names: Sequence[str] = ()
    version: int | None = None
    parent: RunID | None = None
    scope: Scope | None = None
    created_after: datetime | None = None
    created_before: datetime | None = None
    limit: int = PAGE_SIZE
    cursor: str | None = None
