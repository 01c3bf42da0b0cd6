"""What holds for runs on Redis beside the conformance suite: wide broadcasts, large calls, a server without memory."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import pytest
from redis_audit import audit
from servers.postgres import new_namespace
from servers.redis import RedisServer, forget, redis_url

from dispatch.clock import ManualClock
from dispatch.entity import Reply
from dispatch.errors import DuplicateJob, StoreFull
from dispatch.events import Event
from dispatch.ids import EventID, WorkerID
from dispatch.jobs.model import Job, Unique
from dispatch.stores.redis import RedisStore
from dispatch.testing.conformance.flows import new_run, step
from dispatch.workflows.model import FinishRun, NewCheckpoint, Park, Record, RunState, WaitFor, driven_by

WORKER = WorkerID.new()
MANY = 450
"""More than two scripts change."""


@pytest.fixture
async def store() -> AsyncIterator[RedisStore]:
    store = RedisStore(redis_url(), namespace=new_namespace(), clock=ManualClock())
    await store.open()
    yield store
    await store.close()
    audit(redis_url(), store.namespace)
    forget(store.namespace)


@pytest.fixture
def own() -> Iterator[RedisServer]:
    """A server that the test may ruin."""
    server = RedisServer()
    yield server
    server.close()


async def drivers(store: RedisStore, limit: int = MANY) -> list[Job]:
    claimed = await store.jobs.claim(WORKER, queues={"default": limit}, names=["flow@1"], limit=limit, lease=30.0)
    return claimed.jobs


async def parked_on(store: RedisStore, event: str) -> int:
    """Runs that sleep until the event is published."""
    assert all(one.created for one in await store.workflows.create([new_run() for _ in range(MANY)]))
    held = await drivers(store)
    waits = [WaitFor(driven_by(job.id), job.id, job.epoch, "w", (event,)) for job in held]
    assert {answer.reply for answer in await store.workflows.wait(WORKER, waits)} == {Reply.APPLIED}
    parks = [Park(driven_by(job.id), job.id, job.epoch, seen_seq=0) for job in held]
    assert {answer.reply for answer in await store.workflows.park(WORKER, parks)} == {Reply.APPLIED}
    assert await drivers(store) == []
    return len(held)


async def test_a_broadcast_wakes_every_run_that_waits_for_it_however_many_there_are(store: RedisStore) -> None:
    count = await parked_on(store, "paid")
    await store.events.publish(Event("paid"))
    assert len(await drivers(store)) == count == MANY


async def test_claims_go_on_with_a_broadcast_whose_publisher_has_died(store: RedisStore) -> None:
    count = await parked_on(store, "paid")
    await store._client.run("publish", EventID.new(), "paid", "", "", "", "", "p", b"null")
    assert (await store.workflows.count())[RunState.WAITING] == count
    woken: set[str] = set()
    while found := await drivers(store):
        woken |= {job.id for job in found}
    assert len(woken) == count


async def test_a_large_create_is_whole_or_nothing(store: RedisStore) -> None:
    await store.workflows.create([new_run(unique=Unique("k"))])
    runs = [new_run() for _ in range(MANY)]
    with pytest.raises(DuplicateJob):
        await store.workflows.create([*runs, new_run(unique=Unique("k", "raise"))])
    assert sum((await store.workflows.count()).values()) == 1
    assert len(await store.workflows.create(runs)) == MANY
    assert sum((await store.workflows.count()).values()) == MANY + 1


async def test_a_fan_out_to_many_is_recorded_ended_and_forgotten_with_its_parent(store: RedisStore) -> None:
    parent = new_run()
    await store.workflows.create([parent])
    (driver,) = await drivers(store)
    fence = {"run_id": parent.id, "driver": driver.id, "epoch": driver.epoch}
    children = [
        NewCheckpoint(f"c{number}", "child", runs=(new_run(parent=parent.id, step=f"c{number}"),))
        for number in range(MANY)
    ]
    (answer,) = await store.workflows.record(WORKER, [Record(**fence, checkpoints=children)])
    assert [one.position for one in answer.checkpoints] == list(range(1, MANY + 1))
    await store.workflows.finish(WORKER, [FinishRun(**fence, state="failed")])
    counts = await store.workflows.count()
    assert (counts[RunState.COMPENSATING], counts[RunState.FAILED]) == (MANY, 1)
    ends = [FinishRun(driven_by(job.id), job.id, job.epoch, "cancelled") for job in await drivers(store)]
    assert {end.state for end in await store.workflows.finish(WORKER, ends)} == {RunState.CANCELLED}
    store._client._clock.advance(10)  # type: ignore[union-attr]
    ages = {"completed": 5.0, "failed": 5.0, "cancelled": 5.0}
    assert await store.workflows.prune(**ages, limit=1000, dry_run=True) == MANY + 1
    assert await store.workflows.prune(**ages, limit=MANY) == MANY
    assert await store.workflows.prune(**ages, limit=1000) == 1


async def test_a_server_without_memory_starts_no_run_and_lets_those_that_run_go_on(own: RedisServer) -> None:
    store = RedisStore(own.url, namespace=new_namespace())
    await store.open()
    await store.workflows.create([new_run() for _ in range(3)])
    one, two, three = await drivers(store)
    own.admin.config_set("maxmemory", 1)
    with pytest.raises(StoreFull, match="maxmemory"):
        await store.workflows.create([new_run()])
    said = Record(driven_by(one.id), one.id, one.epoch, [step()])
    assert [answer.reply for answer in await store.workflows.record(WORKER, [said])] == [Reply.APPLIED]
    park = Park(driven_by(two.id), two.id, two.epoch, seen_seq=0)
    assert [answer.reply for answer in await store.workflows.park(WORKER, [park])] == [Reply.APPLIED]
    wait = WaitFor(driven_by(three.id), three.id, three.epoch, "w", ("paid",))
    assert [answer.reply for answer in await store.workflows.wait(WORKER, [wait])] == [Reply.APPLIED]
    end = FinishRun(driven_by(one.id), one.id, one.epoch, "completed", result=b"1")
    assert [answer.reply for answer in await store.workflows.finish(WORKER, [end])] == [Reply.APPLIED]
    own.admin.config_set("maxmemory", 0)
    await store.close()
    audit(own.url, store.namespace)
