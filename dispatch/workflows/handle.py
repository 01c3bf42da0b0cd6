"""What starting a workflow gives back: a typed handle to look at the run, wait for it, signal or cancel it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Generic, TypeVar

from pydantic_core import from_json

from dispatch.clock import Duration, seconds
from dispatch.current import AppPort
from dispatch.errors import ResultNotKept, RunCancelled, RunFailed
from dispatch.events.model import Event
from dispatch.ids import RunID
from dispatch.jobs.handle import refuse_in_handler
from dispatch.portal import bridge, run_sync
from dispatch.workflows.model import Run, RunState

R = TypeVar("R")


class _Handle(Generic[R]):
    __slots__ = ("_app", "_load", "created", "id")

    def __init__(
        self, run_id: RunID, *, app: AppPort, created: bool, load: Callable[[bytes], Any] | None = None
    ) -> None:
        self.id = run_id
        self.created = created
        """False: a run with the same unique or idempotency key was already there, and this handle is of that one."""
        self._app = app
        self._load = load

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.id}>"

    def _value(self, run: Run) -> R:
        outcome: R = outcome_of_run(run, self._load)
        return outcome


class RunHandle(_Handle[R]):
    """A workflow run. Its coroutines work on any event loop."""

    __slots__ = ()

    async def run(self) -> Run:
        """The run's row now; RunNotFound once it is gone."""
        return await bridge(self._app.loop, lambda: self._app.run_of(self.id))

    async def status(self) -> RunState:
        """Where the run stands now; RunNotFound once it is gone."""
        return (await self.run()).state

    async def result(self, timeout: Duration | None = None) -> R:
        """Waits for the run's end, at most `timeout` (seconds, timedelta or "30s"; None: for ever), and returns what it
        returned.

        Raises RunFailed, RunCancelled, RunNotFound, WaitTimeout; WaitRefused inside a handler (use `ctx.run_child`).
        """
        refuse_in_handler(self.id)
        limit = None if timeout is None else seconds(timeout)
        return self._value(await bridge(self._app.loop, lambda: self._app.wait_run(self.id, limit)))

    async def signal(self, name: str, payload: Any = None) -> Event:
        """Sends an event to this run alone; it is kept for the run until it is waited for, or the run ends.

        Raises InvalidArguments, PayloadTooLarge, RunNotFound, RunEnded.
        """
        return await bridge(self._app.loop, lambda: self._app.signal_run(self.id, name, payload))

    async def cancel(self) -> RunState:
        """Cancels the run, which takes back what it did (`compensate`) first. Answers its state after that.

        Raises RunEnded, RunNotFound.
        """
        return await bridge(self._app.loop, lambda: self._app.cancel_run(self.id))


class SyncRunHandle(_Handle[R]):
    """A workflow run, for synchronous code."""

    __slots__ = ()

    def run(self) -> Run:
        """The run's row now; RunNotFound once it is gone."""
        return run_sync(self._app.loop, lambda: self._app.run_of(self.id))

    def status(self) -> RunState:
        """Where the run stands now; RunNotFound once it is gone."""
        return self.run().state

    def result(self, timeout: Duration | None = None) -> R:
        """As RunHandle.result."""
        refuse_in_handler(self.id)
        limit = None if timeout is None else seconds(timeout)
        return self._value(run_sync(self._app.loop, lambda: self._app.wait_run(self.id, limit)))

    def signal(self, name: str, payload: Any = None) -> Event:
        """As RunHandle.signal."""
        return run_sync(self._app.loop, lambda: self._app.signal_run(self.id, name, payload))

    def cancel(self) -> RunState:
        """As RunHandle.cancel."""
        return run_sync(self._app.loop, lambda: self._app.cancel_run(self.id))


def sync_run_handle(handle: RunHandle[R]) -> SyncRunHandle[R]:
    """The same run's handle for synchronous code."""
    return SyncRunHandle(handle.id, app=handle._app, created=handle.created, load=handle._load)


def outcome_of_run(run: Run, load: Callable[[bytes], Any] | None = None) -> Any:
    """What an ended run gives its waiter: its value, or the error that tells why there is none."""
    if run.state is RunState.COMPLETED:
        if run.result is None:
            raise ResultNotKept(f"{run.name} ({run.id}) completed without a stored result")
        return load(run.result) if load else from_json(run.result)
    if run.state is RunState.CANCELLED:
        raise RunCancelled(f"{run.name} ({run.id}) was cancelled ({run.reason or 'no reason given'})")
    error = run.error
    text = f"{error.type}: {error.message}" if error else (run.reason or "failed")
    how = f"; an undo keeps failing: `dispatch job show {run.driver}` tells how" if run.compensation_failed else ""
    raise RunFailed(
        f"{run.name} ({run.id}) failed: {text}{how}",
        type=error.type if error else "",
        traceback=error.traceback if error else None,
    )
