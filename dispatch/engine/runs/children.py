"""The verbs that start other work: child runs, waited for or not, and jobs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from dispatch.engine.runs.child_rows import child_name, child_run, child_value, queued_job
from dispatch.engine.runs.ledger import Ledger, app_of_worker
from dispatch.engine.runs.stage import Waiting
from dispatch.ids import JobID, RunID
from dispatch.jobs.handle import JobHandle
from dispatch.jobs.model import NewJob
from dispatch.workflows import documents
from dispatch.workflows.conductor import AnyJob, AnyWorkflow
from dispatch.workflows.handle import RunHandle
from dispatch.workflows.model import Checkpoint, NewCheckpoint


class Children(Ledger):
    """`run_child`, `spawn_child`, `enqueue`."""

    async def child(
        self, target: AnyWorkflow, args: Sequence[Any], kwargs: Mapping[str, Any], *, name: str | None
    ) -> Any:
        await self.enter()
        chosen = self.journal.use(name or child_name(target), "run_child", default=name is None)
        return await self.run_child(target, args, kwargs, chosen, group=chosen)

    async def spawn(
        self, target: AnyWorkflow, args: Sequence[Any], kwargs: Mapping[str, Any], *, name: str | None
    ) -> RunHandle[Any]:
        await self.enter()
        chosen = self.journal.use(name or child_name(target), "spawn_child", default=name is None)
        found = self.find(chosen, "spawn_child", "child")
        if found is None:
            await self.stop_if_replaying(chosen)
            found = await self.stage.act(self._start(target, args, kwargs, chosen, awaited=False))
        self.read(found, "spawned")
        load = target._definition.signature.load_result
        run_id = RunID(self.read(found, "run"))
        return RunHandle(run_id, app=app_of_worker(), created=documents.is_own(found, run_id), load=load)

    async def enqueue(
        self, target: AnyJob, args: Sequence[Any], kwargs: Mapping[str, Any], *, name: str | None
    ) -> JobHandle[Any]:
        await self.enter()
        chosen = self.journal.use(name or child_name(target), "enqueue", default=name is None)
        found = self.find(chosen, "enqueue", "value")
        if found is None:
            await self.stop_if_replaying(chosen)
            found = await self.stage.act(self._queue(target, args, kwargs, chosen))
        load = target._definition.signature.load_result
        job_id = JobID(self.read(found, "job"))
        return JobHandle(job_id, app=app_of_worker(), created=documents.is_own(found, job_id), load=load)

    async def run_child(
        self, target: AnyWorkflow, args: Sequence[Any], kwargs: Mapping[str, Any], name: str, *, group: str
    ) -> Any:
        """Starts a child run unless it is recorded, and waits for its end."""
        found = self.find(name, "run_child", "child")
        if found is None:
            await self.stop_if_replaying(name)
            found = await self.stage.act(self._start(target, args, kwargs, name, awaited=True))
        self.read(found, "run")
        return await self.child_end(name, target, group=group)

    async def child_end(self, name: str, target: Any, *, group: str) -> Any:
        """What the child of that name gave, once it has ended; ChildFailed when it did not complete."""
        while (ended := self.journal.children.get(name)) is None:
            await self.stop_if_replaying(name)
            await self.stage.wait(Waiting(name, "child", group=group))
        return child_value(target, ended)

    async def _start(
        self, target: AnyWorkflow, args: Sequence[Any], kwargs: Mapping[str, Any], name: str, *, awaited: bool
    ) -> Checkpoint:
        run = child_run(
            *(target, args, kwargs),
            parent=self.run_id,
            step=name,
            scope=self.run.scope,
            awaited=awaited,
            idempotency_ttl=self.means.idempotency_ttl,
        )
        run.driver = await self.means.prepare(run.driver)
        if awaited and run.driver.concurrency_key is not None:
            self.means.report.waits_for(run.driver, self.job)
        fields: dict[str, Any] = {"run": run.id} if awaited else {"run": run.id, "spawned": True}
        data = documents.document(**fields, **_asked(run.driver, run.id))
        return await self.recorded(NewCheckpoint(name, "child", data, started_at=self.now, runs=(run,)))

    async def _queue(self, target: AnyJob, args: Sequence[Any], kwargs: Mapping[str, Any], name: str) -> Checkpoint:
        ttl = self.means.idempotency_ttl
        job = await self.means.prepare(queued_job(target, args, kwargs, scope=self.run.scope, idempotency_ttl=ttl))
        data = documents.document(job=job.id, **_asked(job, job.id))
        return await self.recorded(NewCheckpoint(name, "value", data, started_at=self.now, jobs=(job,)))


def _asked(job: NewJob, id_: JobID | RunID) -> dict[str, str]:
    """Where a key may give another one's id: which id was meant."""
    return documents.asked_for(id_) if job.unique or job.idempotency else {}
