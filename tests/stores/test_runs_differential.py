"""Runs on memory and on another store: the same random acts are answered alike and leave the same runs behind."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path
from random import Random
from typing import Any

import pytest
from store_kinds import audited, maker
from twins import _first_difference

from dispatch.clock import ManualClock
from dispatch.entity import LARGEST_PAGE, Page
from dispatch.errors import DispatchError
from dispatch.events import Event
from dispatch.events import ListOptions as EventOptions
from dispatch.ids import DLQID, CheckpointID, EventID, JobID, RunID, WorkerID
from dispatch.jobs.model import Failure, Job, NewJob, Stolen, Transition, Unique, Verdict
from dispatch.store import Store
from dispatch.stores.memory import MemoryStore
from dispatch.testing.conformance.env import all_jobs
from dispatch.testing.conformance.flows import new_run
from dispatch.workflows.model import (
    Checkpoint,
    FinishRun,
    Group,
    ListOptions,
    NewCheckpoint,
    Park,
    Record,
    RunFinished,
    RunState,
    WaitFor,
)

ACTS = 250
NAMES = ("flow@1", "flow@2", "child@1", "task")
EVENTS = ("paid", "sent")
BOOM = Failure("builtins.ValueError", "boom")


def plain(answer: Any) -> Any:
    """The answer without the ids that a store makes up itself."""
    if isinstance(answer, Checkpoint):
        return replace(answer, id=CheckpointID("chk"))
    if isinstance(answer, RunFinished | Stolen):
        return plain_letter(answer)
    if isinstance(answer, Page):
        return [plain(item) for item in answer.items]
    if isinstance(answer, list | tuple):
        return [plain(item) for item in answer]
    if isinstance(answer, dict):
        return {key: plain(value) for key, value in answer.items()}
    if hasattr(answer, "checkpoints"):
        return replace(answer, checkpoints=plain(answer.checkpoints))
    if getattr(answer, "checkpoint", None) is not None:
        return replace(answer, checkpoint=plain(answer.checkpoint))
    if getattr(answer, "dead_letter", None) is not None:
        return plain_letter(answer)
    return answer


def plain_letter(answer: Any) -> Any:
    return replace(answer, dead_letter=None if answer.dead_letter is None else DLQID("dlq"))


@dataclass
class Pair:
    """Two stores on one clock, to which everything is done at once."""

    stores: tuple[Store, Store]
    clock: ManualClock
    random: Random
    done: list[str] = field(default_factory=list)

    async def both(self, what: str, act: Callable[[Store], Any]) -> Any:
        """Does it to both and answers what both said, which must be the same."""
        answers = []
        for store in self.stores:
            try:
                answers.append(plain(await act(store)))
            except DispatchError as error:
                answers.append(type(error))
        self.done.append(what)
        assert answers[0] == answers[1], "\n".join([*self.done[-12:], _first_difference(*answers)])
        return answers[0]


@dataclass
class World:
    """What the acts can choose from."""

    pair: Pair
    runs: list[RunID] = field(default_factory=list)
    held: list[Job] = field(default_factory=list)
    old: list[Job] = field(default_factory=list)
    count: int = 0

    def driver(self) -> Job | None:
        drivers = [job for job in self.held + self.old[-5:] if job.kind == "workflow"]
        return self.pair.random.choice(drivers) if drivers else None

    def name(self) -> str:
        return f"s{self.pair.random.randrange(6)}"

    def drop(self, job: Job) -> None:
        self.held = [held for held in self.held if held.id != job.id]
        self.old.append(job)


async def create(world: World) -> None:
    random = world.pair.random
    unique = Unique(f"u{random.randrange(2)}", random.choice(["return", "raise", "replace"]))
    keyed = random.random() < 0.4
    new = new_run(
        unique=unique if random.random() < 0.3 else None,
        expires_in=random.choice([None, None, 20.0]),
        priority=random.randrange(2),
        concurrency_key="@k" if keyed else None,
        concurrency_max=random.randrange(1, 3) if keyed else None,
    )
    world.runs.append(new.id)
    await world.pair.both(f"create {new.id}", lambda store: store.workflows.create([new]))


async def claim(world: World) -> None:
    worker = WorkerID(f"wkr_{world.pair.random.randrange(2)}")
    found = await world.pair.both(
        "claim",
        lambda store: _claimed(store, worker),
    )
    world.held += found


async def _claimed(store: Store, worker: WorkerID) -> list[Job]:
    return (await store.jobs.claim(worker, queues={"default": 9}, names=NAMES, limit=3, lease=30, alone=True)).jobs


async def record(world: World) -> None:
    job, random = world.driver(), world.pair.random
    if job is None or job.run_id is None or job.worker_id is None:
        return
    name, worker = world.name(), job.worker_id
    brought: dict[str, Any] = {}
    if random.random() < 0.5:
        if random.random() < 0.5:
            brought["jobs"] = (NewJob(JobID.new(), "task", b"1", run_id=job.run_id, step=name),)
        else:
            options = {"awaited": random.random() < 0.7, "abandon": random.random() < 0.3}
            child = new_run("child", parent=job.run_id, step=name, **options)
            brought["runs"] = (child,)
            world.runs.append(child.id)
    events = [None, *(event.id for event in (await _events(world)))]
    new = NewCheckpoint(name, "child" if brought else "step", b"7", event_id=random.choice(events), **brought)
    said = Record(job.run_id, job.id, job.epoch, [new, NewCheckpoint(world.name(), "value")])
    await world.pair.both(f"record {name} of {job.run_id}", lambda store: store.workflows.record(worker, [said]))


async def _events(world: World) -> list[Event]:
    return (await world.pair.stores[0].events.list(EventOptions(limit=5))).items


async def wait(world: World) -> None:
    job, random = world.driver(), world.pair.random
    if job is None or job.run_id is None or job.worker_id is None:
        return
    worker = job.worker_id
    asked = WaitFor(
        job.run_id,
        job.id,
        job.epoch,
        world.name(),
        tuple(random.sample(EVENTS, random.choice([1, 2]))),
        key=random.choice([None, "k"]),
        timeout=random.choice([None, 5.0, 50.0]),
    )
    await world.pair.both(f"wait {asked}", lambda store: store.workflows.wait(worker, [asked]))


async def park(world: World) -> None:
    job, random = world.driver(), world.pair.random
    if job is None or job.run_id is None or job.worker_id is None:
        return
    worker = job.worker_id
    run = await world.pair.stores[0].workflows.get(job.run_id)
    seen = (run.wake_seq if run else 0) - (random.random() < 0.2)
    groups = tuple(
        Group(tuple(f"s{n}" for n in random.sample(range(6), 2)), random.choice(["any", "all", "all_or_failure"]))
        for _ in range(random.randrange(3))
    )
    until = random.choice([None, world.pair.clock.now() + timedelta(seconds=random.randrange(60))])
    said = Park(job.run_id, job.id, job.epoch, seen, until, groups)
    (answer,) = await world.pair.both(f"park {said}", lambda store: store.workflows.park(worker, [said]))
    if answer.reply == "applied":
        world.drop(job)


async def leave(world: World) -> None:
    random = world.pair.random
    if not world.held:
        return
    job = random.choice(world.held)
    verdict = random.choice(list(Verdict))
    failure = BOOM if random.random() < 0.5 else None
    said = Transition(job.id, job.epoch, verdict, b"1" if verdict is Verdict.COMPLETE else None, 3.0, failure, True)
    (answer,) = await world.pair.both(
        f"leave {job.id} {verdict}", lambda store: store.jobs.finish(job.worker_id or WorkerID(""), [said])
    )
    if answer.reply != "conflict":
        world.drop(job)


async def end(world: World) -> None:
    job, random = world.driver(), world.pair.random
    if job is None or job.run_id is None or job.worker_id is None:
        return
    worker = job.worker_id
    said = FinishRun(
        job.run_id,
        job.id,
        job.epoch,
        random.choice(["completed", "failed", "cancelled"]),
        b"[1]",
        failure=random.choice([None, BOOM]),
        reason=random.choice([None, "why"]),
        compensation_failed=random.random() < 0.2,
    )
    (answer,) = await world.pair.both(f"end {said}", lambda store: store.workflows.finish(worker, [said]))
    if answer.reply == "applied":
        world.drop(job)


async def say(world: World) -> None:
    job, random = world.driver(), world.pair.random
    if job is None or job.worker_id is None:
        return
    worker = job.worker_id
    match random.randrange(3):
        case 0:
            failure = random.choice([None, BOOM])
            await world.pair.both(
                f"compensate {job.run_id}",
                lambda store: store.workflows.compensate(worker, job.id, job.epoch, failure=failure, reason="failed"),
            )
        case 1:
            await world.pair.both(
                f"undoing {job.run_id}", lambda store: store.workflows.undoing(worker, job.id, job.epoch)
            )
        case _:
            await world.pair.both(
                f"block {job.run_id}", lambda store: store.workflows.block(worker, job.id, job.epoch, reason="code")
            )


async def change(world: World) -> None:
    random = world.pair.random
    if not world.runs:
        return
    run_id, fork = random.choice(world.runs), new_run()
    before, version = world.name(), random.choice([1, 2])
    acts: list[tuple[str, Callable[[Store], Any]]] = [
        ("cancel", lambda store: store.workflows.cancel(run_id, reason="stop")),
        ("retry", lambda store: store.workflows.retry(run_id)),
        ("migrate", lambda store: store.workflows.migrate(run_id, version=version)),
        ("fork", lambda store: store.workflows.fork(run_id, before=before, run=fork, edits={"s0": b"8"})),
    ]
    name, act = random.choice(acts)
    await world.pair.both(f"{name} {run_id}", act)
    if name == "fork":
        world.runs.append(fork.id)


async def publish(world: World) -> None:
    random = world.pair.random
    run_id = random.choice(world.runs) if world.runs and random.random() < 0.4 else None
    event = Event(random.choice(EVENTS), key=random.choice([None, "k"]), run_id=run_id, id=EventID.new())
    await world.pair.both(f"publish {event}", lambda store: store.events.publish(event))


async def job_verbs(world: World) -> None:
    random = world.pair.random
    jobs = await all_jobs(world.pair.stores[0])
    if not jobs:
        return
    job = random.choice(jobs)
    acts: list[tuple[str, Callable[[Store], Any]]] = [
        ("cancel", lambda store: store.jobs.cancel(job.id)),
        ("retry", lambda store: store.jobs.retry(job.id)),
        ("delete", lambda store: store.jobs.delete(job.id)),
    ]
    name, act = random.choice(acts)
    await world.pair.both(f"jobs.{name} {job.id}", act)


async def time(world: World) -> None:
    random = world.pair.random
    world.pair.clock.advance(random.choice([1, 5, 20]))
    if random.random() < 0.4:
        await world.pair.both("steal", lambda store: store.jobs.steal(limit=3, max_crashes=1, delays=(2.0,)))
    if random.random() < 0.1:
        old = {"completed": 30.0, "failed": 30.0, "cancelled": 30.0, "limit": 500}
        await world.pair.both("prune runs", lambda store: store.workflows.prune(**old))
        await world.pair.both("prune jobs", lambda store: store.jobs.prune(**old))
        await world.pair.both("prune events", lambda store: store.events.prune(older_than=100, limit=2))


WAYS = (create, claim, claim, record, record, wait, park, park, leave, end, say, change, publish, job_verbs, time)


async def compared(world: World) -> None:
    """Everything that can be read of runs is the same in both."""

    async def whole(store: Store) -> Any:
        runs = (await store.workflows.list(ListOptions(limit=LARGEST_PAGE))).items
        return {
            "jobs": await all_jobs(store),
            "runs": [await store.workflows.get(run.id) for run in runs],
            "listed": [
                [r.id for r in (await store.workflows.list(ListOptions(states=[state]))).items] for state in RunState
            ],
            "count": await store.workflows.count(),
            "events": (await store.events.list(EventOptions(limit=LARGEST_PAGE))).items,
            **{run.id: plain(await store.workflows.timeline(run.id)) for run in runs},
            "waits": [await store.workflows.waits(run.id) for run in runs],
            "children": [await store.workflows.children(run.id) for run in runs],
            "load": await store.workflows.load([run.driver for run in runs]),
            "attempts": [await store.jobs.attempts(run.driver) for run in runs],
        }

    await world.pair.both("compare", whole)


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("kind", ["sqlite", "redis"])
async def test_random_acts_are_answered_alike(kind: str, seed: int, tmp_path: Path) -> None:
    clock = ManualClock()
    stores: tuple[Store, Store] = (MemoryStore(clock=clock), maker(kind, tmp_path)(clock))
    world = World(Pair(stores, clock, Random(seed)))
    for store in stores:
        await store.open()
    for number in range(ACTS):
        await world.pair.random.choice(WAYS)(world)
        if number % 10 == 0:
            await compared(world)
    await compared(world)
    states = [run.state for run in (await stores[0].workflows.list(ListOptions(limit=LARGEST_PAGE))).items]
    assert len(set(states)) >= 3, "the acts lead nowhere"
    audited(stores[1])
    for store in stores:
        await store.close()
