"""What a WorkflowContext asks of the engine that runs its body: the verbs, without their typed faces."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal, Protocol

from dispatch.events.declaration import EventDefinition
from dispatch.events.model import Event
from dispatch.ids import RunID
from dispatch.jobs.definition import BoundJob, JobDefinition
from dispatch.jobs.handle import JobHandle
from dispatch.workflows.definition import BoundWorkflow, WorkflowDefinition
from dispatch.workflows.handle import RunHandle
from dispatch.workflows.steps import FanOut, FanSpec, Step, StepSpec, Undo

AnyJob = JobDefinition[..., Any] | BoundJob[..., Any]
AnyWorkflow = WorkflowDefinition[..., Any] | BoundWorkflow[..., Any]


@dataclass(frozen=True, slots=True)
class EventWait:
    """A wait for one of some events."""

    events: Sequence[EventDefinition[Any]]
    key: str | None = None
    timeout: float | None = None
    since: datetime | None = None
    name: str | None = None
    """None: the events' own."""


class Conductor(Protocol):
    """Plays one activation of a run. Every verb raises RunUnwound once the run is being left."""

    @property
    def run_id(self) -> RunID: ...

    def made(self, lazy: Step[Any] | FanOut[Any], name: str) -> None:
        """Takes the name of a step that was created, and remembers to ask whether it was awaited."""
        ...

    async def step(self, spec: StepSpec) -> Any: ...
    async def fan_out(self, spec: FanSpec) -> list[Any]: ...
    async def parallel(self, branches: Sequence[Awaitable[Any]]) -> list[Any]: ...
    async def wait(self, wait: EventWait) -> Event | None:
        """What came; it fits its declaration. None when the time was up."""
        ...

    async def sleep(self, name: str | None, verb: str, until: Callable[[datetime], datetime]) -> None: ...
    async def child(
        self, target: AnyWorkflow, args: Sequence[Any], kwargs: Mapping[str, Any], *, name: str | None
    ) -> Any: ...
    async def spawn(
        self, target: AnyWorkflow, args: Sequence[Any], kwargs: Mapping[str, Any], *, name: str | None
    ) -> RunHandle[Any]: ...
    async def enqueue(
        self, target: AnyJob, args: Sequence[Any], kwargs: Mapping[str, Any], *, name: str | None
    ) -> JobHandle[Any]: ...
    async def intend(self, name: str, undo: Undo) -> None: ...
    async def compensate(self) -> None: ...
    def value(self, name: str | None, verb: Literal["now", "random", "uuid"]) -> Any:
        """A recorded value, or a new one that is recorded before the run's next effect."""
        ...
