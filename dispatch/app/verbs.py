"""What handles ask of an app, how it starts workflows and takes definitions in."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ParamSpec, TypeVar

from dispatch.app.admitting import Admitting
from dispatch.app.feed import Feeding
from dispatch.app.nouns import Nouns
from dispatch.crons.definition import CronDefinition
from dispatch.events.model import Event
from dispatch.ids import JobID, RunID
from dispatch.jobs.definition import Call, JobDefinition
from dispatch.jobs.handle import JobHandle, SyncJobHandle
from dispatch.jobs.model import Enqueued, Job, JobState
from dispatch.portal import bridge, refuse_in_loop, run_sync
from dispatch.registry import Registry
from dispatch.services.audit import unrecorded
from dispatch.workflows.definition import WorkflowCall, WorkflowDefinition
from dispatch.workflows.handle import RunHandle
from dispatch.workflows.model import Run, RunState

P = ParamSpec("P")
R = TypeVar("R")
Handle = TypeVar("Handle", JobHandle[Any], SyncJobHandle[Any])


class Verbs(Nouns, Feeding, Admitting):
    """The part of Dispatch that handles and definitions call."""

    registry: Registry

    def register(self, definition: JobDefinition[P, R]) -> JobDefinition[P, R]:
        """Adds a definition to this app's registry. Raises DuplicateName."""
        return self.registry.add(definition)

    def register_cron(
        self,
        name: str,
        schedule: str,
        definition: JobDefinition[P, R] | WorkflowDefinition[P, R],
        /,
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> CronDefinition:
        """Adds a timetable for one call of `definition` to this app's registry, as `@cron` does; workers started after
        that announce it. Raises InvalidDefinition, InvalidArguments, DuplicateName."""
        call = definition.call(*args, **kwargs)
        return self.registry.add(CronDefinition(schedule, definition, name=name, call=lambda: call))

    async def enqueue_calls(self, calls: Sequence[Call[Any]]) -> list[JobHandle[Any]]:
        """Queues validated calls in one transaction, all or none, and answers a handle for each, in order."""
        return self._handles(calls, await self.jobs.enqueue(calls), JobHandle)

    def enqueue_blocking(self, calls: Sequence[Call[Any]]) -> list[SyncJobHandle[Any]]:
        """As `enqueue_calls`, for a thread that runs no event loop; SyncInAsync where one runs."""
        refuse_in_loop()
        loop = self.loop
        answers = self.jobs.enqueue_here(calls, loop)
        if answers is None:
            answers = run_sync(loop, lambda: self.jobs.enqueue(calls))
        return self._handles(calls, answers, SyncJobHandle)

    async def enqueue_inside(self, calls: Sequence[Call[Any]], connection: object) -> list[JobHandle[Any]]:
        """Queues validated calls as a part of the connection's transaction; runs on the loop the connection is used on.

        Raises NotTransactional and what `enqueue_calls` raises.
        """
        jobs = self.jobs.rows(calls)
        prepared = await bridge(self.loop, lambda: self.jobs.prepared_inside(jobs))
        return self._handles(calls, await self.jobs.insert_inside(connection, prepared), JobHandle)

    def enqueue_inside_blocking(self, calls: Sequence[Call[Any]], connection: object) -> list[SyncJobHandle[Any]]:
        """As `enqueue_inside` for a connection of synchronous code, in the calling thread; SyncInAsync where a loop
        runs."""
        jobs = self.jobs.rows(calls)
        prepared = run_sync(self.loop, lambda: self.jobs.prepared_inside(jobs))
        return self._handles(calls, self.jobs.insert_inside_here(connection, prepared), SyncJobHandle)

    def _handles(self, calls: Sequence[Call[Any]], answers: Sequence[Enqueued], kind: type[Handle]) -> list[Handle]:
        return [
            kind(answer.id, app=self, created=answer.created, load=call.definition.load_result)
            for call, answer in zip(calls, answers, strict=True)
        ]

    async def start_workflow(
        self, definition: WorkflowDefinition[P, R], /, *args: P.args, **kwargs: P.kwargs
    ) -> RunHandle[R]:
        """Starts a run of `definition` in this app; as `definition.start(...)`, which finds the app itself."""
        call = definition.call(*args, **kwargs)
        handles: list[RunHandle[Any]] = await bridge(self.loop, lambda: self.start_runs([call]))
        return handles[0]

    def register_workflow(self, definition: WorkflowDefinition[P, R]) -> WorkflowDefinition[P, R]:
        """Adds a workflow to this app's registry. Raises DuplicateName."""
        return self.registry.add(definition)

    async def start_runs(self, calls: Sequence[WorkflowCall[Any]]) -> list[RunHandle[Any]]:
        """Starts validated calls in one transaction, all or none, and answers a handle for each, in order."""
        return [
            RunHandle(answer.id, app=self, created=answer.created, load=call.definition.signature.load_result)
            for call, answer in zip(calls, await self.workflows.start(calls), strict=True)
        ]

    async def job(self, job_id: JobID) -> Job:
        """The job; JobNotFound when there is none."""
        return await self.jobs.get(job_id)

    async def wait_job(self, job_id: JobID, timeout: float | None) -> Job:
        """The job once it has ended; see JobService.wait."""
        return await self.jobs.wait(job_id, timeout=timeout)

    async def cancel_job(self, job_id: JobID) -> JobState:
        """Cancels the job; see JobService.cancel. As a program's own act it leaves no audit record."""
        with unrecorded():
            return await self.jobs.cancel(job_id)

    async def run_of(self, run_id: RunID) -> Run:
        """The run; RunNotFound when there is none."""
        return await self.workflows.get(run_id)

    async def wait_run(self, run_id: RunID, timeout: float | None) -> Run:
        """The run once it has ended; see WorkflowService.wait."""
        return await self.workflows.wait(run_id, timeout=timeout)

    async def cancel_run(self, run_id: RunID) -> RunState:
        """Cancels the run; see WorkflowService.cancel. As a program's own act it leaves no audit record."""
        with unrecorded():
            return await self.workflows.cancel(run_id)

    async def signal_run(self, run_id: RunID, name: str, payload: Any) -> Event:
        """Sends an event to the run; see WorkflowService.signal."""
        return await self.workflows.signal(run_id, name, payload)

    async def publish_event(self, name: str, payload: Any, key: str | None) -> Event:
        """Publishes an event; see EventService.publish."""
        return await self.events.publish(name, payload, key=key)
