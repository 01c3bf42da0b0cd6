"""Leases: kept, lost, lost replies, and a worker that cannot reach its store."""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from typing import Any

import pytest

from dispatch.engine.worker import Stopped
from dispatch.errors import StoreUnreachable
from dispatch.ids import WorkerID
from dispatch.jobs.model import JobState
from dispatch.registry import Registry
from dispatch.stores.memory import MemoryStore

from .conftest import PATIENT, QUICK, Start
from .endless import Endless, worker_of
from .facts import eventually

LEASE = QUICK["lease"]


class Part:
    """A part of a store whose verbs the test may replace."""

    def __init__(self, part: Any) -> None:
        self._part = part

    def __getattr__(self, name: str) -> Any:
        return getattr(self._part, name)


class Fragile(MemoryStore):
    """A memory store that can be out of reach, and lose replies, for itself and its siblings."""

    def __init__(self) -> None:
        super().__init__()
        self.away = False
        self.lose_claims = 0
        self._shake(self)

    def sibling(self) -> MemoryStore:
        return self._shake(super().sibling())

    def _shake(self, store: MemoryStore) -> MemoryStore:
        for part in ("jobs", "cluster"):
            setattr(store, part, self._wrapped(getattr(store, part)))
        return store

    def _wrapped(self, part: Any) -> Any:
        outer = self

        class Shaken(Part):
            def __getattr__(self, name: str) -> Any:
                verb = getattr(part, name)

                async def call(*args: Any, **kwargs: Any) -> Any:
                    if outer.away:
                        raise StoreUnreachable("the cable is out")
                    answer = await verb(*args, **kwargs)
                    if name == "claim" and answer.jobs and outer.lose_claims:
                        outer.lose_claims -= 1
                        raise StoreUnreachable("the reply is lost")
                    return answer

                return call

        return Shaken(part)


async def test_a_lease_is_renewed_for_as_long_as_a_job_runs(registry: Registry, start: Start) -> None:
    job = Endless(registry)
    app = await start(**QUICK)
    handle = await job.definition.enqueue()
    first = await eventually(lambda: _lease(handle))
    await eventually(lambda: _later(handle, first), within=3 * LEASE)
    worker = await app.store.cluster.get(app.engine.worker_id)  # type: ignore[union-attr]
    assert worker is not None
    assert worker.running == 1
    job.go.set()
    assert await handle.result(timeout=5) == "done"
    assert job.begun == 1


async def _lease(handle: Any) -> Any:
    return (await handle.job()).lease_until


async def _later(handle: Any, first: Any) -> bool:
    return bool((await handle.job()).lease_until > first)


async def test_a_job_that_blocks_the_loop_keeps_its_lease(
    registry: Registry, start: Start, caplog: pytest.LogCaptureFixture
) -> None:
    @registry.job
    async def block() -> str:
        time.sleep(1.5 * LEASE)
        return "done"

    store = MemoryStore()
    app = await start(store=store, **QUICK)
    handle = await app.enqueue(block)
    assert await handle.result(timeout=5) == "done"
    job = await handle.job()
    assert (job.crashes, job.failures, job.epoch > 0) == (0, 0, True)
    assert app.engine is not None
    assert app.engine.tally.stale == 0


async def test_a_lost_lease_stops_its_handler_and_writes_nothing(
    registry: Registry, start: Start, caplog: pytest.LogCaptureFixture
) -> None:
    job = Endless(registry)
    store = MemoryStore()
    app = await start(store=store, **QUICK)
    handle = await job.definition.enqueue()
    await eventually(lambda: job.begun == 1)
    taken = await handle.job()
    thief = WorkerID.new()
    await store.jobs.release(taken.worker_id, [(taken.id, taken.epoch)])  # type: ignore[arg-type]
    claimed = await store.jobs.claim(thief, queues={"default": 1}, names=["endless"], limit=1, lease=100)
    assert [j.id for j in claimed.jobs] == [handle.id]
    await eventually(lambda: job.cancelled == 1)
    (lost,) = [record for record in caplog.records if "was lost; its handler is stopped" in record.getMessage()]
    assert (vars(lost)["event"], vars(lost)["job_id"], vars(lost)["attempt"]) == ("job_lost", handle.id, 1)
    row = await handle.job()
    assert (row.state, row.worker_id, row.failures) == (JobState.RUNNING, thief, 0)
    await eventually(lambda: app.engine is not None and app.engine.held == 0)
    assert app.engine is not None
    assert app.engine.tally.ended == 0


