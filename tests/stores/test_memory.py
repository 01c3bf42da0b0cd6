"""What is special about the memory store: siblings on other threads, waiters on other loops, copies, indexes."""

from __future__ import annotations

import asyncio
import sys
import threading
from collections.abc import AsyncIterator, Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest

from dispatch.clock import ManualClock
from dispatch.cluster import Announcement, NewWorker
from dispatch.entity import Reply
from dispatch.errors import DataRejected, StoreUnreachable
from dispatch.events import Event
from dispatch.ids import JobID, WorkerID
from dispatch.jobs.model import Failure, JobState, ListOptions, NewJob, Transition, Unique, Verdict
from dispatch.queues import QueueConfig
from dispatch.scope import Scope
from dispatch.store import Store
from dispatch.stores.memory import MemoryStore
from dispatch.streams import StreamEntry
from dispatch.testing.conformance import Env
from dispatch.testing.conformance.flows import begin, drive
from dispatch.workflows.model import NewCheckpoint, RunState

DEADLINE = 10.0
WORKER = WorkerID.new()


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
async def store(clock: ManualClock) -> AsyncIterator[MemoryStore]:
    store = MemoryStore(clock=clock)
    await store.open()
    yield store
    await store.close()


def new(name: str = "work", **options: object) -> NewJob:
    return NewJob(id=JobID.new(), name=name, payload=b"{}", **options)  # type: ignore[arg-type]


async def claim(store: Store, limit: int, *, worker: WorkerID = WORKER, name: str = "work") -> list[JobID]:
    claimed = await store.jobs.claim(worker, queues={"default": limit}, names={name}, limit=limit, lease=30)
    return [job.id for job in claimed.jobs]


def on_a_thread_of_its_own(store: MemoryStore, verb: Callable[[MemoryStore], Awaitable[list[JobID]]]) -> list[JobID]:
    async def body() -> list[JobID]:
        sibling = store.sibling()
        await sibling.open()
        try:
            return await verb(sibling)
        finally:
            await sibling.close()

    return asyncio.run(body())


async def test_claims_from_four_threads_give_disjoint_rows(store: MemoryStore) -> None:
    given = [new() for _ in range(4000)]
    await store.jobs.enqueue(given)
    barrier = threading.Barrier(4)

    async def drain(sibling: MemoryStore) -> list[JobID]:
        worker = WorkerID.new()
        barrier.wait(DEADLINE)
        taken: list[JobID] = []
        while ids := await claim(sibling, 7, worker=worker):
            taken += ids
        return taken

    loop = asyncio.get_running_loop()
    with ThreadPoolExecutor(4) as pool:
        parts = await asyncio.gather(
            *(loop.run_in_executor(pool, on_a_thread_of_its_own, store, drain) for _ in range(4))
        )
    taken = [job_id for part in parts for job_id in part]
    assert len(taken) == len(given)
    assert set(taken) == {job.id for job in given}


async def test_threads_that_race_for_one_unique_key_make_one_job(store: MemoryStore) -> None:
    barrier = threading.Barrier(4)

    async def enqueue(sibling: MemoryStore) -> list[JobID]:
        barrier.wait(DEADLINE)
        return [(await sibling.jobs.enqueue([new(unique=Unique(f"k{i}"))]))[0].id for i in range(200)]

    loop = asyncio.get_running_loop()
    with ThreadPoolExecutor(4) as pool:
        answers = await asyncio.gather(
            *(loop.run_in_executor(pool, on_a_thread_of_its_own, store, enqueue) for _ in range(4))
        )
    assert all(answer == answers[0] for answer in answers)
    assert (await store.queues.get("default")).pending == 200


async def test_a_write_wakes_waiters_on_two_loops(store: MemoryStore) -> None:
    waiting = threading.Event()
    seen = store.wakeups.version

    async def wait_there(sibling: MemoryStore) -> list[JobID]:
        asyncio.get_running_loop().call_soon(waiting.set)
        await sibling.wakeups.wait(seen, DEADLINE)
        return await claim(sibling, 1)

    loop = asyncio.get_running_loop()
    with ThreadPoolExecutor(1) as pool:
        there = loop.run_in_executor(pool, on_a_thread_of_its_own, store, wait_there)
        here = asyncio.create_task(store.wakeups.wait(seen, DEADLINE))
        assert await loop.run_in_executor(None, waiting.wait, DEADLINE)
        (answer,) = await store.jobs.enqueue([new()])
        async with asyncio.timeout(DEADLINE / 2):
            assert await here > seen
            assert await there == [answer.id]


async def test_a_wait_that_times_out_or_is_cancelled_leaves_nothing_behind(store: MemoryStore) -> None:
    waiters = store._session.data.signal.waiters
    seen = store.wakeups.version
    assert await store.wakeups.wait(seen, 0.0) == seen
    task = asyncio.create_task(store.wakeups.wait(seen, DEADLINE))
    async with asyncio.timeout(DEADLINE):
        while not waiters:
            await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert not store._session.data.signal.waiters


