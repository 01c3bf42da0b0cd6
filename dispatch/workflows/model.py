"""Workflow runs and their checkpoints, as stores will keep them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Literal

from dispatch.entity import PAGE_SIZE, Entity
from dispatch.ids import CheckpointID, JobID, RunID, WorkerID
from dispatch.scope import NO_SCOPE, Scope

CheckpointKind = Literal["step", "value", "sleep", "wait", "child", "undo", "failure"]


class RunState(StrEnum):
    """Where a run stands."""

    PENDING = "pending"
    RUNNING = "running"
    WAITING = "waiting"
    COMPENSATING = "compensating"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"
    BLOCKED = "blocked"


@dataclass(slots=True)
class Run(Entity[RunID]):
    """One run of a workflow; its driver is a job of kind "workflow"."""

    name: str
    version: int
    state: RunState
    driver: JobID
    input: bytes
    result: bytes | None = None
    error: str | None = None
    parent: RunID | None = None
    wake_seq: int = 0
    scope: Scope = NO_SCOPE
    finished_at: datetime | None = None


@dataclass(slots=True)
class Checkpoint(Entity[CheckpointID]):
    """What one named visit of a run recorded, once."""

    run_id: RunID
    name: str
    kind: CheckpointKind
    data: bytes
    attempt: int = 1
    worker_id: WorkerID | None = None
    started_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Wait:
    """What a parked run waits for."""

    name: str
    events: tuple[str, ...] = ()
    key: str | None = None
    deadline: datetime | None = None
    children: tuple[RunID, ...] = ()


@dataclass(frozen=True, slots=True)
class ListOptions:
    """Which runs, newest first."""

    states: Sequence[RunState] = ()
    names: Sequence[str] = ()
    version: int | None = None
    scope: Scope | None = None
    limit: int = PAGE_SIZE
    cursor: str | None = None