async def test_the_outcome_of_a_lost_thread_is_refused(
    registry: Registry, start: Start, caplog: pytest.LogCaptureFixture
) -> None:
    begun, go = threading.Event(), threading.Event()

    @registry.job
    def work() -> str:
        begun.set()
        go.wait(10)
        return "zombie"

    store = MemoryStore()
    app = await start(store=store, **QUICK)
    handle = await app.enqueue(work)
    await eventually(begun.is_set)
    taken = await handle.job()
    await store.jobs.release(taken.worker_id, [(taken.id, taken.epoch)])  # type: ignore[arg-type]
    await store.jobs.claim(WorkerID.new(), queues={"default": 1}, names=["work"], limit=1, lease=100)
    await eventually(lambda: "was lost; its handler is stopped" in caplog.text)
    go.set()
    await eventually(lambda: app.engine is not None and app.engine.held == 0)
    row = await handle.job()
    assert (row.state, row.result) == (JobState.RUNNING, None)
    assert app.engine is not None
    assert app.engine.tally.stale == 1
    told = [(vars(record)["event"], vars(record)["job_id"]) for record in caplog.records if hasattr(record, "event")]
    assert told == [("job_lost", handle.id), ("job_stale", handle.id)]
    assert "came too late and was refused" in caplog.text


async def test_i8_a_claim_whose_reply_was_lost_is_given_back_by_a_beat(
    registry: Registry, start: Start, caplog: pytest.LogCaptureFixture
) -> None:
    job = Endless(registry)
    job.go.set()
    store = Fragile()
    store.lose_claims = 1
    await start(store=store, **{**QUICK, "lease": 100})
    handle = await job.definition.enqueue()
    assert await handle.result(timeout=3) == "done"
    row = await handle.job()
    assert (row.failures, row.crashes) == (0, 0)
    assert "gave back 1 claims whose reply was lost" in caplog.text
    assert job.begun == 1


async def test_a_job_that_ends_between_a_beat_and_its_answer_is_not_called_lost(
    registry: Registry, start: Start, caplog: pytest.LogCaptureFixture
) -> None:
    job = Endless(registry)
    job.go.set()
    app = await start()
    handle = await job.definition.enqueue()
    await handle.result(timeout=5)
    row = await handle.job()
    assert app.engine is not None
    await app.engine._give_back([(row.id, row.epoch)])
    assert "gave back" not in caplog.text
    assert await handle.status() is JobState.COMPLETED


async def test_a_job_claimed_again_while_it_still_runs_here_stops_the_older_run_first(
    registry: Registry, start: Start
) -> None:
    runs: list[str] = []
    go = asyncio.Event()

    @registry.job
    async def work() -> str:
        number = len(runs) // 2
        runs.append(f"begin {number}")
        try:
            await go.wait()
        finally:
            runs.append(f"end {number}")
        return f"run {number}"

    store = MemoryStore()
    app = await start(store=store)
    handle = await app.enqueue(work)
    await eventually(lambda: runs == ["begin 0"])
    row = await handle.job()
    await store.jobs.release(row.worker_id, [(row.id, row.epoch)])  # type: ignore[arg-type]
    worker_of(app).nudge()
    await eventually(lambda: runs == ["begin 0", "end 0", "begin 1"])
    go.set()
    assert await handle.result(timeout=5) == "run 1"
    assert app.engine is not None
    await eventually(lambda: app.engine is not None and app.engine.held == 0)
    assert worker_of(app).executing == 0


async def test_a_second_run_cancelled_while_it_waits_for_the_first_frees_its_slot(
    registry: Registry, start: Start
) -> None:
    begun, go = threading.Event(), threading.Event()
    runs = 0

    @registry.job
    def work() -> None:
        nonlocal runs
        runs += 1
        begun.set()
        go.wait(10)

    store = MemoryStore()
    app = await start(store=store)
    handle = await app.enqueue(work)
    await eventually(begun.is_set)
    row = await handle.job()
    await store.jobs.release(row.worker_id, [(row.id, row.epoch)])  # type: ignore[arg-type]
    worker = worker_of(app)
    worker.nudge()
    await eventually(lambda: worker.executing == 2)
    worker.stop_job(worker.held[handle.id], Stopped.REQUESTED)
    await eventually(lambda: worker.executing == 1)
    go.set()
    await eventually(lambda: worker.executing == 0 and not worker.held)
    assert runs == 1