async def test_a_wait_for_an_old_version_returns_at_once(store: MemoryStore) -> None:
    seen = store.wakeups.version
    await store.jobs.enqueue([new()])
    async with asyncio.timeout(DEADLINE / 2):
        assert await store.wakeups.wait(seen, DEADLINE) == store.wakeups.version


async def test_a_waiter_whose_loop_is_gone_harms_nobody(store: MemoryStore) -> None:
    def abandon() -> None:
        loop = asyncio.new_event_loop()
        sibling = store.sibling()
        loop.run_until_complete(sibling.open())

        async def join() -> None:
            store._session.data.signal.join(store.wakeups.version)

        loop.run_until_complete(join())
        loop.close()

    await asyncio.to_thread(abandon)
    await store.jobs.enqueue([new()])
    assert len(await claim(store, 1)) == 1


async def test_what_a_caller_does_to_an_answer_changes_nothing_stored(store: MemoryStore) -> None:
    metadata = {"deep": {"list": [1]}}
    (answer,) = await store.jobs.enqueue([new(metadata=metadata, backoff={"kind": "constant", "interval": 1.0})])
    metadata["deep"]["list"].append(2)
    claimed = (await store.jobs.claim(WORKER, queues={"default": 1}, names=["work"], limit=1, lease=30)).jobs[0]
    for job in (claimed, await store.jobs.get(answer.id), (await store.jobs.list(ListOptions())).items[0]):
        assert job is not None
        job.state = JobState.FAILED
        job.metadata["deep"]["list"].append(3)
        assert job.backoff is not None
        job.backoff["interval"] = 9
    stored = await store.jobs.get(answer.id)
    assert stored is not None
    assert (stored.state, stored.metadata) == (JobState.RUNNING, {"deep": {"list": [1]}})
    assert stored.backoff == {"kind": "constant", "interval": 1.0}


async def test_dead_letters_workers_and_definitions_are_copies_too(store: MemoryStore) -> None:
    await store.jobs.enqueue([new(metadata={"a": [1]})])
    job = (await store.jobs.claim(WORKER, queues={"default": 1}, names=["work"], limit=1, lease=30)).jobs[0]
    (done,) = await store.jobs.finish(
        WORKER, [Transition(job.id, job.epoch, Verdict.FAIL, failure=Failure("E", "m"), dead_letter=True)]
    )
    assert done.dead_letter is not None
    await store.cluster.register(NewWorker(WORKER, "host", 1, ("default",), ("work",), 1, 30.0, labels={"a": "b"}))
    await store.cluster.announce([Announcement("work", "job", schema={"type": "object"})])
    for _ in range(2):
        letter = await store.dlq.get(done.dead_letter)
        worker = await store.cluster.get(WORKER)
        definition = await store.cluster.definition("work")
        assert letter is not None and worker is not None and definition is not None
        assert (letter.metadata, worker.labels, definition.schema) == ({"a": [1]}, {"a": "b"}, {"type": "object"})
        letter.metadata["a"].append(2)
        worker.labels["a"] = "c"
        definition.schema["type"] = "array"


@pytest.mark.parametrize(
    "bad",
    [
        new(metadata={"x": object()}),
        new(metadata={"x": float("nan")}),
        new(delay=1e300),
        new(expires_in=float("nan")),
        new(tags=("\ud800",)),
        NewJob(JobID.new(), "work", "text"),  # type: ignore[arg-type]
    ],
)
async def test_an_enqueue_with_one_bad_row_stores_none(store: MemoryStore, bad: NewJob) -> None:
    version = store.wakeups.version
    with pytest.raises(DataRejected, match=bad.id):
        await store.jobs.enqueue([new(), new(unique=Unique("k")), bad])
    assert (await store.queues.get("default")).pending == 0
    assert (await store.jobs.enqueue([new(unique=Unique("k"))]))[0].created
    assert store.wakeups.version == version + 1


async def test_a_finish_with_one_bad_row_ends_no_claim(store: MemoryStore) -> None:
    await store.jobs.enqueue([new(), new(), new()])
    jobs = (await store.jobs.claim(WORKER, queues={"default": 9}, names=["work"], limit=9, lease=30)).jobs
    good = [Transition(job.id, job.epoch, Verdict.COMPLETE, result=b"1") for job in jobs[:2]]
    last = jobs[2]
    for bad in (
        Transition(last.id, last.epoch, Verdict.COMPLETE, result="text"),  # type: ignore[arg-type]
        Transition(last.id, last.epoch, Verdict.RETRY, failure=Failure("E", "\udcff")),
        Transition(last.id, last.epoch, Verdict.SNOOZE, delay=float("inf")),
        Transition(last.id, last.epoch, Verdict.COMPLETE, then=(new(metadata={"x": object()}),)),
    ):
        with pytest.raises(DataRejected):
            await store.jobs.finish(WORKER, [*good, bad])
    assert (await store.queues.get("default")).running == 3


