"""The verbs on jobs: sizes, names, waits, cancels and retries, each with its own error."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from dispatch import hookimpl
from dispatch.app import Dispatch
from dispatch.clock import ManualClock
from dispatch.config import Config
from dispatch.errors import (
    DuplicateJob,
    IdempotencyMismatch,
    InvalidArguments,
    JobAlreadyComplete,
    JobNotCancellable,
    JobNotDeletable,
    JobNotFound,
    JobNotRetryable,
    JobPurged,
    PayloadTooLarge,
    StoreTimeout,
    WaitTimeout,
)
from dispatch.ids import JobID, WorkerID
from dispatch.jobs.definition import AsyncJobDefinition
from dispatch.jobs.model import CountOptions, Failure, Job, JobState, ListOptions, Transition, Verdict
from dispatch.jobs.options import EnqueueOptions
from dispatch.registry import Registry
from dispatch.stores.memory import MemoryStore

CONFIG = Config(store="memory://", auto_open=False, limits={"payload": 1000, "metadata": 200})  # type: ignore[arg-type]


@pytest.fixture
def note(registry: Registry) -> AsyncJobDefinition[[Any], None]:
    @registry.job(queue="notes", priority=2)
    async def note(value: Any) -> None: ...

    return note


@pytest.fixture
async def app(registry: Registry, note: Any) -> AsyncIterator[Dispatch]:
    async with Dispatch(MemoryStore(), registry=registry, config=CONFIG) as opened:
        yield opened


async def end(app: Dispatch, verdict: Verdict, **facts: Any) -> Job:
    """Claims the next job as some worker and ends it so."""
    worker = WorkerID.new()
    claimed = await app.store.jobs.claim(worker, queues={"notes": 1}, names=["note"], limit=1, lease=60)
    (job,) = claimed.jobs
    await app.store.jobs.finish(worker, [Transition(job.id, job.epoch, verdict, **facts)])
    return await app.jobs.get(job.id)


# enqueue


async def test_arguments_that_are_too_large_are_refused_with_advice(app: Dispatch, note: Any) -> None:
    with pytest.raises(
        PayloadTooLarge, match=r"note: the arguments take 2,0\d\d bytes as JSON, more than limits.payload"
    ):
        await note.enqueue("x" * 2000)
    with pytest.raises(PayloadTooLarge, match=r"metadata takes .* bytes, more than limits.metadata"):
        await note.options(metadata={"a": "x" * 300}).enqueue(1)
    assert sum((await app.jobs.count(CountOptions())).values()) == 0


@pytest.mark.parametrize("metadata", [{"a": float("nan")}, {"a": object()}, {"a": {1, 2}}])
async def test_metadata_must_be_json(app: Dispatch, note: Any, metadata: Any) -> None:
    with pytest.raises(InvalidArguments, match="note: metadata cannot be stored as JSON"):
        await note.options(metadata=metadata).enqueue(1)


async def test_an_idempotency_key_makes_one_job_and_refuses_another_call(app: Dispatch, note: Any) -> None:
    once = note.options(idempotency_key="order-42")
    first, again = await once.enqueue(1), await once.enqueue(1)
    assert (first.id, first.created, again.created) == (again.id, True, False)
    with pytest.raises(IdempotencyMismatch):
        await once.enqueue(2)


async def test_a_known_name_is_validated_by_its_definition(app: Dispatch, registry: Registry) -> None:
    @registry.job
    async def blob(data: bytes, when: int = 3) -> None: ...

    answer = await app.jobs.enqueue_named("blob", {"data": "_-8="})
    job = await app.jobs.get(answer.id)
    assert blob.signature.load(job.payload) == ([], {"data": b"\xff\xef"})
    with pytest.raises(InvalidArguments, match="no parameter 'wen'; did you mean 'when'"):
        await app.jobs.enqueue_named("blob", {"data": "", "wen": 1})


async def test_an_unknown_name_goes_to_the_default_queue(app: Dispatch) -> None:
    answer = await app.jobs.enqueue_named("mystery", {"a": 1}, EnqueueOptions(priority=3))
    job = await app.jobs.get(answer.id)
    assert (job.name, job.queue, job.priority, job.payload) == ("mystery", "default", 3, b'{"a":1}')
    with pytest.raises(InvalidArguments, match="no app has announced it yet, so arguments must be given by name"):
        await app.jobs.enqueue_named("mystery", [1])
    with pytest.raises(InvalidArguments, match="'my job' is no job name"):
        await app.jobs.enqueue_named("my job")
    with pytest.raises(InvalidArguments, match=r"mystery: a\.0 is NaN or infinite"):
        await app.jobs.enqueue_named("mystery", {"a": [float("nan")]})


# reading


async def test_jobs_are_listed_counted_and_found(app: Dispatch, note: Any) -> None:
    handles = [await note.options(tags=["a"] if n % 2 else []).enqueue(n) for n in range(4)]
    page = await app.jobs.list(ListOptions(tags=["a"]))
    assert [job.id for job in page.items] == [handles[3].id, handles[1].id]
    assert (await app.jobs.count(CountOptions(queues=["notes"])))[JobState.PENDING] == 4
    assert (await app.jobs.get(handles[0].id)).priority == 2
    with pytest.raises(JobNotFound, match="`dispatch job list` shows what there is"):
        await app.jobs.get(JobID.new())


# waiting


async def test_a_wait_ends_with_the_job(app: Dispatch, note: Any) -> None:
    handle = await note.enqueue(1)
    waiting = asyncio.create_task(app.jobs.wait(handle.id))
    await asyncio.sleep(0)
    await end(app, Verdict.COMPLETE, result=b"7")
    assert (await asyncio.wait_for(waiting, 5)).result == b"7"


async def test_a_wait_has_a_limit(app: Dispatch, note: Any) -> None:
    handle = await note.enqueue(1)
    with pytest.raises(WaitTimeout, match=r"is still pending after 0.01 s"):
        await app.jobs.wait(handle.id, timeout=0.01)
    with pytest.raises(WaitTimeout):
        await app.jobs.wait(handle.id, timeout=0)
    with pytest.raises(JobNotFound):
        await app.jobs.wait(JobID.new(), timeout=0.01)


async def test_a_job_that_vanishes_during_a_wait_was_purged(
    app: Dispatch, note: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    handle = await note.enqueue(1)
    rows = [await app.jobs.get(handle.id), None]

    async def get(*_: Any, **__: Any) -> Job | None:
        return rows.pop(0)

    monkeypatch.setattr(app.store.jobs, "get", get)
    with pytest.raises(JobPurged, match="retention or an operator removed it"):
        await app.jobs.wait(handle.id, timeout=5)


# cancel and retry


async def test_many_are_cancelled_under_one_record_and_each_is_answered(app: Dispatch, note: Any) -> None:
    handles = [await note.enqueue("x") for _ in range(3)]
    ids = [handle.id for handle in handles]
    await app.jobs.cancel(ids[1])
    gone = JobID.new()
    first, second, third, fourth = await app.jobs.cancel_many([*ids, gone], reason="enough")
    assert (first, third) == (JobState.CANCELLED, JobState.CANCELLED)
    assert isinstance(second, JobNotCancellable)
    assert isinstance(fourth, JobNotFound)
    record = (await app.audit.list())[0]
    assert (record.verb, record.ids, record.count, record.outcome) == ("job.cancel", (ids[0], ids[2]), 2, "partly")


async def test_a_job_that_changed_meanwhile_is_not_deleted_by_its_former_state(app: Dispatch, note: Any) -> None:
    job_id = (await note.enqueue("x")).id
    with pytest.raises(JobNotDeletable, match="is pending by now"):
        await app.jobs.delete(job_id, states=[JobState.FAILED, JobState.CANCELLED])
    await app.jobs.delete(job_id, states=[JobState.PENDING])
    with pytest.raises(JobNotFound):
        await app.jobs.get(job_id)


async def test_cancel_answers_the_state_and_refuses_what_has_ended(app: Dispatch, note: Any) -> None:
    waiting = await note.enqueue(1)
    assert await app.jobs.cancel(waiting.id, reason="customer left") is JobState.CANCELLED
    assert (await app.jobs.get(waiting.id)).reason == "customer left"
    with pytest.raises(JobNotCancellable, match=r"is cancelled already; `dispatch job show"):
        await app.jobs.cancel(waiting.id)
    await note.enqueue(2)
    done = await end(app, Verdict.COMPLETE)
    with pytest.raises(JobAlreadyComplete, match="has completed; there is nothing to cancel"):
        await app.jobs.cancel(done.id)
    with pytest.raises(JobNotFound):
        await app.jobs.cancel(JobID.new())


async def test_retry_runs_what_failed_again_and_refuses_the_rest(app: Dispatch, note: Any) -> None:
    pending = await note.enqueue(1)
    with pytest.raises(JobNotRetryable, match="is pending; only failed, cancelled or retrying jobs"):
        await app.jobs.retry(pending.id)
    failed = await end(app, Verdict.FAIL, failure=Failure("E", "m"), dead_letter=True, reason="failed")
    assert await app.jobs.retry(failed.id) is JobState.PENDING
    assert (await app.jobs.get(failed.id)).failures == 0
    assert await app.dlq.count() == 0
    done = await end(app, Verdict.COMPLETE)
    with pytest.raises(JobAlreadyComplete, match="enqueue a new job"):
        await app.jobs.retry(done.id)
    with pytest.raises(JobNotFound):
        await app.jobs.retry(JobID.new())


async def test_a_waiting_retry_is_due_now(app: Dispatch, note: Any) -> None:
    await note.enqueue(1)
    job = await end(app, Verdict.RETRY, delay=3600, failure=Failure("E", "m"))
    assert job.state is JobState.RETRYING
    assert await app.jobs.retry(job.id) is JobState.RETRYING
    assert (await app.jobs.get(job.id)).run_at < job.run_at


async def test_a_twin_in_the_way_of_a_retry_is_told(app: Dispatch, note: Any) -> None:
    once = note.options(unique="k")
    await once.enqueue(1)
    failed = await end(app, Verdict.FAIL, failure=Failure("E", "m"), reason="failed")
    twin = await once.enqueue(1)
    with pytest.raises(DuplicateJob, match=f"{twin.id} holds its unique key") as refused:
        await app.jobs.retry(failed.id)
    assert refused.value.existing == twin.id


@pytest.mark.parametrize("fault", [StoreTimeout("no answer"), None], ids=["timeout", "gone"])
async def test_an_enqueue_is_done_though_the_expired_job_that_made_way_cannot_be_read(
    registry: Registry,
    note: Any,
    fault: StoreTimeout | None,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    class Plugin:
        @hookimpl
        async def job_cancelled(self, job: Job) -> None:
            raise AssertionError(f"told of {job.id}")

    async def unread(*args: object, **options: object) -> None:
        if fault is not None:
            raise fault

    clock = ManualClock()
    async with Dispatch(MemoryStore(clock=clock), registry=registry, config=CONFIG, plugins=[Plugin()]) as app:
        old = await note.options(unique="k", expires_in=5).enqueue(1)
        clock.advance(6)
        with monkeypatch.context() as patch:
            patch.setattr(app.store.jobs, "get", unread)
            fresh = await note.options(unique="k").enqueue(1)
        assert fresh.created
        assert ((await app.jobs.get(old.id)).reason, (await app.jobs.get(fresh.id)).state) == ("expired", "pending")
    (said,) = [record.getMessage() for record in caplog.records if record.name == "dispatch.plugins"]
    assert said.startswith(f"job_cancelled is not called for {old.id}, which has expired")