async def test_i27_a_worker_out_of_touch_stops_its_handlers_and_claims_nothing(
    registry: Registry, start: Start, caplog: pytest.LogCaptureFixture
) -> None:
    job = Endless(registry)
    store = Fragile()
    app = await start(store=store, **QUICK)
    handle = await job.definition.enqueue()
    await eventually(lambda: job.begun == 1)
    store.away = True
    await eventually(lambda: job.cancelled == 1, within=5)
    assert "could not be reached for nearly a lease: stopping all handlers" in caplog.text
    assert app.engine is not None
    assert app.engine._out_of_touch()
    job.go.set()
    store.away = False
    assert await handle.result(timeout=10) == "done"
    assert job.begun == 2


async def test_after_an_outage_nobody_steals_for_one_lease(registry: Registry, start: Start) -> None:
    Endless(registry)
    store = Fragile()
    app = await start(store=store, **{**QUICK, "lease": 2, "heartbeat_interval": 0.05})
    heartbeat = app.engine._heartbeat  # type: ignore[union-attr]
    assert heartbeat is not None
    assert heartbeat.settled
    store.away = True
    await eventually(lambda: not heartbeat.settled)
    store.away = False
    await eventually(lambda: _beats_again(heartbeat))
    assert not heartbeat.settled


def _beats_again(heartbeat: Any) -> bool:
    return bool(heartbeat.renewed_at > heartbeat.trouble_at)


async def test_a_beat_notices_a_request_to_drain(registry: Registry, start: Start) -> None:
    app = await start(**QUICK)
    await app.stop()
    asked = asyncio.Event()
    engine = app.build_engine(on_drain=asked.set)
    app.engine = engine
    await engine.start()
    await app.workers.drain(engine.worker_id)
    await asyncio.wait_for(asked.wait(), 5)


async def test_a_worker_that_the_store_forgot_registers_again(registry: Registry, start: Start) -> None:
    app = await start(**QUICK)
    engine = app.engine
    assert engine is not None
    store: Any = app.store
    store._session.data.workers.clear()
    await eventually(lambda: store.cluster.get(engine.worker_id))


async def test_a_cancel_request_reaches_a_worker_by_its_beat_when_no_wake_up_does(
    registry: Registry, start: Start
) -> None:
    job = Endless(registry)
    app = await start(**{**PATIENT, "heartbeat_interval": 0.05})
    engine = app.engine
    assert engine is not None
    (listener,) = (service for service in engine._services if service.name == "listener")
    handle = await job.definition.enqueue()
    await eventually(lambda: job.begun == 1)
    await listener.stop()
    await handle.cancel()
    await eventually(lambda: job.cancelled == 1)
    assert (await eventually(lambda: _terminal(handle))).state is JobState.CANCELLED


async def _terminal(handle: Any) -> Any:
    job = await handle.job()
    return job if job.state.terminal else None


@pytest.mark.parametrize("error", [MemoryError("no room for a beat"), asyncio.CancelledError()], ids=["memory", "cut"])
async def test_a_beat_that_dies_ends_the_worker(
    error: BaseException,
    registry: Registry,
    start: Start,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    deaths: list[BaseException] = []
    app = await start(**QUICK)
    await app.stop()
    engine = app.build_engine(on_death=deaths.append)
    app.engine = engine
    await engine.start()
    heartbeat: Any = engine._heartbeat

    async def broken(seconds: float) -> None:
        raise error

    monkeypatch.setattr(heartbeat, "_wait", broken)
    await eventually(lambda: deaths)
    assert isinstance(deaths[0], MemoryError if isinstance(error, MemoryError) else RuntimeError)
    assert "a loop of the worker has died, stopping" in caplog.text


async def test_a_stalled_loop_past_its_limit_is_no_longer_kept_alive(
    registry: Registry, start: Start, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    app = await start(**{**QUICK, "stall_limit": 1})
    heartbeat: Any = app.engine._heartbeat  # type: ignore[union-attr]
    monkeypatch.setattr(type(heartbeat._watchdog), "stalled_for", property(lambda self: 5.0))
    before = heartbeat.renewed_at
    await eventually(lambda: "leases are no longer renewed" in caplog.text)
    assert heartbeat.renewed_at - before < 1
    caplog.set_level(logging.CRITICAL)