async def test_a_store_that_is_not_open_refuses_every_part(clock: ManualClock) -> None:
    store = MemoryStore(clock=clock)
    with pytest.raises(StoreUnreachable, match="open"):
        await store.ping()
    await store.open()
    sibling = store.sibling()
    with pytest.raises(StoreUnreachable):
        await sibling.jobs.enqueue([new()])
    await store.jobs.enqueue([new()])
    await store.close()
    await store.close()
    verbs: list[Callable[[], Awaitable[object]]] = [
        lambda: store.jobs.enqueue([new()]),
        lambda: store.queues.list(),
        lambda: store.dlq.groups(),
        lambda: store.events.prune(older_than=0),
        lambda: store.cluster.list(),
        lambda: store.records.get("a", "b"),
        lambda: store.stream.append([StreamEntry("jobs", "1", "t", b"{}")]),
        lambda: store.wakeups.wait(0, 0.0),
        store.migrate,
        store.schema,
    ]
    for verb in verbs:
        with pytest.raises(StoreUnreachable):
            await verb()
    await sibling.open()
    assert len(await claim(sibling, 5)) == 1, "closing one facade must not touch the data of the others"
    await sibling.close()


async def test_closing_wakes_who_waits(store: MemoryStore) -> None:
    seen = store.wakeups.version
    task = asyncio.create_task(store.wakeups.wait(seen, DEADLINE))
    async with asyncio.timeout(DEADLINE / 2):
        while not store._session.data.signal.waiters:
            await asyncio.sleep(0)
        await store.close()
        assert await task > seen


async def test_a_claim_does_not_walk_what_it_cannot_take(store: MemoryStore, clock: ManualClock) -> None:
    future = clock.now() + timedelta(days=1)
    await store.jobs.enqueue([new() for _ in range(200)])

    async def calls() -> int:
        count = 0

        def note(*_: object) -> None:
            nonlocal count
            count += 1

        sys.setprofile(note)
        try:
            jobs = await store.jobs.claim(WORKER, queues={"default": 50}, names=["work"], limit=50, lease=30)
        finally:
            sys.setprofile(None)
        assert len(jobs.jobs) == 50
        await store.jobs.release(WORKER, [(job.id, job.epoch) for job in jobs.jobs])
        return count

    alone = await calls()
    await store.jobs.enqueue([new(priority=9, run_at=future) for _ in range(5_000)])
    await store.jobs.enqueue([new(f"unknown{i % 50}", priority=9) for i in range(5_000)])
    await store.jobs.enqueue([new(f"unknown{i % 50}", priority=9, lane=f"lane{i}") for i in range(1_000)])
    assert await calls() < 1.2 * alone, "the claim looked at rows that it cannot take"


async def test_cancelled_rows_do_not_pile_up_in_the_ready_index(store: MemoryStore, clock: ManualClock) -> None:
    future = clock.now() + timedelta(days=1)
    for _ in range(20):
        answers = await store.jobs.enqueue([new(run_at=future) for _ in range(100)])
        for answer in answers:
            await store.jobs.cancel(answer.id)
    heap = store._session.data.queues["default"].ready.scheduled["work"]
    assert heap.live == 0
    assert len(heap.entries) < 200


async def test_a_tenant_limit_holds_for_jobs_that_came_before_it(store: MemoryStore) -> None:
    a, b = Scope("shop", "a"), Scope("shop", "b")
    await store.jobs.enqueue([*(new(scope=a, priority=1) for _ in range(4)), new(scope=b), new(), new()])
    await store.queues.configure(QueueConfig("default", tenant_concurrency=1))
    await store.jobs.enqueue([new(scope=b)])
    claimed = await store.jobs.claim(WORKER, queues={"default": 9}, names=["work"], limit=9, lease=30)
    assert sorted(job.scope for job in claimed.jobs) == [Scope(), Scope(), a, b]


async def test_a_row_stays_out_when_the_clock_is_set_back(store: MemoryStore, clock: ManualClock) -> None:
    await store.jobs.enqueue([new()])
    clock.advance(-3600)
    claimed = await store.jobs.claim(WORKER, queues={"default": 1}, names=["work"], limit=1, lease=30)
    assert claimed.jobs == []
    assert claimed.next_due == clock.now() + timedelta(hours=1)
    clock.advance(3600)
    assert len(await claim(store, 1)) == 1


async def test_a_run_is_created_driven_parked_woken_and_finished(clock: ManualClock) -> None:
    store = MemoryStore(clock=clock)
    await store.open()
    env = Env(store, clock)
    held = await begin(env)
    assert (await held.wait("paid", timeout=60)).event is None
    assert await held.park() is Reply.APPLIED
    event = await store.events.publish(Event("paid"))
    held = await drive(env, held.id)
    assert (await held.wait("paid", timeout=60)).event == event
    assert len((await held.record(NewCheckpoint("paid", "wait", event_id=event.id))).checkpoints) == 1
    assert (await held.finish(result=b"1")).state is RunState.COMPLETED
