"""What a store promises about jobs. Each verb is one transaction; semantics are the same on every store."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Protocol, runtime_checkable

from dispatch.entity import Page, Reply
from dispatch.ids import DLQID, JobID, WorkerID
from dispatch.jobs.model import (
    Attempt,
    Changed,
    Claimed,
    CountOptions,
    Enqueued,
    Finished,
    Job,
    JobState,
    KeyHolders,
    ListOptions,
    NewJob,
    Renewed,
    Stolen,
    Transition,
)
from dispatch.scope import Scope


@runtime_checkable
class EnqueuesHere(Protocol):
    """What the jobs part of a store offers beside JobStore where a short transaction needs no event loop."""

    def enqueue_here(self, jobs: Sequence[NewJob]) -> list[Enqueued] | None:
        """As JobStore.enqueue, in the calling thread, which runs no loop; None, with nothing done, where it has to be
        `enqueue` this time. Safe to call from any number of threads."""
        ...


@runtime_checkable
class EnqueuesInside(Protocol):
    """What the jobs part of a store offers beside JobStore where a transaction of the caller's can hold the rows.

    Both methods raise NotTransactional for a connection that cannot, and otherwise what JobStore.enqueue raises; then
    the caller's transaction is as it was, and can go on. Workers that wait hear of the jobs at the end of the
    transaction where the driver tells of it, and find them by looking where not.
    """

    async def prepare_inside(self) -> None:
        """To be awaited before each of the others, on the store's own loop."""
        ...

    async def enqueue_inside(self, connection: object, jobs: Sequence[NewJob]) -> list[Enqueued]:
        """As JobStore.enqueue, as a part of the connection's transaction, on the loop that the connection is used on.
        The ids must be new."""
        ...

    def enqueue_inside_here(self, connection: object, jobs: Sequence[NewJob]) -> list[Enqueued]:
        """The same in the calling thread, for connections that need no loop."""
        ...


