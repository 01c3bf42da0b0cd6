"""What a store promises about workflow runs: their journal, their parking and waking, their children and their end."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from dispatch.entity import Page, Reply
from dispatch.ids import JobID, RunID, WorkerID
from dispatch.jobs.model import Failure
from dispatch.scope import Scope
from dispatch.workflows.model import (
    Activation,
    Checkpoint,
    ChildResult,
    CreatedRun,
    FinishRun,
    ListOptions,
    NewRun,
    Park,
    Parked,
    Record,
    Recorded,
    Run,
    RunChanged,
    RunFinished,
    RunState,
    Wait,
    Waited,
    WaitFor,
)


class WorkflowStore(Protocol):
    """The workflows part of a Store.

    A run's driver is a row of `jobs`, claimed, renewed, stolen, released and retried like any job, with these
    differences: the claim never expires it; `steal` past max_crashes, `cancel` and an expiry never end it, they make
    the run COMPENSATING and the driver due (an expiry in the claim itself); only `finish` ends it, and `steal` one that
    crashed too often while it compensated: FAILED, compensation_failed. A run that compensates keeps the error and
    the reason that it does so for, whatever its undos fail with and whoever is lost: those are in its driver's
    attempts. It gets the failure or loss that ends it only where it has none (it was cancelled, or expired); a `steal`
    of one that is to be cancelled leaves its error, too. `jobs.finish` takes RETRY,
    RELEASE and SNOOZE for a driver, nothing that ends it: CONFLICT; with a cancellation requested they make the run
    COMPENSATING and due. A claim makes the run RUNNING, or COMPENSATING once that has begun. `jobs.set_aside` makes it
    BLOCKED, as no live worker has its version. `jobs.delete`, `jobs.cancel`, `jobs.retry` and `dlq.replay` of a driver
    answer CONFLICT: the verbs here are meant. Wherever a job or run with `run_id` and `step` of a parent ends (finish,
    steal, cancel, expiry, delete …), its ChildResult is written in that transaction, once; the parent's wake_seq rises,
    and the parent is woken if the Group that it parked on is then satisfied. Every fenced write locks the driver's row
    and is STALE unless that is running for this worker at this epoch.
    """

    async def create(self, runs: Sequence[NewRun]) -> list[CreatedRun]:
        """Inserts all runs with their drivers, or none, in one durable transaction.

        A driver's unique and idempotency keys are resolved as in `jobs.enqueue` (on_conflict "replace" is not for
        runs); a holder's run is answered with created=False. Repeating a NewRun with the same id changes nothing.

        Raises DuplicateJob, IdempotencyMismatch, DataRejected; nothing was written.
        """
        ...

    async def load(self, drivers: Sequence[JobID]) -> list[Activation]:
        """What these drivers need to run, on one snapshot, in order; a driver without a run is left out."""
        ...

    async def record(self, worker_id: WorkerID, records: Sequence[Record]) -> list[Recorded]:
        """Inserts checkpoints, with the jobs and runs they bring, in one durable transaction; insert-only by name.

        A checkpoint that is inserted resets the driver's failures and crashes and closes the open wait of its name.

        Raises:
            DataRejected: one of the rows cannot be stored; nothing was written. Bisect to find it.
        """
        ...

    async def wait(self, worker_id: WorkerID, waits: Sequence[WaitFor]) -> list[Waited]:
        """Answers what is recorded under the name; else the oldest event that matches; else, past the deadline, records
        the timeout; else keeps the wait open, with the deadline of its first visit. One durable transaction, in which
        no matching publish can fall between the look and the registration.

        An event matches when it is a signal to this run with one of the names, or has one of the names, exactly this
        key and the run's scope and was published at or after `since` (None: the run's creation), and no checkpoint of
        the run has its event_id. Oldest first by (created_at, id).
        """
        ...

    async def park(self, worker_id: WorkerID, parks: Sequence[Park]) -> list[Parked]:
        """Puts drivers to sleep: state pending, due at `until` or never, failures and crashes 0, slot free; the run is
        WAITING, without an error; one that compensates stays that and keeps its error. CONFLICT while wake_seq differs
        from seen_seq or a Group is satisfied already."""
        ...

    async def compensate(
        self, worker_id: WorkerID, driver: JobID, epoch: int, *, failure: Failure | None, reason: str
    ) -> Reply:
        """The run failed for good (or was cancelled): it is COMPENSATING, still claimed, failures and crashes 0."""
        ...

    async def undoing(self, worker_id: WorkerID, driver: JobID, epoch: int) -> Reply:
        """The first undo is about to act: the run is `compensated` and no longer retried from its steps. Durable."""
        ...

    async def finish(self, worker_id: WorkerID, ends: Sequence[FinishRun]) -> list[RunFinished]:
        """Ends runs and their drivers in one durable transaction; the same end repeated answers APPLIED again.

        With a cancellation requested "failed" becomes "cancelled". Frees the unique key, makes the dead letter of a
        failed run (kind workflow, payload the input), closes its waits and mailbox, writes the parent's ChildResult,
        and asks the cancellation of its unfinished children that are awaited and not `abandon` (all but `abandon` ones
        when the run ends cancelled or failed).

        Raises DataRejected; nothing was written.
        """
        ...

    async def block(self, worker_id: WorkerID, driver: JobID, epoch: int, *, reason: str) -> Reply:
        """What is recorded does not fit the code: the run is BLOCKED, its driver set aside, uncounted. A worker that
        registers with its name takes it up again (as `set_aside`), and so do `retry` and `migrate`."""
        ...

    async def cancel(self, run_id: RunID, *, scope: Scope | None = None, reason: str = "cancelled") -> RunChanged:
        """Driver waiting: the run is COMPENSATING and due. Running: the request is noted. Terminal or compensating
        already: CONFLICT."""
        ...

    async def retry(self, run_id: RunID, *, scope: Scope | None = None) -> RunChanged:
        """A failed, cancelled or blocked run goes on from its checkpoints, the driver's failures and crashes 0 and due
        now, its open dead letter closed as "retried". With compensation_failed: the compensation goes on. CONFLICT
        when it is not ended, when undos have run to their end, or when a live twin holds its unique key."""
        ...

    async def migrate(self, run_id: RunID, *, version: int, scope: Scope | None = None) -> RunChanged:
        """Moves an unfinished run to another version: driver renamed, epoch raised (a worker at it is stale from then
        on), due now. CONFLICT when the run is terminal or compensating."""
        ...

    async def fork(
        self, run_id: RunID, *, before: str | None, run: NewRun, edits: Mapping[str, bytes], scope: Scope | None = None
    ) -> CreatedRun | None:
        """A new run with copies (inherited) of the checkpoints recorded before the one named (None: of all but undos),
        their data replaced where `edits` says so; children only with their results, open ones are left out.
        None: no such run or checkpoint."""
        ...

    async def get(self, run_id: RunID, *, scope: Scope | None = None) -> Run | None:
        """The run with its input and result, or None."""
        ...

    async def timeline(self, run_id: RunID) -> Sequence[Checkpoint]:
        """Its checkpoints, by position."""
        ...

    async def waits(self, run_id: RunID) -> Sequence[Wait]:
        """Its open waits for events."""
        ...

    async def children(self, run_id: RunID) -> Sequence[ChildResult]:
        """How its children ended, so far."""
        ...

    async def count(self, *, names: Sequence[str] = (), scope: Scope | None = None) -> dict[RunState, int]:
        """How many runs, by state; every state is a key."""
        ...

    async def list(self, options: ListOptions) -> Page[Run]:
        """Runs that match, newest id first, without inputs and results; stable under concurrent changes."""
        ...

    async def prune(
        self,
        *,
        completed: float | None,
        failed: float | None,
        cancelled: float | None,
        limit: int,
        dry_run: bool = False,
    ) -> int:
        """As `jobs.prune`, for runs with driver, journal, child results, mailbox and failed attempts; one whose parent
        is unfinished is kept. (`jobs.prune` takes no drivers and keeps jobs whose `run_id` is unfinished.)"""
        ...
