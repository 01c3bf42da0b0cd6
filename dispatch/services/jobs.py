"""The verbs on jobs."""

from __future__ import annotations

from asyncio import AbstractEventLoop
from collections.abc import AsyncGenerator, Collection, Sequence
from datetime import datetime
from typing import Any

from dispatch.clock import boot_seconds
from dispatch.entity import Page, Reply
from dispatch.errors import (
    AlreadyReplayed,
    DispatchError,
    DuplicateJob,
    JobAlreadyComplete,
    JobNotCancellable,
    JobNotDeletable,
    JobNotFound,
    JobNotRetryable,
    JobPurged,
    NotTransactional,
    WaitTimeout,
)
from dispatch.ids import JobID
from dispatch.jobs.alike import patterns
from dispatch.jobs.batch import new_jobs
from dispatch.jobs.definition import Call
from dispatch.jobs.model import Attempt, Changed, CountOptions, Enqueued, Job, JobState, ListOptions, NewJob
from dispatch.jobs.options import EnqueueOptions
from dispatch.jobs.store import EnqueuesHere, EnqueuesInside
from dispatch.plugins import PluginManager
from dispatch.portal import run_sync
from dispatch.registry import Registry
from dispatch.scope import Scope, capture
from dispatch.services.admission import HOOKS, Limits, check_size, check_sizes, tell, tell_expired, with_additions
from dispatch.services.audit import AuditService
from dispatch.services.drivers import drives, named
from dispatch.services.explain import Explanation, explained
from dispatch.services.named import hint_of, named_job
from dispatch.services.stats import SAMPLE, JobStats, read_stats
from dispatch.services.step_jobs import not_retryable, refuse_retry
from dispatch.services.traces import carried_on
from dispatch.store import Store
from dispatch.telemetry import OFF, Telemetry

_FIRST_LOOK = 0.002
_SLOWEST_LOOK = 1.0