class JobStore(Protocol):
    """The jobs part of a Store. All durations are seconds; "now" is the store's clock.

    Concurrency keys: of the jobs with one `concurrency_key` never more are `running` (lapsed leases included; they are
    counted, never kept in a counter) than the key's maximum, over all queues and names. The maximum is a stored fact of
    the key: every enqueue that creates or replaces a job sets it to that job's `concurrency_max`; retry and replay set
    it only where none is stored; it is forgotten when no unfinished job has the key. A claim counts and starts under
    the key's lock, and answers as if it had looked at every due row and skipped those whose key is full.
    So that such rows cost later claims nothing, they are `blocked`: outside of the ready index, neither claimed nor set
    aside. A due row is blocked when it is enqueued or put into a holder, and by the claim that finds its key full;
    everywhere else a row that waits again goes to the ready index, and waits there, not due, without holding anything.
    Each transaction that may leave the key room (enqueue; every way out of `running`; cancel, delete, expiry, set_aside
    or replacement of a waiting row) brings back before its end, for each (queue, lane, name) with blocked rows, the
    first of them by priority, run_at, id until as many due rows are in the ready index as the key has room for.
    A driver that has been claimed once holds its place until its run has ended, in whatever state it is: it counts as
    if it were `running`, is never blocked, and takes no second place. It may start beyond the maximum when its run only
    compensates because it was cancelled (which gives it a place, and a `started_at`) or has expired before its first
    claim. A run that has ended and is retried holds none (its driver's `started_at` is None) until it is claimed.
    """

    async def enqueue(self, jobs: Sequence[NewJob]) -> list[Enqueued]:
        """Inserts all of `jobs` or none, in one durable transaction, and answers one Enqueued each, in order.

        Repeating a NewJob with the same id changes nothing (created=False). Idempotency keys are looked at before
        unique keys, and both also against earlier members of the same call. A unique key held by a live job (pending,
        running, retrying; or within `hold_for`) is resolved by its `on_conflict`: "return" and "skip" answer the
        holder; "replace" puts payload, run_at, priority, metadata, tags, options and expiry of the new job into a
        waiting holder, or stores the new job as the one successor of a running holder (state pending, `behind` set, not
        claimable; a second replace rewrites that successor), which the holder's end makes claimable and hands the key.
        A waiting holder that was never started and is past expires_at, with no `hold_for` running, is out of the way
        first, whatever the `on_conflict`: cancelled (reason "expired") as by a claim, or its run compensates and has no
        unique key any more. Who waits behind it has the key then, and is the holder that is met. So it is for
        follow-ups, ticks, children, retry and replay.

        Raises:
            DuplicateJob: a key is held and its on_conflict is "raise"; nothing was written.
            IdempotencyMismatch: an idempotency key exists with another fingerprint; nothing was written.
            DataRejected: the store cannot hold a row; nothing was written.
        """
        ...

    async def claim(
        self,
        worker_id: WorkerID,
        *,
        queues: Mapping[str, int],
        names: Collection[str],
        limit: int,
        lease: float,
        alone: bool = False,
    ) -> Claimed:
        """Makes at most `limit` due jobs `running` in the worker's name and returns exactly those.

        `queues` maps each queue to how many jobs it may still take; queues are served in the mapping's order, each
        getting an equal share first, so that none starves. Only `names` are taken. Within a queue open lanes are taken
        in rotation; within a lane the order is priority (highest first), run_at, id. Skipped: paused queues, rows set
        aside, successors, rows with QUARANTINE_FROM or more crashes; limits and rates of a queue are kept.
        Jobs of full concurrency keys are skipped (see JobStore).
        With `alone` one quarantined row that is due is claimed instead, by itself, if there is one; else an ordinary
        claim is made. Epoch becomes max(epoch + 1, now in ms); started_at is now; lease_until is now + lease.
        A job that was never started and is past expires_at becomes cancelled (reason "expired") instead.
        A unique key with until="start" is given up. The claim need not survive a power failure; it never reads
        rows in state running (but for counts of limited queues).
        """
        ...

    async def renew(self, worker_id: WorkerID, held: Sequence[tuple[JobID, int]], *, lease: float) -> Renewed:
        """Extends the leases of the named (job, epoch) pairs still running in this worker's name, lapsed or not.

        A pair that is not (stolen, finished, other epoch) is answered in `lost`. Need not survive a power failure.
        """
        ...

    async def finish(self, worker_id: WorkerID, transitions: Sequence[Transition]) -> list[Finished]:
        """Ends the claims named, in one durable transaction; answers one Finished each, in order.

        Each is applied only while the row is running for this worker at this epoch (a lapsed but unstolen lease is
        fine). The same transition repeated after a lost reply answers APPLIED again. Once cancel_requested is set,
        every verdict but COMPLETE makes the job cancelled. COMPLETE stores `result`, FAIL with dead_letter makes the
        dead letter, RETRY raises failures by one (FAIL too, when it brings a failure), RELEASE and SNOOZE count
        nothing and make the row pending, or retrying when it failed or crashed before; RELEASE keeps run_at.
        `failure` is kept as the job's error and in its attempts. A terminal state frees the unique key (unless
        hold_for still runs) and sets a successor free. `then` is inserted with each applied transition.

        Raises:
            DataRejected: one of the rows cannot be stored; nothing was written. Bisect to find it.
        """
        ...

    async def release(self, worker_id: WorkerID, held: Sequence[tuple[JobID, int]]) -> list[Reply]:
        """Gives claims back uncounted: as finish with RELEASE."""
        ...

    async def steal(self, *, limit: int, max_crashes: int, delays: Sequence[float]) -> list[Stolen]:
        """Takes at most `limit` running jobs whose lease has lapsed from whoever held them.

        crashes + 1; then retrying, due after delays[crashes - 1] seconds (the last one repeats); or failed with a dead
        letter (reason "worker_lost") once crashes exceeds `max_crashes`; or cancelled if that was requested. A
        "crashed" attempt is recorded. The row keeps its epoch, so the next claim's is greater.
        """
        ...

    async def quarantined(self, *, queues: Collection[str], names: Collection[str], due_for: float) -> bool:
        """Whether a quarantined job of these queues and names has been due for at least `due_for` seconds and could be
        claimed now: nobody drains for one whose queue is paused or whose limits are reached."""
        ...

    async def unblock(self, *, limit: int) -> int:
        """Repairs: looks at up to `limit` keys with blocked rows and brings back what their room allows; answers how
        many rows. 0 in a healthy store, where each transaction has done so itself."""
        ...

    async def holders(self, key: str, *, limit: int = 100) -> KeyHolders:
        """The maximum of a concurrency key and up to `limit` jobs that run under it, by id."""
        ...

    async def set_aside(self, *, due_for: float, limit: int) -> int:
        """Sets aside up to `limit` jobs at the heads of lanes that have been due for `due_for` seconds and whose
        (queue, name) no live worker serves; they leave the ready index. Answers how many.

        `cluster.register` and `cluster.announce` bring back what the worker serves.
        """
        ...

    async def bury_unserved(self, *, due_for: float, limit: int) -> Sequence[DLQID]:
        """Makes up to `limit` jobs that are set aside and have been due for `due_for` seconds failed, each with a dead
        letter (reason "no_handler"); answers the dead letters."""
        ...

    async def cancel(self, job_id: JobID, *, scope: Scope | None = None, reason: str = "cancelled") -> Changed:
        """Waiting: cancelled at once. Running: the request is noted (APPLIED, RUNNING). Terminal: CONFLICT."""
        ...

    async def cancel_requests(self, worker_id: WorkerID) -> list[JobID]:
        """The running jobs of this worker whose cancellation was requested; a cheap read for after a wake-up."""
        ...

    async def retry(self, job_id: JobID, *, scope: Scope | None = None) -> Changed:
        """Failed or cancelled: the same row waits again (failures and crashes 0, due now, unexpired) and its open dead
        letter is closed as "retried" in the same transaction. Retrying: due now. Else CONFLICT, also when a live twin
        holds its unique key, and when its dead letter was replayed: the same work would run twice."""
        ...

    async def cancel_many(
        self, job_ids: Sequence[JobID], *, scope: Scope | None = None, reason: str = "cancelled"
    ) -> list[Changed]:
        """As `cancel` of each, answered in order; some at a time are one durable transaction: many are quick."""
        ...

    async def delete(
        self, job_id: JobID, *, scope: Scope | None = None, states: Collection[JobState] | None = None
    ) -> Reply:
        """Removes a waiting or terminal job with its attempts, durably; running: CONFLICT, and nothing is removed.

        states: only one that is in one of these now; else CONFLICT.

        A waiting job ends as if cancelled first: its unique key is free (unless hold_for still runs) and a successor is
        set free. Idempotency keys stay until their ttl and go on answering this id; dead letters stay as they are.
        """
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
        """Removes at most `limit` terminal jobs that ended more than so many seconds ago (None: keep for ever), with
        their attempts, the longest ended first, and answers how many; 0 means that none are left.

        It may stop earlier, after one job at least, when the rows are large. It looks at no waiting or running row.
        Keys and dead letters stay as with `delete`. With `dry_run` nothing is removed: answers how many (up to
        `limit`) would be. Need not survive a power failure.
        """
        ...

    async def progress(
        self, worker_id: WorkerID, reports: Sequence[tuple[JobID, int, float, str | None]]
    ) -> list[Reply]:
        """Stores (job, epoch, fraction 0…1, note) for claims still held. Need not survive a power failure."""
        ...

    async def get(self, job_id: JobID, *, scope: Scope | None = None) -> Job | None:
        """The job, or None."""
        ...

    async def count(self, options: CountOptions) -> dict[JobState, int]:
        """How many jobs match, by state; every state is a key."""
        ...

    async def attempts(self, job_id: JobID) -> list[Attempt]:
        """The job's failed and crashed attempts, oldest first."""
        ...

    async def ahead(self, job_id: JobID, *, limit: int = 10_000) -> int:
        """How many claimable jobs stand before this one in its lane, counted up to `limit`."""
        ...

    async def list(self, options: ListOptions) -> Page[Job]:
        """Jobs that match, newest id first; stable under concurrent inserts."""
        ...
