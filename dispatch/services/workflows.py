"""The verbs on workflow runs."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from dispatch.clock import boot_seconds
from dispatch.cluster.model import Announcement
from dispatch.entity import Page, Reply
from dispatch.errors import RunEnded, RunNotFound, RunNotRetryable, WaitTimeout, WorkflowNotFound
from dispatch.events.model import Event
from dispatch.ids import RunID
from dispatch.jobs.model import NewJob
from dispatch.jobs.options import EnqueueOptions
from dispatch.registry import Registry
from dispatch.scope import Scope, capture
from dispatch.services.audit import AuditService
from dispatch.services.drivers import named
from dispatch.services.events import EventService
from dispatch.services.explain import explained
from dispatch.services.forks import edited, inherited
from dispatch.services.jobs import JobService
from dispatch.services.named import named_payload
from dispatch.services.recorded import would_end_again
from dispatch.store import Store
from dispatch.workflows.definition import WorkflowCall, build_run
from dispatch.workflows.model import (
    UNDO_INHERITED,
    Checkpoint,
    ChildResult,
    CreatedRun,
    ListOptions,
    NewRun,
    Run,
    RunState,
    Wait,
    driver_id,
)

if TYPE_CHECKING:
    from builtins import list as List

_FIRST_LOOK = 0.002
_SLOWEST_LOOK = 1.0


class WorkflowService:
    """Start, look at, wait for, signal, cancel, retry, fork and migrate runs."""

    def __init__(
        self,
        store: Store,
        *,
        registry: Registry,
        jobs: JobService,
        events: EventService,
        idempotency_ttl: float,
        audit: AuditService | None = None,
    ) -> None:
        self._audit = audit or AuditService(store)
        self._store = store
        self._registry = registry
        self._jobs = jobs
        self._events = events
        self._idempotency_ttl = idempotency_ttl

    async def start(self, calls: Sequence[WorkflowCall[Any]]) -> List[CreatedRun]:
        """Starts runs in one transaction, all or none, and answers one CreatedRun each, in order.

        Raises PayloadTooLarge, InvalidArguments, DuplicateJob, IdempotencyMismatch, StoreError.
        """
        return await self._create(self._new_runs(calls))

    async def start_named(
        self,
        name: str,
        arguments: Any = None,
        options: EnqueueOptions | None = None,
        *,
        version: int | None = None,
    ) -> CreatedRun:
        """Starts a run by name, without the user's module: version, queue and schema are those that its app announced.

        Args:
            name: the workflow's name.
            arguments: an object (by parameter name), a list (by position) or None.
            options: as for `.options(...)`.
            version: None: the newest that is known.

        Raises WorkflowNotFound, InvalidArguments, PayloadTooLarge, DuplicateJob, IdempotencyMismatch, StoreError.
        """
        return (await self._create([await self.rehearse(name, arguments, options, version=version)]))[0]

    async def rehearse(
        self,
        name: str,
        arguments: Any = None,
        options: EnqueueOptions | None = None,
        *,
        version: int | None = None,
    ) -> NewRun:
        """What `start_named` would write, checked; it writes nothing. Arguments and errors as there."""
        chosen = options or EnqueueOptions()
        values = {} if arguments is None else arguments
        known = [d for d in self._registry.workflows.values() if d.name == name and version in (None, d.version)]
        if known:
            definition = max(known, key=lambda d: d.version)
            document = definition.signature.validate_document(definition.signature.arrange(values))
            return self._new_runs([WorkflowCall(definition, document, chosen)])[0]
        return run_by_name(
            name,
            values,
            chosen,
            announced=newest_announced(await self._store.cluster.definitions(), name, version),
            scope=capture(),
            idempotency_ttl=self._idempotency_ttl,
        )

    async def get(self, run_id: RunID, *, scope: Scope | None = None) -> Run:
        """The run with its input and result; RunNotFound when there is none."""
        run = await self._store.workflows.get(run_id, scope=scope)
        if run is None:
            raise _not_found(run_id)
        return run

    async def held_up(self, run: Run, *, scope: Scope | None = None) -> str | None:
        """Why a run has not begun: what `explain` says of its driver. None once it has.

        scope: a tenant, whose eyes see no holders of other tenants' slots.
        """
        driver = await self._store.jobs.get(run.driver) if run.state is RunState.PENDING else None
        return None if driver is None else (await explained(self._store, driver, scope=scope)).summary

    async def list(self, options: ListOptions | None = None) -> Page[Run]:
        """Runs that match, newest first, without inputs and results."""
        return await self._store.workflows.list(options or ListOptions())

    async def count(self, *, names: Sequence[str] = (), scope: Scope | None = None) -> dict[RunState, int]:
        """How many runs, by state."""
        return await self._store.workflows.count(names=names, scope=scope)

    async def timeline(self, run_id: RunID, *, scope: Scope | None = None) -> Sequence[Checkpoint]:
        """What the run has recorded, in order. Raises RunNotFound."""
        await self.get(run_id, scope=scope)
        return await self._store.workflows.timeline(run_id)

    async def waits(self, run_id: RunID, *, scope: Scope | None = None) -> Sequence[Wait]:
        """The events that the run waits for now. RunNotFound when it is not in that scope."""
        if scope is not None:
            await self.get(run_id, scope=scope)
        return await self._store.workflows.waits(run_id)

    async def children(self, run_id: RunID, *, scope: Scope | None = None) -> Sequence[ChildResult]:
        """How its children (runs, and jobs of steps on the workers) ended, so far. RunNotFound as for `waits`."""
        if scope is not None:
            await self.get(run_id, scope=scope)
        return await self._store.workflows.children(run_id)

    async def wait(self, run_id: RunID, *, timeout: float | None = None, scope: Scope | None = None) -> Run:
        """Waits at most `timeout` seconds (None: for ever) until the run has ended, and answers it.

        Raises RunNotFound, WaitTimeout.
        """
        deadline = None if timeout is None else boot_seconds() + timeout
        pause = _FIRST_LOOK
        while True:
            version = self._store.wakeups.version
            run = await self.get(run_id, scope=scope)
            if run.state.terminal:
                return run
            left = pause if deadline is None else min(pause, deadline - boot_seconds())
            if left <= 0:
                blocked = f" ({run.reason})" if run.state is RunState.BLOCKED else ""
                raise WaitTimeout(
                    f"{run.name} ({run_id}) is still {run.state}{blocked} after {timeout:g} s; it goes on"
                )
            await self._store.wakeups.wait(version, left)
            pause = min(pause * 1.5, _SLOWEST_LOOK)

    async def signal(self, run_id: RunID, name: str, payload: Any = None, *, scope: Scope | None = None) -> Event:
        """Sends an event to this run alone. Raises RunNotFound, RunEnded, InvalidArguments, PayloadTooLarge."""
        if scope is not None:
            await self.get(run_id, scope=scope)
        return await self._events.publish(name, payload, run_id=run_id)

    async def cancel(self, run_id: RunID, *, scope: Scope | None = None, reason: str = "cancelled") -> RunState:
        """Cancels a run, which takes back what it did before it ends; answers its state after that.

        Raises RunNotFound, RunEnded.
        """
        async with self._audit.act("workflow.cancel", [run_id], reason=reason):
            changed = await self._store.workflows.cancel(run_id, scope=scope, reason=reason)
            if changed.reply is Reply.MISSING or changed.state is None:
                raise _not_found(run_id)
            if changed.reply is Reply.CONFLICT:
                raise RunEnded(f"{run_id} is {changed.state} already; `dispatch workflow show {run_id}` tells why")
            return changed.state

    async def retry(self, run_id: RunID, *, scope: Scope | None = None) -> RunState:
        """Lets a failed, cancelled or blocked run go on from its checkpoints; where taking back failed, that goes on.

        Raises RunNotFound; RunNotRetryable, also where the failure of a child that is recorded would end it again.
        """
        async with self._audit.act("workflow.retry", [run_id]):
            ended = await self.get(run_id, scope=scope)
            if told := await would_end_again(ended, self._store.workflows):
                raise RunNotRetryable(f"{run_id} is {ended.state} and cannot be retried: {told}")
            changed = await self._store.workflows.retry(run_id, scope=scope)
            if changed.reply is Reply.MISSING or changed.state is None:
                raise _not_found(run_id)
            if changed.reply is Reply.CONFLICT:
                run = await self.get(run_id)
                if run.compensated and run.state.terminal:
                    why = "it has taken back what it did; fork it, or start a new run"
                elif changed.holder is not None:
                    why = f"{await named(self._store, changed.holder)} holds its unique key until it ends"
                else:
                    why = "only failed, cancelled and blocked runs can be"
                raise RunNotRetryable(f"{run_id} is {run.state} and cannot be retried: {why}")
            return changed.state

    async def migrate(self, run_id: RunID, *, version: int, scope: Scope | None = None) -> RunState:
        """Moves an unfinished run to another version of its workflow; what it recorded stays.

        Raises RunNotFound, WorkflowNotFound, RunEnded.
        """
        run = await self.get(run_id, scope=scope)
        if (run.name, version) not in self._registry.workflows:
            newest_announced(await self._store.cluster.definitions(), run.name, version)
        async with self._audit.act("workflow.migrate", [run_id], detail=f"to version {version}"):
            changed = await self._store.workflows.migrate(run_id, version=version, scope=scope)
            if changed.reply is not Reply.APPLIED or changed.state is None:
                raise RunEnded(f"{run_id} is {changed.state or 'gone'}; only runs that have not ended can be migrated")
            return changed.state

    async def fork(
        self,
        run_id: RunID,
        *,
        before: str,
        edits: Mapping[str, Any] | None = None,
        force: bool = False,
        undo_inherited: bool = False,
        scope: Scope | None = None,
    ) -> CreatedRun:
        """Starts a new run that has the checkpoints which this one recorded before the step `before`.

        Args:
            before: a recorded step, or the one that failed and ended the run; the new run goes on with it.
            edits: `{"charge.amount": 5}`: results that the copy starts with instead (a step, or a path into it).
            force: whether an edit may add a field that the recorded result does not have.
            undo_inherited: when the new run fails or is cancelled, it also takes back the copied steps. Left out, their
                undos are not its own: they remain the old run's.

        Raises RunNotFound, InvalidArguments.
        """
        run = await self.get(run_id, scope=scope)
        checkpoints = await self._store.workflows.timeline(run_id)
        start = inherited(run, checkpoints, before)
        data = edited(start, edits or {}, force=force)
        job = await self._store.jobs.get(run.driver)
        fork_id = RunID.new()
        driver = NewJob(
            driver_id(fork_id),
            f"{run.name}@{run.version}",
            run.input,
            run.queue,
            kind="workflow",
            run_id=fork_id,
            priority=job.priority if job else 0,
            max_retries=job.max_retries if job else None,
            timeout=job.timeout if job else None,
            backoff=job.backoff if job else None,
            concurrency_key=job.concurrency_key if job else None,
            concurrency_max=job.concurrency_max if job else None,
            metadata=_metadata_of_fork(run, undo_inherited=undo_inherited),
            tags=tuple(run.tags),
            scope=run.scope,
        )
        fork = NewRun(fork_id, run.name, run.version, driver)
        detail = f"before {before}" + (f", with {', '.join(edits)} edited" if edits else "")
        detail += ", which takes back what it inherits" if undo_inherited else ""
        async with self._audit.act("workflow.fork", [run_id], detail=detail):
            created = await self._store.workflows.fork(run_id, before=start.place, run=fork, edits=data, scope=scope)
            if created is None:
                raise _not_found(run_id)
            return created

    def _new_runs(self, calls: Sequence[WorkflowCall[Any]]) -> List[NewRun]:
        scope, ttl, metadata = capture(), self._idempotency_ttl, self._jobs.trace()
        return [call.new_run(scope=scope, idempotency_ttl=ttl, metadata=metadata) for call in calls]

    async def _create(self, runs: Sequence[NewRun]) -> List[CreatedRun]:
        prepared = [replace(run, driver=await self._jobs.prepared(run.driver)) for run in runs]
        return await self._store.workflows.create(prepared)


def run_by_name(
    name: str, arguments: Any, options: EnqueueOptions, *, announced: Announcement, scope: Scope, idempotency_ttl: float
) -> NewRun:
    """The run that a start by name makes, by what was announced; InvalidArguments when they do not fit its schema."""
    return build_run(
        name=name,
        version=announced.version,
        payload=named_payload(name, arguments, announced.schema),
        options=options.over(EnqueueOptions(**announced.options)),
        row=options,
        scope=scope,
        idempotency_ttl=idempotency_ttl,
        default_queue=announced.queue,
    )


def newest_announced(announcements: Sequence[Announcement], name: str, version: int | None) -> Announcement:
    """What was announced of a workflow's version (None: the newest). Raises WorkflowNotFound."""
    workflows = [a for a in announcements if a.kind == "workflow"]
    known = [a for a in workflows if a.name == name]
    found = [a for a in known if version in (None, a.version)]
    if found:
        return max(found, key=lambda a: a.version)
    if known:
        versions = ", ".join(str(a.version) for a in sorted(known, key=lambda a: a.version))
        raise WorkflowNotFound(f"no app has announced version {version} of {name}; there are: {versions}")
    near = difflib.get_close_matches(name, [a.name for a in workflows], 1)
    hint = f"did you mean {near[0]!r}?" if near else "`dispatch run` announces the workflows of its module"
    raise WorkflowNotFound(f"no app has announced a workflow {name!r}; {hint}")


def _metadata_of_fork(run: Run, *, undo_inherited: bool) -> dict[str, Any]:
    kept = {key: value for key, value in run.metadata.items() if key != UNDO_INHERITED}
    return kept | {UNDO_INHERITED: True} if undo_inherited else kept


def _not_found(run_id: RunID) -> RunNotFound:
    return RunNotFound(f"there is no run {run_id}; `dispatch workflow list` shows what there is")