class JobService:
    """Enqueue, look at, wait for, explain, cancel, retry and delete jobs."""

    def __init__(
        self,
        store: Store,
        *,
        registry: Registry,
        plugins: PluginManager,
        limits: Limits,
        idempotency_ttl: float,
        audit: AuditService | None = None,
        telemetry: Telemetry = OFF,
    ) -> None:
        self._store = store
        self._telemetry = telemetry
        self._audit = audit or AuditService(store)
        self._registry = registry
        self._plugins = plugins
        self._limits = limits
        self._idempotency_ttl = idempotency_ttl
        self._here = store.jobs if isinstance(store.jobs, EnqueuesHere) else None

    async def enqueue(self, calls: Sequence[Call[Any]]) -> list[Enqueued]:
        """Queues calls in one transaction, all or none, and answers one Enqueued each, in order.

        Raises PayloadTooLarge, InvalidArguments, DuplicateJob, IdempotencyMismatch, StoreError.
        """
        return await self.insert(self.rows(calls))

    def enqueue_here(self, calls: Sequence[Call[Any]], loop: AbstractEventLoop) -> list[Enqueued] | None:
        """As `enqueue`, in the calling thread, which runs no event loop; None, with nothing done, where the store or a
        plugin needs one. What the store declines only this time is written on `loop`, within the same spans."""
        here, plugins = self._here, self._plugins
        heard = not plugins.implemented.isdisjoint(HOOKS)
        if here is None or (heard and (plugins.has("job_enqueuing") or plugins.needs_loop("job_enqueued"))):
            return None
        spans = self._telemetry.spans
        jobs = self.rows(calls)
        if heard and plugins.has("job_cancelled") and any(job.unique is not None for job in patterns(jobs)):
            return None  # one that has expired may make way
        check_sizes(jobs, self._limits)
        if spans is None:
            answers = self._written(here, jobs, loop)
        else:
            with spans.sending(jobs) as jobs:
                answers = self._written(here, jobs, loop)
        if heard:
            tell(plugins, jobs, answers)
        return answers

    def _written(self, here: EnqueuesHere, jobs: Sequence[NewJob], loop: AbstractEventLoop) -> list[Enqueued]:
        answers = here.enqueue_here(jobs)
        return run_sync(loop, lambda: self._store.jobs.enqueue(jobs)) if answers is None else answers

    def rows(self, calls: Sequence[Call[Any]]) -> Sequence[NewJob]:
        """The rows that calls ask for, in the scope and trace of whoever asks."""
        return new_jobs(calls, scope=capture(), idempotency_ttl=self._idempotency_ttl, metadata=self.trace())

    def trace(self) -> dict[str, Any]:
        """What new work carries of the trace that it is asked for in, where no span of its own is made for that."""
        return carried_on() if self._telemetry.spans is None else {}

    async def enqueue_named(self, name: str, arguments: Any = None, options: EnqueueOptions | None = None) -> Enqueued:
        """Queues a job by name, without the user's module: queue and argument schema are those that its app announced.

        Args:
            name: the job's name; an unknown one goes to queue "default" and is validated when a worker loads it.
            arguments: an object (by parameter name), a list (by position) or None.
            options: as for `.options(...)`.

        Raises InvalidArguments, PayloadTooLarge, DuplicateJob, IdempotencyMismatch, StoreError.
        """
        chosen = options or EnqueueOptions()
        values = {} if arguments is None else arguments
        known = self._registry.jobs.get(name)
        if known is not None:
            document = known.signature.arrange(values)
            call = Call(known, known.signature.validate_document(document), chosen)
            return (await self.enqueue([call]))[0]
        announced = await self._store.cluster.definition(name)
        job = named_job(
            name, values, chosen, announced=announced, scope=capture(), idempotency_ttl=self._idempotency_ttl
        )
        (answer,) = await self.insert([job])
        if announced is None:
            answer.hint = await self._unknown(name)
        return answer

    async def _unknown(self, name: str) -> str:
        """What to say of a name that no app has announced, where others are."""
        return hint_of(name, [one.name for one in await self._store.cluster.definitions() if one.kind == "job"])

    async def insert(self, jobs: Sequence[NewJob]) -> list[Enqueued]:
        """Writes rows that are built already, and asks and tells the plugins."""
        heard = not self._plugins.implemented.isdisjoint(HOOKS)
        if heard and self._plugins.has("job_enqueuing"):
            jobs = [await with_additions(job, self._plugins, self._limits) for job in jobs]
        check_sizes(jobs, self._limits)
        spans = self._telemetry.spans
        if spans is None:
            answers = await self._store.jobs.enqueue(jobs)
        else:
            with spans.sending(jobs) as jobs:
                answers = await self._store.jobs.enqueue(jobs)
        if heard:
            tell(self._plugins, jobs, answers)
            await tell_expired(self._plugins, self.get, answers)
        return answers

    async def prepared_inside(self, jobs: Sequence[NewJob]) -> list[NewJob]:
        """Rows as they will be written inside of somebody's transaction; on the app's loop.

        Raises NotTransactional, PayloadTooLarge, InvalidArguments.
        """
        await self._inside().prepare_inside()
        return [await self.prepared(job) for job in jobs]

    async def insert_inside(self, connection: object, jobs: Sequence[NewJob]) -> list[Enqueued]:
        """Writes prepared rows in the connection's transaction, on the loop that the connection is used on.

        `job_enqueued` is told of none of them: only the caller knows whether they will be committed.
        Raises NotTransactional, DuplicateJob, IdempotencyMismatch, StoreError.
        """
        return await self._inside().enqueue_inside(connection, jobs) if jobs else []

    def insert_inside_here(self, connection: object, jobs: Sequence[NewJob]) -> list[Enqueued]:
        """As `insert_inside`, in the calling thread."""
        return self._inside().enqueue_inside_here(connection, jobs) if jobs else []

    def _inside(self) -> EnqueuesInside:
        part = self._store.jobs
        if not isinstance(part, EnqueuesInside):
            raise NotTransactional(
                f"the store {self._store.url} is no SQL database, so no connection's transaction can hold its jobs: "
                "enqueue without connection= after the commit, name your database as `outbox`, or keep the jobs in it"
            )
        return part

    async def prepared(self, job: NewJob) -> NewJob:
        """A row as it will be written: with what `job_enqueuing` adds (drivers are not shown to it), and not too large.

        Raises PayloadTooLarge, InvalidArguments.
        """
        if job.kind == "job" and self._plugins.has("job_enqueuing"):
            job = await with_additions(job, self._plugins, self._limits)
        check_size(job, self._limits)
        spans = self._telemetry.spans
        if spans is not None:
            with spans.sending([job]) as (traced,):  # somebody else writes it, with more, in one transaction
                return traced
        return job

    async def get(self, job_id: JobID, *, scope: Scope | None = None) -> Job:
        """The job; JobNotFound when there is none."""
        job = await self._store.jobs.get(job_id, scope=scope)
        if job is None:
            raise _not_found(job_id)
        return job

    async def list(self, options: ListOptions) -> Page[Job]:
        """Jobs that match, newest first."""
        return await self._store.jobs.list(options)

    async def count(self, options: CountOptions) -> dict[JobState, int]:
        """How many jobs match, by state."""
        return await self._store.jobs.count(options)

    async def attempts(self, job_id: JobID, *, scope: Scope | None = None) -> Sequence[Attempt]:
        """Its failed and crashed attempts, oldest first. JobNotFound when it is not in that scope."""
        if scope is not None:
            await self.get(job_id, scope=scope)
        return await self._store.jobs.attempts(job_id)

    async def cancel(self, job_id: JobID, *, scope: Scope | None = None, reason: str = "cancelled") -> JobState:
        """Cancels a job: at once when it waits (CANCELLED), by request when it runs (RUNNING).

        Raises JobNotFound, JobAlreadyComplete, JobNotCancellable.
        """
        async with self._audit.act("job.cancel", [job_id], reason=reason):
            return await self._cancel(job_id, scope, reason)

    async def _cancel(self, job_id: JobID, scope: Scope | None, reason: str) -> JobState:
        answer = await self._cancelled(job_id, await self._store.jobs.cancel(job_id, scope=scope, reason=reason))
        if isinstance(answer, DispatchError):
            raise answer
        return answer

    async def cancel_many(
        self, job_ids: Sequence[JobID], *, scope: Scope | None = None, reason: str = "cancelled"
    ) -> Sequence[JobState | DispatchError]:
        """Cancels jobs, many in one transaction; answers what `cancel` would have answered or raised, in order.

        Raises StoreError: some or all of them may be cancelled.
        """
        async with self._audit.act("job.cancel", job_ids, reason=reason) as act:
            changes = await self._store.jobs.cancel_many(job_ids, scope=scope, reason=reason)
            answers = [await self._cancelled(*pair) for pair in zip(job_ids, changes, strict=True)]
            pairs = list(zip(job_ids, answers, strict=True))
            done = [str(job_id) for job_id, answer in pairs if isinstance(answer, JobState)]
            act.settle(done, refused=len(pairs) - len(done))
            return answers

    async def _cancelled(self, job_id: JobID, changed: Changed) -> JobState | DispatchError:
        """What a cancellation has come to: the job's state, or what refused it."""
        if changed.reply is Reply.MISSING or changed.state is None:
            return _not_found(job_id)
        if changed.reply is Reply.CONFLICT:
            if changed.state is JobState.COMPLETED:
                return JobAlreadyComplete(f"{job_id} has completed; there is nothing to cancel")
            if not changed.state.terminal and (told := drives(await self._store.jobs.get(job_id), "cancel")):
                return JobNotCancellable(told)
            return JobNotCancellable(f"{job_id} is {changed.state} already; `dispatch job show {job_id}` tells why")
        if changed.state is JobState.CANCELLED and self._plugins.has("job_cancelled"):
            self._plugins.background("job_cancelled", job=await self.get(job_id))
        return changed.state

    async def retry(self, job_id: JobID, *, scope: Scope | None = None) -> JobState:
        """Runs a failed or cancelled job again as the same row, from a fresh count; a waiting retry is due now.

        Raises JobNotFound, JobAlreadyComplete, DuplicateJob; JobNotRetryable, also of a run's step that has ended.
        """
        async with self._audit.act("job.retry", [job_id]):
            return await self._retry(job_id, scope)

    async def _retry(self, job_id: JobID, scope: Scope | None) -> JobState:
        await refuse_retry(self._store, await self._store.jobs.get(job_id, scope=scope))
        changed = await self._store.jobs.retry(job_id, scope=scope)
        if changed.reply is Reply.MISSING or changed.state is None:
            raise _not_found(job_id)
        if changed.reply is Reply.CONFLICT:
            if changed.state is JobState.COMPLETED:
                raise JobAlreadyComplete(f"{job_id} has completed; enqueue a new job to run it again")
            if told := drives(await self._store.jobs.get(job_id), "retry"):
                raise JobNotRetryable(told)
            if changed.replayed_as is not None:
                raise AlreadyReplayed(
                    f"{job_id} cannot be retried: its dead letter was replayed as {changed.replayed_as}, "
                    "and the same work would run twice"
                )
            if changed.holder is not None:
                holder = await named(self._store, changed.holder)
                raise DuplicateJob(f"{job_id} cannot be retried: {holder} holds its unique key", existing=holder)
            raise not_retryable(job_id, changed.state)
        return changed.state

    async def delete(
        self, job_id: JobID, *, scope: Scope | None = None, states: Collection[JobState] | None = None
    ) -> None:
        """Removes a job that does not run, with its attempts and its result, for good; its dead letter stays.

        Args:
            states: only while it is in one of these.

        Raises JobNotFound, JobNotDeletable.
        """
        async with self._audit.act("job.delete", [job_id]):
            reply = await self._store.jobs.delete(job_id, scope=scope, states=states)
            if reply is Reply.MISSING:
                raise _not_found(job_id)
            if reply is Reply.CONFLICT:
                if told := drives(await self._store.jobs.get(job_id), "delete"):
                    raise JobNotDeletable(told)
                state = JobState.RUNNING if states is None else (await self.get(job_id, scope=scope)).state
                if state is JobState.RUNNING:
                    raise running_not_deletable(job_id)
                raise JobNotDeletable(f"{job_id} is {state} by now, which was not among the states to be deleted")

    async def wait(self, job_id: JobID, *, timeout: float | None = None, scope: Scope | None = None) -> Job:
        """Waits at most `timeout` seconds (None: for ever) until the job has ended, and answers its row.

        Raises JobNotFound, JobPurged, WaitTimeout.
        """
        deadline = None if timeout is None else boot_seconds() + timeout
        pause = _FIRST_LOOK
        seen_before = False
        while True:
            version = self._store.wakeups.version
            job = await self._store.jobs.get(job_id, scope=scope)
            if job is None:
                if seen_before:
                    raise JobPurged(f"{job_id} is gone: retention or an operator removed it")
                raise _not_found(job_id)
            if job.state.terminal:
                return job
            seen_before = True
            left = pause if deadline is None else min(pause, deadline - boot_seconds())
            if left <= 0:
                raise WaitTimeout(f"{job.name} ({job_id}) is still {job.state} after {timeout:g} s; it goes on")
            await self._store.wakeups.wait(version, left)
            pause = min(pause * 1.5, _SLOWEST_LOOK)

    async def watch(
        self, job_id: JobID, *, timeout: float | None = None, scope: Scope | None = None
    ) -> AsyncGenerator[Job, None]:
        """The job now and after each change of its state, attempt, progress or due time, until it has ended.

        Raises JobNotFound, JobPurged; WaitTimeout after `timeout` seconds (None: never).
        """
        deadline = None if timeout is None else boot_seconds() + timeout
        job = await self.get(job_id, scope=scope)
        yield job
        shown = _visible(job)
        while not job.state.terminal:
            left = _SLOWEST_LOOK if deadline is None else min(_SLOWEST_LOOK, deadline - boot_seconds())
            if left <= 0:
                raise WaitTimeout(f"{job.name} ({job_id}) is still {job.state} after {timeout:g} s; it goes on")
            version = self._store.wakeups.version
            found = await self._store.jobs.get(job_id)
            if found is None:
                raise JobPurged(f"{job_id} is gone: retention or an operator removed it")
            job = found
            if _visible(job) != shown:
                shown = _visible(job)
                yield job
            elif not job.state.terminal:
                await self._store.wakeups.wait(version, left)

    async def explain(self, job_id: JobID, *, scope: Scope | None = None) -> Explanation:
        """Why the job does or does not run: the gates in order, with evidence. Raises JobNotFound."""
        return await explained(self._store, await self.get(job_id, scope=scope), scope=scope)

    async def stats(
        self,
        *,
        names: Sequence[str] = (),
        since: datetime | None = None,
        limit: int = SAMPLE,
        scope: Scope | None = None,
    ) -> JobStats:
        """How long jobs waited and ran, by name, from the `limit` newest that have ended (after `since`)."""
        return await read_stats(self._store, names=names, since=since, limit=limit, scope=scope)


def running_not_deletable(job_id: JobID) -> JobNotDeletable:
    """What refuses the deletion of a running job."""
    return JobNotDeletable(f"{job_id} is running; `dispatch job cancel {job_id}` stops it, then it can be deleted")


def _visible(job: Job) -> tuple[object, ...]:
    """What somebody who watches the job wants to hear of."""
    return (
        *(job.state, job.attempt, job.run_at, job.worker_id, job.cancel_requested, job.set_aside, job.blocked),
        *(job.progress, job.progress_note),
    )


def _not_found(job_id: JobID) -> JobNotFound:
    return JobNotFound(f"there is no job {job_id}; `dispatch job list` shows what there is")
