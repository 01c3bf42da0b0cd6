"""Every gate on every store: closed, the explanation says so and a claim takes nothing; open, the claim takes it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

import pytest

from dispatch import Dispatch
from dispatch.clock import ManualClock
from dispatch.cluster.model import NewWorker
from dispatch.config import Config
from dispatch.ids import JobID, WorkerID
from dispatch.jobs.model import Job, JobState, ListOptions, NewJob, Transition, Unique, Verdict
from dispatch.queues import QueueConfig
from dispatch.registry import Registry
from dispatch.scope import Scope
from dispatch.services.explain import Explanation
from dispatch.services.gates import GATES
from dispatch.store import Store
from dispatch.stores.memory import MemoryStore
from dispatch.stores.sqlite import SQLiteStore

ACME = Scope("acme", "eu")
LEASE = 30.0


@dataclass
class World:
    """A store, a live worker that serves queue `mails` and knows `send`, and the job that is explained."""

    app: Dispatch
    clock: ManualClock
    worker: WorkerID = field(default_factory=WorkerID.new)
    job: JobID = field(default_factory=JobID.new)
    held: list[Job] = field(default_factory=list)

    @property
    def store(self) -> Store:
        return self.app.store

    async def register(self, *names: str, queues: tuple[str, ...] = ("mails",)) -> None:
        self.worker = WorkerID.new()
        await self.store.cluster.register(NewWorker(self.worker, "here", 1, queues, names, 9, LEASE))

    async def add(self, **options: object) -> JobID:
        new = NewJob(JobID.new(), "send", b"{}", queue="mails", **options)  # type: ignore[arg-type]
        await self.store.jobs.enqueue([new])
        return new.id

    async def wait(self, **options: object) -> None:
        """Enqueues the job that is explained."""
        self.job = await self.add(**options)

    async def claim(self, *, alone: bool = False) -> list[JobID]:
        """What all live workers take together, each as many as it has free slots."""
        taken: list[Job] = []
        for worker in await self.store.cluster.list(live=True):
            free = worker.concurrency - worker.running
            if free <= 0:
                continue
            queues = dict.fromkeys(worker.queues, free)
            found = await self.store.jobs.claim(
                worker.id, queues=queues, names=worker.names, limit=free, lease=LEASE, alone=alone
            )
            taken += found.jobs
        self.held += taken
        return [job.id for job in taken]

    async def end(self, job: Job) -> None:
        await self.store.jobs.finish(self.worker, [Transition(job.id, job.epoch, Verdict.COMPLETE)])

    async def crash(self) -> None:
        """The worker is lost with what it runs; another one of its kind steals it."""
        self.clock.advance(LEASE + 1)
        await self.register("send")
        await self.store.jobs.steal(limit=9, max_crashes=9, delays=[0.0])


Step = Callable[[World], Awaitable[object]]


@dataclass(frozen=True)
class Scenario:
    """How one gate comes to be closed, what is said then, and how it opens."""

    close: Step
    said: str
    open: Step
    alone: bool = False
    """The claim that takes it once it is open asks for a job to run alone."""


async def close_unique(world: World) -> None:
    key = Unique("k", on_conflict="replace")
    await world.add(unique=key)
    await world.claim()
    await world.add(unique=key)
    found = await world.store.jobs.list(ListOptions(states=(JobState.PENDING,)))
    world.job = found.items[0].id


async def close_expiry(world: World) -> None:
    await world.wait(expires_in=60.0)
    world.clock.advance(61)
    await world.store.cluster.beat(world.worker, running=0)
    await world.register("send")


async def close_served(world: World) -> None:
    await world.store.cluster.retire(world.worker)
    await world.register("receive")
    await world.wait()


async def close_slots(world: World) -> None:
    for _ in range(9):
        await world.add()
    await world.claim()
    await world.store.cluster.beat(world.worker, running=9)
    world.clock.advance(2)
    await world.wait()


async def open_slots(world: World) -> None:
    await world.end(world.held[0])
    await world.store.cluster.beat(world.worker, running=8)


async def close_quarantine(world: World) -> None:
    await world.wait()
    for _ in range(2):
        await world.claim()
        await world.crash()


async def close_limit(world: World) -> None:
    await world.store.queues.configure(QueueConfig("mails", max_concurrency=1))
    await world.add()
    await world.claim()
    await world.wait()


async def close_tenant(world: World) -> None:
    await world.store.queues.configure(QueueConfig("mails", tenant_concurrency=1))
    await world.add(scope=ACME)
    await world.claim()
    await world.wait(scope=ACME)


async def close_concurrency(world: World) -> None:
    await world.add(concurrency_key="acme", concurrency_max=1)
    await world.claim()
    await world.wait(concurrency_key="acme", concurrency_max=1)


async def close_rate(world: World) -> None:
    await world.store.queues.configure(QueueConfig("mails", rate_limit=0.5, rate_burst=1))
    await world.add()
    await world.claim()
    await world.wait()


async def close_pause(world: World) -> None:
    await world.wait()
    await world.store.queues.pause("mails", by="ada", reason="deploy", duration=20)


async def end_the_first(world: World) -> None:
    await world.end(world.held[0])


async def pass_time(world: World) -> None:
    world.clock.advance(20)


SCENARIOS = {
    "unique": Scenario(close_unique, "which holds the same unique key and is not over", end_the_first),
    "expiry": Scenario(
        close_expiry, "expired 1.0 s ago without a start", lambda world: world.store.jobs.retry(world.job)
    ),
    "due": Scenario(lambda world: world.wait(delay=20.0), "not due: scheduled, due in 20.0 s", pass_time),
    "pause": Scenario(close_pause, "is paused by ada (deploy) for another 20.0 s", pass_time),
    "served": Scenario(close_served, "no live worker announces 'send'", lambda world: world.register("send")),
    "slots": Scenario(close_slots, "all 9 slots of the 1 worker that serves it are busy (beat 2.0 s ago)", open_slots),
    "quarantine": Scenario(close_quarantine, "lost 2 workers, so it runs alone", pass_time, alone=True),
    "limit": Scenario(close_limit, "limit 1/1 of queue 'mails' is held by job_", end_the_first),
    "tenant": Scenario(close_tenant, "tenant 'acme/eu' runs 1/1 of its jobs in 'mails'", end_the_first),
    "concurrency": Scenario(close_concurrency, "blocked by key 'acme', 1/1 held by job_", end_the_first),
    "rate": Scenario(close_rate, "the rate of 0.5/s of queue 'mails' is used up; it refills in 2.0 s", pass_time),
}


@pytest.fixture(params=["memory", "sqlite"])
async def world(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[World]:
    clock = ManualClock()
    store: Store = (
        MemoryStore(clock=clock) if request.param == "memory" else SQLiteStore(tmp_path / "d.db", clock=clock)
    )
    async with Dispatch(store, config=Config(), registry=Registry()) as app:
        found = World(app, clock)
        await found.register("send")
        yield found


def test_every_gate_has_a_scenario() -> None:
    assert [gate.__name__ for gate in GATES] == list(SCENARIOS)


@pytest.mark.parametrize("name", SCENARIOS)
async def test_a_closed_gate_is_explained_and_holds_back_the_claim_until_it_opens(name: str, world: World) -> None:
    scenario = SCENARIOS[name]
    await scenario.close(world)
    told = await world.app.jobs.explain(world.job)
    assert closed(told) == [name]
    assert scenario.said in told.summary
    assert world.job not in await world.claim()
    await scenario.open(world)
    told = await world.app.jobs.explain(world.job)
    assert closed(told) == ([name] if scenario.alone else [])
    assert world.job in await world.claim(alone=scenario.alone)


async def test_a_job_behind_others_is_ready_and_its_place_is_told(world: World) -> None:
    for _ in range(3):
        await world.add(priority=5)
    await world.wait()
    told = await world.app.jobs.explain(world.job)
    assert (closed(told), told.ahead) == ([], 3)
    assert told.summary == "ready; 3 jobs stand before it in queue 'mails'"


async def test_a_job_set_aside_says_so_until_a_worker_that_knows_it_starts(world: World) -> None:
    await close_served(world)
    world.clock.advance(1)
    assert await world.store.jobs.set_aside(due_for=0.5, limit=9) == 1
    told = await world.app.jobs.explain(world.job)
    assert closed(told) == ["served"]
    assert told.summary.endswith("(set aside until then)")
    await world.register("send")
    assert closed(await world.app.jobs.explain(world.job)) == []
    assert await world.claim() == [world.job]


async def test_an_explanation_goes_by_the_stores_clock(world: World) -> None:
    world.clock.advance(timedelta(days=400))
    await world.register("send")
    await world.wait(delay=60.0)
    assert "due in 1.0 min" in (await world.app.jobs.explain(world.job)).summary


def closed(told: Explanation) -> list[str]:
    return [gate.name for gate in told.gates if not gate.open]
