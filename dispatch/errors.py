"""Every error that Dispatch raises; a class's docstring says when, its message says what to do next.

DispatchError
├── NotFound (LookupError)  JobNotFound DLQNotFound WorkerNotFound RunNotFound WorkflowNotFound CronNotFound
│                           EventNotFound APIKeyNotFound
├── Conflict                JobAlreadyComplete JobNotCancellable JobNotRetryable DuplicateJob AlreadyReplayed
│                           IdempotencyMismatch QueuePaused CopyRefused RunEnded RunNotRetryable
├── UsageError              InvalidArguments PayloadTooLarge InvalidDefinition DuplicateName NoOpenApp SyncInAsync
│                           NoStore ConfigError DiscoveryError InvalidPlugin MissingExtra WaitRefused
│                           NotTransactional
├── StoreError              StoreUnreachable (StoreAway) StoreBusy StoreTimeout StoreReadOnly StoreFull StoreCorrupt
│                           SchemaMismatch DataRejected
├── ResultError             JobFailed JobCancelled JobExpired JobPurged ResultNotKept WaitTimeout RunFailed RunCancelled
├── StepError               StepFailed (ChildFailed) EventTimeout (TimeoutError); what a workflow's body can catch
│                           DuplicateStep StepNeverAwaited StepMisused: a mistake of the body itself
├── HandlerCrashed · HandlerTimeout (TimeoutError) · ResourceFailed
├── SlotTimeout (TimeoutError) · SlotLost
└── LeadershipLost
HandlerSignal               Retry Snooze Fail: raised by a handler to choose its own outcome
"""

from __future__ import annotations

import re
from datetime import timedelta
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from dispatch.queues.model import Pause


class DispatchError(Exception):
    """The root: `except DispatchError` catches whatever Dispatch itself complains about."""


def code_of(kind: type[BaseException]) -> str:
    """The stable name of a kind of error.

    >>> code_of(JobNotFound), code_of(APIKeyNotFound)
    ('job_not_found', 'api_key_not_found')
    """
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", kind.__name__).lower()


class NotFound(DispatchError, LookupError):
    """Nothing of that kind has that id or name (a LookupError too)."""


class JobNotFound(NotFound):
    """No job has that id; it may have been pruned by retention."""


class DLQNotFound(NotFound):
    """No dead letter has that id; it may have been purged."""


class WorkerNotFound(NotFound):
    """No worker has that id."""


class RunNotFound(NotFound):
    """No workflow run has that id."""


class WorkflowNotFound(NotFound):
    """No workflow definition has that name and version."""


class CronNotFound(NotFound):
    """No cron entry has that name."""


class EventNotFound(NotFound):
    """No event has that id."""


class APIKeyNotFound(NotFound):
    """No API key has that id; it may have been revoked, or have expired."""


class Conflict(DispatchError):
    """The thing exists, but its present state does not allow the verb."""


class JobAlreadyComplete(Conflict):
    """The job has completed; there is nothing left to cancel or retry."""


class JobNotCancellable(Conflict):
    """The job has already failed or been cancelled."""


class JobNotRetryable(Conflict):
    """The job is pending or running, or was a step of a run that has recorded how it ended; only waiting retries and
    other failed and cancelled jobs can be retried."""


class JobNotDeletable(Conflict):
    """The job is running; it can be cancelled, and deleted once it has ended."""


class RunEnded(Conflict):
    """The workflow run has ended (or undoes what it did): nothing can be signalled to it, nor can it be cancelled."""


class RunNotRetryable(Conflict):
    """The workflow run has not ended, its compensations have run, or a live twin holds its unique key."""


class DuplicateJob(Conflict):
    """A live job holds the same unique key and on_conflict is "raise"; `.existing` is its id."""

    def __init__(self, message: str, *, existing: str) -> None:
        super().__init__(message)
        self.existing = existing


class AlreadyReplayed(Conflict):
    """The dead letter was replayed, retried or discarded before; what it holds runs again at most once."""


