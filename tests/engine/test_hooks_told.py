"""What is told of a job: each hook once, and none that fails or hangs harms it."""

from __future__ import annotations

import asyncio
import threading
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from dispatch import Dispatch, hookimpl
from dispatch.backoff import Constant
from dispatch.errors import Fail, JobCancelled, JobFailed, Snooze
from dispatch.ids import JobID, WorkerID
from dispatch.jobs.model import Job, JobState, NewJob
from dispatch.registry import Registry
from dispatch.stores.memory import MemoryStore
from dispatch.stores.sqlite import SQLiteStore

from .conftest import QUICK, Start
from .facts import eventually

AT_ONCE = Constant(0)


class Recorder:
    """A plugin that writes down every lifecycle hook."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, dict[str, Any]]] = []

    @property
    def counts(self) -> Counter[str]:
        return Counter(name for name, _ in self.calls)

    def of(self, name: str) -> list[dict[str, Any]]:
        return [facts for hook, facts in self.calls if hook == name]

    @hookimpl
    def job_enqueued(self, job: NewJob) -> None:
        self.calls.append(("job_enqueued", {"id": job.id}))

    @hookimpl
    async def job_started(self, job: Job) -> None:
        self.calls.append(("job_started", {"state": job.state, "attempt": job.attempt, "worker": job.worker_id}))

    @hookimpl
    def job_completed(self, job: Job, elapsed: float) -> None:
        self.calls.append(("job_completed", {"state": job.state, "elapsed": elapsed}))

    @hookimpl
    async def job_failed(self, job: Job, error: Any) -> None:
        self.calls.append(("job_failed", {"state": job.state, "reason": job.reason, "error": error.type}))

    @hookimpl
    def job_retrying(self, job: Job, attempt: int, next_run_at: Any) -> None:
        self.calls.append(
            ("job_retrying", {"state": job.state, "attempt": attempt, "error": job.error, "at": next_run_at})
        )

    @hookimpl
    def job_dlq(self, job: Job, error: Any) -> None:
        self.calls.append(("job_dlq", {"error": error.type}))

    @hookimpl
    def job_cancelled(self, job: Job) -> None:
        self.calls.append(("job_cancelled", {"state": job.state, "reason": job.reason}))

    @hookimpl
    def job_stolen(self, job: Job) -> None:
        self.calls.append(("job_stolen", {"state": job.state}))

    @hookimpl
    def worker_started(self, worker: Any) -> None:
        self.calls.append(("worker_started", {"id": worker.id}))

    @hookimpl
    def worker_stopped(self, worker: Any) -> None:
        self.calls.append(("worker_stopped", {"id": worker.id}))

    @hookimpl
    def event_published(self, event: Any) -> None:
        self.calls.append(("event_published", {"name": event.name}))

    @hookimpl
    def shutdown(self) -> None:
        self.calls.append(("shutdown", {}))


@pytest.fixture
def recorder() -> Recorder:
    return Recorder()


# hooks


async def test_a_job_that_completes_is_told_of_once_each(registry: Registry, start: Start, recorder: Recorder) -> None:
    @registry.job
    async def work() -> None: ...

    app = await start(app={"plugins": [recorder]})
    handle = await app.enqueue(work)
    await handle.result(timeout=5)
    await app.close()
    assert recorder.counts == Counter(
        ["worker_started", "job_enqueued", "job_started", "job_completed", "worker_stopped", "shutdown"]
    )
    assert [name for name, _ in recorder.calls][-1] == "shutdown"
    assert recorder.of("job_enqueued") == [{"id": handle.id}]
    (started,) = recorder.of("job_started")
    assert (started["state"], started["attempt"], started["worker"]) == (
        JobState.RUNNING,
        1,
        recorder.of("worker_started")[0]["id"],
    )
    (completed,) = recorder.of("job_completed")
    assert completed["state"] is JobState.COMPLETED
    assert 0 <= completed["elapsed"] < 5


async def test_a_start_is_told_of_as_it_was_however_late_a_plugin_looks(registry: Registry, start: Start) -> None:
    ended, states = threading.Event(), list[tuple[str, int, str | None]]()

    class Slow:
        @hookimpl
        def job_started(self, job: Job) -> None:
            assert ended.wait(20)
            states.append((job.state, job.failures, job.reason))

    @registry.job(max_retries=0)
    async def work() -> None:
        raise ValueError("no")

    app = await start(app={"plugins": [Slow()]})
    with pytest.raises(JobFailed):
        await (await app.enqueue(work)).result(timeout=20)
    ended.set()
    await eventually(lambda: states)
    assert states == [(JobState.RUNNING, 0, None)]


async def test_retries_failures_and_dead_letters_are_told_of(
    registry: Registry, start: Start, recorder: Recorder
) -> None:
    @registry.job(max_retries=2, backoff=AT_ONCE)
    async def work() -> None:
        raise ValueError("no")

    app = await start(app={"plugins": [recorder]})
    with pytest.raises(JobFailed):
        await (await app.enqueue(work)).result(timeout=5)
    await app.close()  # until everybody has been told
    assert recorder.counts - Counter(["worker_started", "worker_stopped", "shutdown"]) == Counter(
        job_enqueued=1, job_started=3, job_retrying=2, job_failed=1, job_dlq=1
    )
    assert [facts["attempt"] for facts in recorder.of("job_started")] == [1, 2, 3]
    assert [facts["attempt"] for facts in recorder.of("job_retrying")] == [1, 2]
    assert {facts["state"] for facts in recorder.of("job_retrying")} == {JobState.RETRYING}
    assert recorder.of("job_retrying")[0]["error"].type == "ValueError"
    assert recorder.of("job_failed") == [{"state": JobState.FAILED, "reason": "exhausted", "error": "ValueError"}]


async def test_an_expected_failure_makes_no_dead_letter_hook(
    registry: Registry, start: Start, recorder: Recorder
) -> None:
    @registry.job
    async def work() -> None:
        raise Fail("expected", dead_letter=False)

    app = await start(app={"plugins": [recorder]})
    with pytest.raises(JobFailed):
        await (await app.enqueue(work)).result(timeout=5)
    await app.close()
    assert (recorder.counts["job_failed"], recorder.counts["job_dlq"]) == (1, 0)


async def test_a_cancelled_job_is_told_of_once_wherever_it_was(
    registry: Registry, start: Start, recorder: Recorder
) -> None:
    begun = asyncio.Event()

    @registry.job
    async def work() -> None:
        begun.set()
        await asyncio.Event().wait()

    app = await start(app={"plugins": [recorder]})
    waiting = await work.options(delay=3600).enqueue()
    await waiting.cancel()
    await eventually(lambda: recorder.counts["job_cancelled"] == 1)
    running = await work.enqueue()
    await begun.wait()
    await running.cancel()
    with pytest.raises(JobCancelled):
        await running.result(timeout=5)
    await app.close()
    assert recorder.of("job_cancelled") == [{"state": JobState.CANCELLED, "reason": "cancelled"}] * 2
    assert recorder.counts["job_failed"] == 0


async def test_an_expired_job_is_told_of_as_cancelled(
    registry: Registry, start: Start, recorder: Recorder, clock: Any
) -> None:
    @registry.job
    async def work() -> None: ...

    app = await start(store=MemoryStore(clock=clock), app={"plugins": [recorder]})
    await app.stop()
    handle = await work.options(expires_in=5).enqueue()
    clock.advance(6)
    await app.start()
    with pytest.raises(JobCancelled):
        await handle.result(timeout=5)
    await app.close()
    assert recorder.of("job_cancelled") == [{"state": JobState.CANCELLED, "reason": "expired"}]
    assert recorder.counts["job_started"] == 0


async def test_an_expired_job_that_makes_way_for_its_twin_is_told_of_as_cancelled(
    registry: Registry, start: Start, recorder: Recorder, clock: Any
) -> None:
    @registry.job(unique=True)
    async def work() -> None: ...

    app = await start(store=MemoryStore(clock=clock), app={"plugins": [recorder]})
    await app.stop()
    old = await work.options(expires_in=5).enqueue()
    clock.advance(6)
    fresh = await work.enqueue()
    await app.start()
    await fresh.result(timeout=5)
    with pytest.raises(JobCancelled):
        await old.result(timeout=5)
    await app.close()
    assert recorder.of("job_cancelled") == [{"state": JobState.CANCELLED, "reason": "expired"}]
    assert recorder.counts["job_enqueued"] == 2


def test_blocking_code_tells_of_the_expired_job_too(registry: Registry, tmp_path: Path) -> None:
    class Cancelled:
        def __init__(self) -> None:
            self.seen: list[JobID] = []

        @hookimpl
        def job_cancelled(self, job: Job) -> None:
            self.seen.append(job.id)

    @registry.job(unique=True)
    def work() -> None: ...

    told = Cancelled()
    with Dispatch(SQLiteStore(tmp_path / "store.db"), registry=registry, plugins=[told]):
        old = work.options(expires_in=0.001).sync.enqueue()
        fresh = work.sync.enqueue()
        ends = time.monotonic() + 20
        while not fresh.created and time.monotonic() < ends:  # until the store's clock says that it has expired
            fresh = work.sync.enqueue()
    assert fresh.created
    assert told.seen == [old.id]


async def test_a_snooze_and_a_release_are_told_of_by_no_hook(
    registry: Registry, start: Start, recorder: Recorder
) -> None:
    begun = asyncio.Event()

    @registry.job
    async def work() -> None:
        if not begun.is_set():
            begun.set()
            raise Snooze(3600)

    app = await start(app={"plugins": [recorder]})
    await app.enqueue(work)
    await eventually(lambda: app.engine is not None and app.engine.tally.snoozed == 1)
    await app.close()
    assert set(recorder.counts) == {"worker_started", "job_enqueued", "job_started", "worker_stopped", "shutdown"}


async def test_a_stolen_job_is_told_of(registry: Registry, start: Start, recorder: Recorder) -> None:
    @registry.job
    async def work() -> None: ...

    store = MemoryStore()
    await store.open()
    job_id = JobID.new()
    await store.jobs.enqueue([NewJob(job_id, "work", b"{}")])
    await store.jobs.claim(WorkerID.new(), queues={"default": 1}, names=["work"], limit=1, lease=0.001)
    app = await start(store=store.sibling(), app={"plugins": [recorder]}, **QUICK)
    await app.jobs.wait(job_id, timeout=5)
    await app.close()
    assert recorder.counts["job_completed"] == 1
    assert recorder.of("job_stolen") == [{"state": JobState.RETRYING}]


async def test_a_twin_that_was_already_there_is_not_enqueued(
    registry: Registry, start: Start, recorder: Recorder
) -> None:
    @registry.job(unique=True)
    async def work() -> None: ...

    app = await start(app={"plugins": [recorder]})
    await work.options(delay=3600).enqueue()
    await work.options(delay=3600).enqueue()
    await app.events.publish("paid", {"n": 1})
    await app.close()
    assert (recorder.counts["job_enqueued"], recorder.counts["event_published"]) == (1, 1)


async def test_a_hook_that_fails_or_hangs_harms_no_job(
    registry: Registry, start: Start, caplog: pytest.LogCaptureFixture
) -> None:
    class Bad:
        @hookimpl
        def job_started(self, job: Job) -> None:
            raise RuntimeError("bad plugin")

        @hookimpl
        async def job_completed(self, job: Job) -> None:
            await asyncio.Event().wait()

    @registry.job
    async def work() -> int:
        return 1

    app = await start(app={"plugins": [Bad()]})
    assert await (await app.enqueue(work)).result(timeout=5) == 1
    assert await (await app.enqueue(work)).result(timeout=5) == 1
    await eventually(lambda: "its job_started raised RuntimeError; the job is not affected" in caplog.text)
    for task in app.plugins._tasks:
        task.cancel()
