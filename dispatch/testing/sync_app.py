"""The memory app for synchronous tests."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

from dispatch.app import SyncApp
from dispatch.clock import Duration, ManualClock
from dispatch.jobs.handle import SyncJobHandle, sync_handle
from dispatch.portal import run_sync
from dispatch.testing.report import ATTEMPTS, WorkDone

if TYPE_CHECKING:
    from dispatch.jobs.definition import JobDefinition
    from dispatch.testing.enqueued import EnqueuedCall
    from dispatch.testing.memory_app import MemoryApp

P = ParamSpec("P")
R = TypeVar("R")


class SyncMemoryApp(SyncApp):
    """A MemoryApp whose verbs block; its services too: `app.jobs.get(id)`, `app.dlq.replay(id)`."""

    def __init__(self, app: MemoryApp) -> None:
        super().__init__(app)
        self.app = app
        """The app itself."""

    @property
    def clock(self) -> ManualClock:
        """Its clock."""
        return self.app.clock

    def now(self) -> datetime:
        """What its clock shows."""
        return self.app.now()

    def enqueue(self, definition: JobDefinition[P, R], /, *args: P.args, **kwargs: P.kwargs) -> SyncJobHandle[R]:
        """As Dispatch.enqueue."""
        return sync_handle(run_sync(self.app.loop, lambda: self.app.enqueue(definition, *args, **kwargs)))

    def run_until_idle(self, *, raise_errors: bool = False, limit: int = ATTEMPTS) -> WorkDone:
        """As MemoryApp.run_until_idle."""
        return self.travel(0, raise_errors=raise_errors, limit=limit)

    def travel(self, delta: Duration, *, raise_errors: bool = False, limit: int = ATTEMPTS) -> WorkDone:
        """As MemoryApp.travel."""
        return run_sync(self.app.loop, lambda: self.app.travel(delta, raise_errors=raise_errors, limit=limit))

    def enqueued(self, which: JobDefinition[..., Any] | str | None = None) -> list[EnqueuedCall]:
        """As MemoryApp.enqueued."""
        return self.app.enqueued(which)
