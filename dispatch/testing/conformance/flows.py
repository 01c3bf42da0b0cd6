"""Short words for cases about runs: make one, claim its driver, and speak in the driver's name."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from dispatch.entity import Reply
from dispatch.ids import JobID, RunID, WorkerID
from dispatch.jobs.model import Finished, Job, NewJob, Transition, Verdict
from dispatch.store import Store
from dispatch.testing.conformance.env import Env, new
from dispatch.workflows.model import (
    Activation,
    Checkpoint,
    ChildResult,
    FinishRun,
    Group,
    NewCheckpoint,
    NewRun,
    Park,
    Record,
    Recorded,
    Run,
    RunFinished,
    RunState,
    Waited,
    WaitFor,
    driver_id,
    driver_name,
)


def new_run(name: str = "flow", version: int = 1, payload: bytes = b"{}", **options: Any) -> NewRun:
    """A run to make; `parent`, `step`, `awaited`, `abandon` are its own, the other options are its driver's."""
    run_id = options.pop("id", None) or RunID.new()
    own = {key: options.pop(key) for key in ("parent", "step", "awaited", "abandon") if key in options}
    driver = NewJob(
        id=driver_id(run_id),
        name=driver_name(name, version),
        payload=payload,
        kind="workflow",
        run_id=run_id,
        **options,
    )
    return NewRun(id=run_id, name=name, version=version, driver=driver, **own)


def step(name: str = "charge", data: bytes = b"1", **fields: Any) -> NewCheckpoint:
    """A checkpoint of a step."""
    return NewCheckpoint(name, fields.pop("kind", "step"), data, **fields)


@dataclass
class Driven:
    """A run whose driver some worker has claimed."""

    env: Env
    id: RunID
    driver: Job
    worker: WorkerID
    store: Store

    @property
    def epoch(self) -> int:
        return self.driver.epoch

    @property
    def fence(self) -> dict[str, Any]:
        """The three fields that every request carries."""
        return {"run_id": self.id, "driver": self.driver.id, "epoch": self.driver.epoch}

    async def load(self) -> Activation:
        (found,) = await self.store.workflows.load([self.driver.id])
        return found

    async def record(self, *checkpoints: NewCheckpoint) -> Recorded:
        (answer,) = await self.store.workflows.record(self.worker, [Record(**self.fence, checkpoints=checkpoints)])
        return answer

    async def wait(self, name: str, *events: str, **options: Any) -> Waited:
        asked = WaitFor(**self.fence, name=name, events=events or (name,), **options)
        (answer,) = await self.store.workflows.wait(self.worker, [asked])
        return answer

    async def park(
        self, *groups: Group, seen: int | None = None, until: datetime | None = None, via: Store | None = None
    ) -> Reply:
        """Parks; without `seen` as somebody who has just looked."""
        if seen is None:
            seen = (await self.load()).run.wake_seq
        said = Park(**self.fence, seen_seq=seen, until=until, children=groups)
        (answer,) = await (via or self.store).workflows.park(self.worker, [said])
        return answer.reply

    async def finish(self, state: Any = "completed", *, via: Store | None = None, **fields: Any) -> RunFinished:
        end = FinishRun(**self.fence, state=state, **fields)
        (answer,) = await (via or self.store).workflows.finish(self.worker, [end])
        return answer

    async def leave(self, verdict: Verdict, **fields: Any) -> Finished:
        """Ends the claim as a job's is ended."""
        (answer,) = await self.store.jobs.finish(
            self.worker, [Transition(self.driver.id, self.driver.epoch, verdict, **fields)]
        )
        return answer

    async def compensate(self, reason: str = "failed", **fields: Any) -> Reply:
        fields.setdefault("failure", None)
        return await self.store.workflows.compensate(self.worker, self.driver.id, self.epoch, reason=reason, **fields)

    async def undoing(self) -> Reply:
        return await self.store.workflows.undoing(self.worker, self.driver.id, self.epoch)

    async def block(self, reason: str = "charge is a sleep now") -> Reply:
        return await self.store.workflows.block(self.worker, self.driver.id, self.epoch, reason=reason)

    async def run(self) -> Run:
        return await run_of(self.env, self.id)


async def run_of(env: Env, run_id: RunID) -> Run:
    """The run, which must be there."""
    run = await env.store.workflows.get(run_id)
    assert run is not None, f"{run_id} is not in the store"
    return run


async def made(env: Env, *runs: NewRun) -> list[RunID]:
    """Creates runs, which must be new."""
    answers = await env.store.workflows.create(runs)
    assert [(answer.id, answer.created) for answer in answers] == [(run.id, True) for run in runs]
    return [run.id for run in runs]


async def drive(env: Env, run_id: RunID, *, by: WorkerID | None = None, lease: float = 30.0) -> Driven:
    """Claims the driver of a run, which must be the next one that is due."""
    run = await run_of(env, run_id)
    name = driver_name(run.name, run.version)
    job = await env.take(by=by, names=[name], queues=[run.queue], lease=lease)
    assert job.id == run.driver, f"the claim took {job.id} instead of {run.driver}"
    return Driven(env, run_id, job, by or env.worker, env.store)


async def begin(env: Env, *, by: WorkerID | None = None, lease: float = 30.0, **options: Any) -> Driven:
    """Creates a run and claims its driver."""
    run = options.pop("run", None) or new_run(**options)
    await made(env, run)
    return await drive(env, run.id, by=by, lease=lease)


async def idle(env: Env, *names: str) -> bool:
    """Whether no driver of these names can be claimed now."""
    claimed = await env.store.jobs.claim(
        WorkerID.new(), queues={"default": 100}, names=names or ("flow@1", "child@1"), limit=1, lease=30.0
    )
    return not claimed.jobs


async def with_job(parent: Driven, name: str, **options: Any) -> JobID:
    """Records a checkpoint that brings one job as a child; answers the job."""
    job = new("task", run_id=parent.id, step=name, **options)
    answer = await parent.record(NewCheckpoint(name, "child", jobs=(job,)))
    assert answer.reply is Reply.APPLIED
    return job.id


async def with_run(parent: Driven, name: str, **options: Any) -> RunID:
    """Records a checkpoint that brings one run as a child; answers the run."""
    child = new_run("child", parent=parent.id, step=name, **options)
    answer = await parent.record(NewCheckpoint(name, "child", runs=(child,)))
    assert answer.reply is Reply.APPLIED
    return child.id


async def results(env: Env, run_id: RunID) -> dict[str, ChildResult]:
    """How the children of a run ended, by step."""
    return {result.step: result for result in await env.store.workflows.children(run_id)}


async def journal(env: Env, run_id: RunID) -> Sequence[Checkpoint]:
    """The checkpoints of a run."""
    return await env.store.workflows.timeline(run_id)


async def state(env: Env, run_id: RunID) -> RunState:
    return (await run_of(env, run_id)).state
