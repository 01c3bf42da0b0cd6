"""The verbs that do work: steps in place and on the workers, side by side and over many items."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Sequence
from typing import Any

from dispatch.engine.runs.child_rows import child_job
from dispatch.engine.runs.children import Children
from dispatch.engine.runs.results import codec
from dispatch.engine.runs.step_runner import step_failed
from dispatch.engine.runs.undos import Undos
from dispatch.errors import StepFailed, StepMisused, StepNeverAwaited
from dispatch.jobs.model import Failure
from dispatch.workflows import documents
from dispatch.workflows.definition import BoundWorkflow, WorkflowDefinition
from dispatch.workflows.model import Checkpoint, NewCheckpoint
from dispatch.workflows.steps import FanOut, FanSpec, Step, StepSpec


class Steps(Undos, Children):
    """`step`, `parallel`, `fan_out`."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._lazies: list[tuple[str, Step[Any] | FanOut[Any]]] = []
        self._unstarted: dict[str, int] = {}

    def made(self, lazy: Step[Any] | FanOut[Any], name: str) -> None:
        self.stage.check()
        self.journal.use(name, "step" if isinstance(lazy, Step) else "fan_out")
        self._lazies.append((name, lazy))

    def never_awaited(self) -> StepNeverAwaited | None:
        """What tells of the first step that was created and not awaited, if there is one."""
        for name, lazy in self._lazies:
            if not lazy.started:
                return StepNeverAwaited(
                    f"{name!r} was created at {lazy.place} and never awaited, so it never ran; `await` it, or drop it"
                )
        return None

    def unstarted(self, group: str) -> int:
        """How many children a fan_out has still to start."""
        return self._unstarted.get(group, 0)

    # -- steps ---------------------------------------------------------------------------------------------------

    async def step(self, spec: StepSpec) -> Any:
        await self.enter()
        if spec.workers:
            return await self._on_workers(spec)
        found = self.find(spec.name, "step", "step", "failure")
        if found is None:
            await self.stop_if_replaying(spec.name)
            try:
                found = await self.stage.act(self._perform(spec))
            except StepFailed:
                self.failed_here(spec.name)
                raise
        if found.kind == "failure":
            dead_letter = documents.makes_dead_letter(found)
            raise step_failed(spec.name, documents.read_failure(found), dead_letter=dead_letter)
        value = codec(spec.function).load_result(found.data)
        self.remember(found, spec.undo, (value,))
        return value

    async def _perform(self, spec: StepSpec) -> Checkpoint:
        """Runs the step in place and records its result."""
        await self.write_pending()
        began, started = self.means.elapsed(), self.now
        try:
            with self.means.step_span(spec.name, self.run_id):
                done = await self.means.steps.run(spec, self.job, self.key(spec.name))
        except StepFailed as error:
            if not self.stage.aborted:
                failure = Failure(error.type, error.message, error.traceback)
                self.met(spec.name, failure, started, error)
                self.means.report.step_failed(self.run, spec.name, failure)
            raise
        found = await self.recorded(
            NewCheckpoint(spec.name, "step", done.data, attempt=done.attempt, started_at=started)
        )
        self.means.report.step_completed(self.run, spec.name, self.means.elapsed() - began)
        return found

    async def _on_workers(self, spec: StepSpec) -> Any:
        found = self.find(spec.name, "step on the workers", "child")
        if found is None:
            await self.stop_if_replaying(spec.name)
            found = await self.stage.act(self._send(spec))
        self.read(found, "job")
        value = await self.child_end(spec.name, spec.function, group=spec.group or spec.name)
        self.remember(found, spec.undo, (value,))
        return value

    async def _send(self, spec: StepSpec) -> Checkpoint:
        job = child_job(
            spec,
            run_id=self.run_id,
            key=self.key(spec.name),
            scope=self.run.scope,
            idempotency_ttl=self.means.idempotency_ttl,
        )
        job = await self.means.prepare(job)
        data = documents.document(job=job.id)
        return await self.recorded(NewCheckpoint(spec.name, "child", data, started_at=self.now, jobs=(job,)))

    # -- branches ------------------------------------------------------------------------------------------------

    async def parallel(self, branches: Sequence[Awaitable[Any]]) -> list[Any]:
        await self.enter()
        return await self._together([asyncio.ensure_future(branch) for branch in branches])

    async def fan_out(self, spec: FanSpec) -> list[Any]:
        await self.enter()
        children = isinstance(spec.target, WorkflowDefinition | BoundWorkflow)
        if children and (spec.workers or spec.retries is not None or spec.timeout is not None):
            raise StepMisused(
                f"fan_out {spec.name!r} starts child runs, which have retries and timeouts of their own and run on any "
                "worker: drop .retry(), .timeout() and .on_workers(), or give the workflow those options"
            )
        steps = [spec.step(index, item) for index, item in enumerate(spec.items)]
        for step in steps:
            self.journal.use(step.name, "fan_out")
        results: list[Any] = [None] * len(steps)
        errors: dict[int, Exception] = {}
        left = iter(range(len(steps)))
        self._unstarted[spec.name] = len(steps)

        async def work() -> None:
            for index in left:
                self._unstarted[spec.name] -= 1
                try:
                    results[index] = await self._branch(spec, steps[index])
                except StepFailed as error:
                    results[index] = errors[index] = error
                    if spec.collect:
                        self.survived(error.step)
                except Exception as error:
                    errors[index] = error

        await self._together([asyncio.ensure_future(work()) for _ in range(min(spec.limit, len(steps)))])
        for index in sorted(errors):
            if not spec.collect or not isinstance(errors[index], StepFailed):
                raise errors[index]
        return results

    async def _branch(self, spec: FanSpec, step: StepSpec) -> Any:
        if isinstance(spec.target, WorkflowDefinition | BoundWorkflow):
            return await self.run_child(spec.target, step.args, step.kwargs, step.name, group=spec.name)
        return await self.step(step)

    async def _together(self, tasks: Sequence[asyncio.Future[Any]]) -> list[Any]:
        """Waits for all, then answers their results or raises what the first of them raised."""
        if tasks:
            await self.stage.join(tasks)
        errors = [None if task.cancelled() else task.exception() for task in tasks]
        self.stage.check()
        for error in errors:
            if error is not None:
                raise error
        return [task.result() for task in tasks]
