"""Workers remove what retention no longer keeps: in small batches, with pauses, as often as need be."""

from __future__ import annotations

import asyncio
import logging
from pathlib import Path
from typing import Any

import pytest

from dispatch.clock import ManualClock
from dispatch.engine.pruner import BETWEEN_BATCHES, INTERVAL, SOON, Pruner
from dispatch.engine.service import Service
from dispatch.engine.settings import Settings
from dispatch.errors import JobNotFound, JobPurged
from dispatch.events import Event
from dispatch.events import ListOptions as EventOptions
from dispatch.ids import JobID
from dispatch.jobs.model import CountOptions, JobState, NewJob
from dispatch.registry import Registry
from dispatch.services.retention import JOBS_AT_ONCE, Retention
from dispatch.stores.memory import MemoryStore
from dispatch.stores.sqlite import SQLiteStore

from .conftest import QUICK, Start
from .facts import eventually


def pruner(store: Any, *, settled: bool = True, **retention: Any) -> Pruner:
    return Pruner(
        store,
        Settings(retention=Retention(**retention)),
        may_prune=lambda: settled,
        on_death=lambda error: None,
        logger=logging.getLogger("test"),
        rng=lambda: 0.5,
    )


async def cancelled(store: Any, count: int) -> list[JobID]:
    ids = [JobID.new() for _ in range(count)]
    await store.jobs.enqueue([NewJob(job_id, "work", b"{}") for job_id in ids])
    for job_id in ids:
        await store.jobs.cancel(job_id)
    return ids


async def left(store: Any) -> int:
    return sum((await store.jobs.count(CountOptions())).values())


@pytest.mark.parametrize("kind", ["memory", "sqlite"])
async def test_rounds_are_small_and_follow_each_other_until_nothing_old_is_left(kind: str, tmp_path: Path) -> None:
    clock = ManualClock()
    store = MemoryStore(clock=clock) if kind == "memory" else SQLiteStore(tmp_path / "jobs.db", clock=clock)
    await store.open()
    await cancelled(store, JOBS_AT_ONCE + 5)
    clock.advance(50)
    young = await cancelled(store, 1)
    clock.advance(50)
    service = pruner(store, cancelled=60)
    assert await service.run_once() == BETWEEN_BATCHES
    assert await left(store) == 6
    assert await service.run_once() == SOON, "a batch that was not full may have been cut short"
    assert await service.run_once() == INTERVAL
    assert await left(store) == 1
    assert await store.jobs.get(young[0]) is not None
    await store.close()


async def test_events_records_and_dead_workers_go_too_and_what_is_kept_for_ever_stays() -> None:
    clock = ManualClock()
    store = MemoryStore(clock=clock)
    await store.open()
    await cancelled(store, 1)
    await store.events.publish(Event("order.paid"))
    await store.records.put("ns", "a", b"1", expires_in=1)
    clock.advance(100 * 86400)
    await pruner(store, cancelled=None, events=None).run_once()
    assert await left(store) == 1
    assert len((await store.events.list(EventOptions())).items) == 1
    assert await store.records.prune(dry_run=True) == 0
    await pruner(store).run_once()
    assert await left(store) == 0
    assert (await store.events.list(EventOptions())).items == []


async def test_nothing_is_removed_while_the_clock_may_be_wrong() -> None:
    store = MemoryStore(clock=(clock := ManualClock()))
    await store.open()
    await cancelled(store, 1)
    clock.advance(365 * 86400)
    assert await pruner(store, settled=False).run_once() == INTERVAL
    assert await left(store) == 1


async def test_intervals_differ_from_worker_to_worker() -> None:
    store = MemoryStore()
    await store.open()
    service = pruner(store)
    assert [await _interval(service, share) for share in (0.0, 0.999)] == pytest.approx([15.0, 45.0], abs=0.1)


async def _interval(service: Pruner, share: float) -> float | None:
    service._rng = lambda: share
    return await service.run_once()


async def test_a_store_with_nothing_old_is_not_written_to(tmp_path: Path) -> None:
    store = SQLiteStore(tmp_path / "jobs.db")
    await store.open()
    await cancelled(store, 3)
    seen = (tmp_path / "jobs.db-wal").stat().st_size, store.wakeups.version
    await pruner(store).run_once()
    assert ((tmp_path / "jobs.db-wal").stat().st_size, store.wakeups.version) == seen
    await store.close()


async def test_a_worker_prunes_as_its_configuration_says(registry: Registry, start: Start) -> None:
    @registry.job
    async def known() -> int:
        return 1

    store = MemoryStore(clock=(clock := ManualClock()))
    await store.open()
    (old,) = await cancelled(store, 1)
    clock.advance(7200)
    app = await start(store=store.sibling(), **{**QUICK, "retention": {"cancelled": "1h", "completed": "never"}})
    assert app.engine is not None
    (service,) = [service for service in app.engine._services if service.name == "pruner"]
    await eventually(lambda: _gone_after_a_round(app, service, old))
    assert app.retention.retention == Retention(cancelled=3600.0, completed=None)


async def _gone_after_a_round(app: Any, service: Service, job_id: JobID) -> bool:
    await service.run_once()
    try:
        await app.jobs.get(job_id)
    except JobNotFound:
        return True
    return False


async def test_who_waits_for_a_job_that_is_pruned_is_told_so(registry: Registry, start: Start) -> None:
    @registry.job(queue="elsewhere")
    async def known() -> int:
        return 1

    store = MemoryStore(clock=(clock := ManualClock()))
    app = await start(store=store, app={"queues": ["default"]})
    handle = await app.enqueue(known)
    looked = asyncio.Event()
    true_get = store.jobs.get

    async def get(job_id: JobID, **options: Any) -> Any:
        looked.set()
        return await true_get(job_id, **options)

    store.jobs.get = get  # type: ignore[method-assign]
    waiting = asyncio.ensure_future(handle.result(timeout=5))
    await looked.wait()
    assert (await store.jobs.cancel(handle.id)).state is JobState.CANCELLED
    clock.advance(10)
    assert await store.jobs.prune(completed=None, failed=None, cancelled=5, limit=9) == 1
    with pytest.raises(JobPurged, match="retention or an operator removed it"):
        await waiting
    with pytest.raises(JobPurged):
        await handle.result(timeout=5)