class QueuePaused(Conflict):
    """Somebody else has paused the queue for longer, and this pause may not end that one earlier; nothing was changed.

    `.pause` is the one that stands; None where a server has refused, which tells it in the message only.
    """

    pause: Pause | None = None


class CopyRefused(Conflict):
    """A store is not copied: the destination holds something else, or workers are alive. Nothing was written."""


class IdempotencyMismatch(Conflict):
    """The idempotency key was used before for another job name or other arguments."""


class LeaderUnknown(Conflict):
    """The leader is elected by a plugin that does not tell who it is."""


class WorkerStopped(Conflict):
    """The worker has stopped, so it can be asked for nothing."""


class UsageError(DispatchError):
    """The call, the definition or the configuration is wrong; nothing was written."""


class InvalidArguments(UsageError):
    """The arguments do not fit the function's signature; the message names the field."""


class PayloadTooLarge(InvalidArguments):
    """The arguments take more bytes as JSON than `limits.payload` allows."""


class InvalidDefinition(UsageError):
    """A decorated function cannot be a job: an argument type cannot be stored, or an option makes no sense."""


class DuplicateName(UsageError):
    """Two different functions claim one name; both places are named."""


class NoOpenApp(UsageError):
    """No app is open here. Ways out: `async with Dispatch(...) as app:` around the call, `app.enqueue(...)` on an app
    you hold, `.sync.enqueue(...)` from synchronous code, or `auto_open = true` in the configuration."""


class SyncInAsync(UsageError):
    """`.sync` was used on a thread whose event loop is running, which would block that loop: await the verb instead."""


class NoStore(UsageError):
    """`Dispatch(None)` names no store; pass a URL such as "sqlite:///dispatch.db" or "memory://", or a Store."""


class ConfigError(UsageError):
    """A configuration key or value is wrong; the message names the key, where it stands and the nearest valid one."""


class DiscoveryError(UsageError):
    """A target module could not be imported; the message names file, line and a likely fix."""


class InvalidPlugin(UsageError):
    """A plugin cannot be registered: an unknown hook, an argument that the hook does not have, a name taken twice."""


class MissingExtra(UsageError):
    """An optional dependency is not installed; the message holds the install line."""


class NotTransactional(UsageError):
    """The connection given as `connection=` cannot carry the job: the store is of another kind or in another database,
    or the connection is in no transaction; nothing was written."""


class WaitRefused(UsageError):
    """Waiting for another job's result inside a handler can deadlock all slots; enqueue what follows instead."""


class StoreError(DispatchError):
    """The store could not do what it was asked; whether it was done is unknown unless the message says so."""


class StoreUnreachable(StoreError):
    """The store does not answer or cannot be opened."""


class StoreAway(StoreUnreachable):
    """The store's server is not there now, and may be in a while; a worker that starts waits for it."""


class StoreBusy(StoreError):
    """Another process held the store's lock for too long; nothing was written."""


class StoreTimeout(StoreError):
    """The call took too long; it may or may not have been done."""


class StoreReadOnly(StoreError):
    """The store refuses writes; nothing was written."""


class StoreFull(StoreError):
    """The store has no room left; nothing was written."""


class StoreCorrupt(StoreError):
    """The store's data is damaged or is not a Dispatch store."""


class SchemaMismatch(StoreError):
    """The store's schema is older or newer than this library; see `dispatch store migrate`."""


class DataRejected(StoreError):
    """The store refused one row of a write for what it contains; nothing of that write was stored."""


class ResultError(DispatchError):
    """The job's result cannot be had."""


class JobFailed(ResultError):
    """The job failed for good; `.type`, `.message` and `.traceback` are those of its last error."""

    def __init__(self, message: str, *, type: str = "", traceback: str | None = None) -> None:
        super().__init__(message)
        self.type = type
        self.message = message
        self.traceback = traceback


class JobCancelled(ResultError):
    """The job was cancelled before it completed."""


class JobExpired(JobCancelled):
    """The job was not started within its `expires_in`."""


