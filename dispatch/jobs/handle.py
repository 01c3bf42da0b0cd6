"""What an enqueue gives back: a typed handle to look at, wait for, or cancel the job."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Generic, TypeVar

from pydantic_core import from_json

from dispatch.clock import Duration, seconds
from dispatch.current import AppPort
from dispatch.errors import JobCancelled, JobExpired, JobFailed, JobNotFound, JobPurged, ResultNotKept, WaitRefused
from dispatch.ids import JobID, RunID
from dispatch.jobs.context import running_job
from dispatch.jobs.model import Job, JobState
from dispatch.portal import bridge, run_sync

R = TypeVar("R")


class _Handle(Generic[R]):
    __slots__ = ("_app", "_load", "created", "id")

    def __init__(
        self, job_id: JobID, *, app: AppPort, created: bool, load: Callable[[bytes], Any] | None = None
    ) -> None:
        self.id = job_id
        self.created = created
        """False: a job with the same unique or idempotency key was already there, and this handle is of that one."""
        self._app = app
        self._load = load

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.id}>"

    async def _ended(self, limit: float | None) -> Job:
        try:
            return await self._app.wait_job(self.id, limit)
        except JobNotFound:
            raise JobPurged(f"{self.id} is gone: retention or an operator removed it") from None

    def _value(self, job: Job) -> R:
        outcome: R = outcome_of(job, self._load)
        return outcome


class JobHandle(_Handle[R]):
    """A queued job. Its coroutines work on any event loop."""

    __slots__ = ()

    async def job(self) -> Job:
        """The job's row now; JobNotFound once it is gone."""
        return await bridge(self._app.loop, lambda: self._app.job(self.id))

    async def status(self) -> JobState:
        """Where the job stands now; JobNotFound once it is gone."""
        return (await self.job()).state

    async def result(self, timeout: Duration | None = None) -> R:
        """Waits for the job's end, at most `timeout` (seconds, timedelta or "30s"; None: for ever), and returns what it
        returned.

        Raises JobFailed, JobCancelled, JobExpired, JobPurged, ResultNotKept, WaitTimeout; WaitRefused inside a handler.
        """
        refuse_in_handler(self.id)
        limit = None if timeout is None else seconds(timeout)
        return self._value(await bridge(self._app.loop, lambda: self._ended(limit)))

    async def cancel(self) -> JobState:
        """Cancels the job: at once when it waits, by request when it runs. Answers its state after that.

        Raises JobAlreadyComplete, JobNotCancellable, JobNotFound.
        """
        return await bridge(self._app.loop, lambda: self._app.cancel_job(self.id))


class SyncJobHandle(_Handle[R]):
    """A queued job, for synchronous code."""

    __slots__ = ()

    def job(self) -> Job:
        """The job's row now; JobNotFound once it is gone."""
        return run_sync(self._app.loop, lambda: self._app.job(self.id))

    def status(self) -> JobState:
        """Where the job stands now; JobNotFound once it is gone."""
        return self.job().state

    def result(self, timeout: Duration | None = None) -> R:
        """As JobHandle.result."""
        refuse_in_handler(self.id)
        limit = None if timeout is None else seconds(timeout)
        return self._value(run_sync(self._app.loop, lambda: self._ended(limit)))

    def cancel(self) -> JobState:
        """As JobHandle.cancel."""
        return run_sync(self._app.loop, lambda: self._app.cancel_job(self.id))


def sync_handle(handle: JobHandle[R]) -> SyncJobHandle[R]:
    """The same job's handle for synchronous code."""
    return SyncJobHandle(handle.id, app=handle._app, created=handle.created, load=handle._load)


def outcome_of(job: Job, load: Callable[[bytes], Any] | None = None) -> Any:
    """What a terminal job gives its waiter: its value, or the error that tells why there is none."""
    if job.state is JobState.COMPLETED:
        if job.result is None:
            raise ResultNotKept(f"{job.name} ({job.id}) completed, but keeps no result (keep_result=False)")
        return load(job.result) if load else from_json(job.result)
    if job.state is JobState.CANCELLED:
        if job.reason == "expired":
            raise JobExpired(f"{job.name} ({job.id}) was not started within its expires_in")
        raise JobCancelled(f"{job.name} ({job.id}) was cancelled ({job.reason or 'no reason given'})")
    error = job.error
    text = f"{error.type}: {error.message}" if error else (job.reason or "failed")
    raise JobFailed(
        f"{job.name} ({job.id}) failed: {text}",
        type=error.type if error else "",
        traceback=error.traceback if error else None,
    )


def refuse_in_handler(awaited: JobID | RunID) -> None:
    """Raises WaitRefused inside a job's handler."""
    here = running_job()
    if here is not None:
        raise WaitRefused(
            f"{here.name} ({here.id}) may not wait for {awaited} inside its handler: jobs that wait for jobs can block "
            "every slot. Let this job enqueue the follow-up work instead of waiting for it, or use a workflow, whose "
            "body waits with ctx.run_child(...) and ctx.step(...).on_workers(), which hold no slot"
        )
