"""The fleet as stores keep it: workers, the definitions they announce, and who leads."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any, Literal

from dispatch.entity import Entity
from dispatch.ids import WorkerID

BY_FUNCTION = "x-by-function"
"""The annotation of an announced schema that names the keys which only the definition's module can make."""


class WorkerState(StrEnum):
    """`stopped`: retired, which a worker does at its end; `dead`: silent for longer than its lease without that."""

    ACTIVE = "active"
    DRAINING = "draining"
    STOPPED = "stopped"
    DEAD = "dead"


@dataclass(frozen=True, slots=True)
class NewWorker:
    """What a worker process says of itself when it starts."""

    id: WorkerID
    hostname: str
    pid: int
    queues: tuple[str, ...]
    names: tuple[str, ...]
    concurrency: int
    lease: float
    """Seconds of silence after which it counts as dead."""
    version: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)


@dataclass(slots=True)
class Worker(Entity[WorkerID]):
    """A worker process; `created_at` is its start."""

    hostname: str
    pid: int
    state: WorkerState
    queues: tuple[str, ...]
    names: tuple[str, ...]
    concurrency: int
    last_seen: datetime
    lease: float
    version: str = ""
    labels: dict[str, str] = field(default_factory=dict)
    running: int = 0
    """Jobs in flight at its latest beat."""
    drain_requested: bool = False


ENDED = frozenset({WorkerState.STOPPED, WorkerState.DEAD})
"""The states in which a worker runs nothing any more."""
RETIRED = "dead"
"""How rows keep `stopped`; that a silent worker is dead is seen when it is read."""


def seen(state: str, *, silent: bool) -> WorkerState:
    """The state of a worker whose row says that much, silent for longer than its lease or not."""
    if state == RETIRED:
        return WorkerState.STOPPED
    return WorkerState.DEAD if silent else WorkerState(state)


def stopping(worker: Worker) -> bool:
    """Whether the worker, although it lives, claims nothing any more."""
    return worker.drain_requested or worker.state is WorkerState.DRAINING


@dataclass(frozen=True, slots=True)
class Announcement:
    """A definition as its app publishes it, so that others can enqueue by name without the user's module."""

    name: str
    kind: Literal["job", "workflow", "cron"]
    queue: str = "default"
    schema: dict[str, Any] = field(default_factory=dict)
    """JSON Schema of the arguments by parameter name."""
    options: dict[str, Any] = field(default_factory=dict)
    version: int = 0

    @property
    def by_function(self) -> tuple[str, ...]:
        """Which of `unique` and `concurrency` a function of the arguments makes: an enqueue by name cannot call it."""
        return tuple(self.schema.get(BY_FUNCTION, ()))


@dataclass(frozen=True, slots=True)
class Leadership:
    """Who leads, in which term, until when unless renewed."""

    leader: WorkerID
    term: int
    until: datetime