class JobPurged(ResultError):
    """The job's row is gone: retention or an operator removed it."""


class ResultNotKept(ResultError):
    """The job completed, but `keep_result=False` told it to keep no result."""


class WaitTimeout(ResultError, TimeoutError):
    """The job was not finished within the timeout given to the wait; it goes on."""


class RunFailed(ResultError):
    """The workflow run failed for good; `.type`, `.message` and `.traceback` are those of its last error."""

    def __init__(self, message: str, *, type: str = "", traceback: str | None = None) -> None:
        super().__init__(message)
        self.type = type
        self.message = message
        self.traceback = traceback


class RunCancelled(ResultError):
    """The workflow run was cancelled, or expired, before it completed."""


class StepError(DispatchError):
    """What a verb of a WorkflowContext raises in the body of a workflow."""


class StepFailed(StepError):
    """A step failed; the same when it is replayed. `.step` is its name, `.type`, `.message` and `.traceback` are those
    of what it raised, which is the `__cause__` where the step ran in this very activation. `.dead_letter` is False
    where it raised `Fail(dead_letter=False)`."""

    def __init__(
        self, step: str, type: str, message: str, *, traceback: str | None = None, dead_letter: bool = True
    ) -> None:
        super().__init__(f"step {step!r} failed: {type}: {message}")
        self.dead_letter = dead_letter
        self.step = step
        self.type = type
        self.message = message
        self.traceback = traceback


class ChildFailed(StepFailed):
    """A child (a run, or a job on the workers) did not complete; `.state` is "failed" or "cancelled", `.child` its
    id."""

    def __init__(
        self, step: str, type: str, message: str, *, child: str, state: str, traceback: str | None = None
    ) -> None:
        super().__init__(step, type, message, traceback=traceback)
        self.child = child
        self.state = state


class EventTimeout(StepError, TimeoutError):
    """No event came within the `timeout` of a wait_for_event; recorded, so a replay raises it again."""


class DuplicateStep(StepError):
    """A name is used twice in a run; checkpoints are found by their names, so each needs its own."""


class StepNeverAwaited(StepError):
    """A step was created and never awaited, so it never ran; the message names its line."""


class StepMisused(StepError):
    """A step was awaited twice, changed after its start, or a verb was given what it cannot work with."""


class HandlerCrashed(DispatchError):
    """A handler raised what would have ended the process (SystemExit, KeyboardInterrupt …); `__cause__` is what."""


class HandlerTimeout(DispatchError, TimeoutError):
    """A handler took longer than its `timeout`; a TimeoutError of the handler's own code stays a plain one."""


class ResourceFailed(DispatchError):
    """A @lifespan function raised when a worker wanted its resource; the worker does not start without it."""


class SlotTimeout(DispatchError, TimeoutError):
    """No slot of the queue came free in time (a TimeoutError too)."""


class SlotLost(DispatchError):
    """The lease of a slot lapsed while it was held, so that somebody else may have it now: stop what it was for."""


class LeadershipLost(DispatchError):
    """Another worker leads now; what only the leader may do was refused."""


class HandlerSignal(Exception):
    """What a handler raises to choose its own outcome."""


class Retry(HandlerSignal):
    """Run this job again after `delay` (seconds, timedelta, "30s"; None = its backoff). Counts as a failed attempt."""

    def __init__(self, reason: str = "", *, delay: float | timedelta | str | None = None) -> None:
        super().__init__(reason)
        self.delay = delay


class Snooze(HandlerSignal):
    """Run this job again after `delay` (seconds, timedelta or "30s") without counting an attempt."""

    def __init__(self, delay: float | timedelta | str, reason: str = "") -> None:
        super().__init__(reason)
        self.delay = delay


class Fail(HandlerSignal):
    """Fail this job for good; `dead_letter=False` for expected outcomes that nobody needs to look at."""

    def __init__(self, reason: str = "", *, dead_letter: bool = True) -> None:
        super().__init__(reason)
        self.dead_letter = dead_letter
