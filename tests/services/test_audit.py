"""Audit records: stored before the act, completed after it, and never lost with the process that acts."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from dispatch import Dispatch
from dispatch.config import Config
from dispatch.errors import JobNotFound, StoreFull, StoreUnreachable
from dispatch.ids import DLQID, JobID, WorkerID
from dispatch.jobs.model import ListOptions, NewJob, Transition, Verdict
from dispatch.queues import QueueConfig
from dispatch.registry import Registry
from dispatch.services.audit import AuditRecord, Outcome
from dispatch.stores.memory import MemoryStore


@pytest.fixture
async def app() -> AsyncIterator[Dispatch]:
    async with Dispatch(MemoryStore(), config=Config(), registry=Registry()) as app:
        yield app


async def newest(app: Dispatch) -> AuditRecord:
    return (await app.audit.list(limit=1))[0]


async def test_the_intent_stands_in_the_store_while_the_act_goes_on(app: Dispatch) -> None:
    async with app.audit.act("queue.pause", ["mails"], who="ada", reason="deploy"):
        found = await newest(app)
        assert (found.verb, found.ids, found.who, found.reason) == ("queue.pause", ("mails",), "ada", "deploy")
        assert (found.outcome, found.ended_at) == (Outcome.STARTED, None)
    done = await newest(app)
    assert (done.id, done.outcome, done.count) == (found.id, Outcome.DONE, 1)
    assert done.ended_at is not None
    assert len(await app.audit.list()) == 1


@pytest.mark.parametrize(
    ("error", "outcome", "count"),
    [
        (JobNotFound("no such job"), Outcome.REFUSED, 0),
        (StoreUnreachable("gone"), Outcome.UNKNOWN, 2),
        (asyncio.CancelledError(), Outcome.INTERRUPTED, 2),
        (ValueError("odd"), Outcome.UNKNOWN, 2),
    ],
)
async def test_an_act_that_raises_says_how_it_ended(
    error: BaseException, outcome: Outcome, count: int, app: Dispatch
) -> None:
    with pytest.raises(type(error)):
        async with app.audit.act("job.delete", ["a", "b"]):
            raise error
    found = await newest(app)
    assert (found.outcome, found.count) == (outcome, count)
    assert type(error).__name__ in found.detail


async def test_what_was_done_until_an_interruption_is_kept(app: Dispatch) -> None:
    with pytest.raises(asyncio.CancelledError):
        async with app.audit.act("job.delete", count=9) as act:
            act.settle(["a", "b"], count=2)
            raise asyncio.CancelledError
    found = await newest(app)
    assert (found.outcome, found.ids, found.count) == (Outcome.INTERRUPTED, ("a", "b"), 2)


async def test_refusals_make_an_act_partly_done_or_refused(app: Dispatch) -> None:
    for ids, refused, outcome in ((["a"], 0, "done"), (["a"], 1, "partly"), ([], 1, "refused")):
        async with app.audit.act("job.retry") as act:
            act.settle(ids, refused=refused)
        assert (await newest(app)).outcome == outcome


async def test_an_act_that_was_refused_names_what_it_was_asked_for(app: Dispatch) -> None:
    async with app.audit.act("job.retry", ["a", "b"]) as act:
        act.settle([], refused=2)
    (found,) = await app.audit.list(limit=1)
    assert (found.outcome, found.ids, found.count) == (Outcome.REFUSED, ("a", "b"), 0)


async def test_an_act_inside_another_leaves_no_record_and_ids_are_bounded(app: Dispatch) -> None:
    ids = [str(number) for number in range(600)]
    async with app.audit.act("job.cancel", ids):
        await app.queues.pause("mails")
    (found,) = await app.audit.list()
    assert (found.verb, len(found.ids), found.count) == ("job.cancel", 500, 600)


async def test_a_store_that_is_full_stops_nobody_from_making_room(
    app: Dispatch, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def full(*args: object, **options: object) -> None:
        raise StoreFull("no room left")

    monkeypatch.setattr(app.store.records, "put", full)
    async with app.audit.act("dlq.purge") as act:
        act.settle((), count=3)
    assert "leaves no audit record" in caplog.text


async def test_an_act_whose_intent_cannot_be_stored_is_not_done(app: Dispatch, monkeypatch: pytest.MonkeyPatch) -> None:
    async def gone(*args: object, **options: object) -> None:
        raise StoreUnreachable("the store does not answer")

    monkeypatch.setattr(app.store.records, "put", gone)
    with pytest.raises(StoreUnreachable):
        await app.queues.pause("mails")
    assert (await app.queues.get("mails")).pause is None


async def test_every_verb_of_a_service_that_changes_something_leaves_a_record(app: Dispatch) -> None:
    job_id = JobID.new()
    await app.store.jobs.enqueue([NewJob(job_id, "send", b"{}")])
    await app.jobs.cancel(job_id, reason="not needed")
    await app.jobs.retry(job_id)
    await app.jobs.delete(job_id)
    await app.queues.pause("mails", by="ada", reason="deploy", duration=60)
    await app.queues.resume("mails", reason="deployed")
    await app.queues.configure(QueueConfig("mails", max_concurrency=2))
    await app.queues.purge("mails")
    await app.retention.prune()
    await app.dlq.purge()
    for refused in (app.workers.drain(WorkerID.new()), app.dlq.replay(DLQID.new()), app.dlq.discard(DLQID.new())):
        with pytest.raises(LookupError):
            await refused
    found = [(record.verb, str(record.outcome)) for record in reversed(await app.audit.list())]
    done = ["job.cancel", "job.retry", "job.delete", "queue.pause", "queue.resume", "queue.limit", "queue.purge"]
    done += ["store.prune", "dlq.purge"]
    refused_verbs = ["worker.drain", "dlq.replay", "dlq.discard"]
    assert found == [*((verb, "done") for verb in done), *((verb, "refused") for verb in refused_verbs)]


async def test_what_a_program_does_by_its_handles_leaves_none(app: Dispatch) -> None:
    @app.registry.job
    async def send() -> None: ...

    handle = await app.enqueue(send)
    await handle.cancel()
    assert (await app.job(handle.id)).state == "cancelled"
    assert await app.audit.list() == []


async def test_a_purge_keeps_the_result_of_a_job_that_ran_while_it_looked(
    app: Dispatch, monkeypatch: pytest.MonkeyPatch
) -> None:
    jobs, worker = app.store.jobs, WorkerID.new()
    await jobs.enqueue([NewJob(JobID.new(), "send", b"{}", queue="mails") for _ in range(2)])
    look = jobs.list

    async def look_then_run_one(*args: Any, **options: Any) -> Any:
        page = await look(*args, **options)
        for job in (await jobs.claim(worker, queues={"mails": 1}, names=["send"], limit=1, lease=60.0)).jobs:
            await jobs.finish(worker, [Transition(job.id, job.epoch, Verdict.COMPLETE, result=b"1")])
        monkeypatch.undo()
        return page

    monkeypatch.setattr(jobs, "list", look_then_run_one)
    assert await app.queues.purge("mails") == 1
    (kept,) = (await app.jobs.list(ListOptions())).items
    assert (kept.state, kept.result) == ("completed", b"1")


async def test_a_purge_deletes_what_waits_and_leaves_what_runs_or_comes_later(app: Dispatch) -> None:
    store = app.store
    await store.jobs.enqueue([NewJob(JobID.new(), "send", b"{}", queue="mails") for _ in range(7)])
    await store.jobs.enqueue([NewJob(JobID.new(), "send", b"{}", queue="mails", delay=60.0)])
    await store.jobs.enqueue([NewJob(JobID.new(), "send", b"{}", queue="other")])
    (running,) = (await store.jobs.claim(WorkerID.new(), queues={"mails": 1}, names=["send"], limit=1, lease=60.0)).jobs
    at = (await app.queues.get("mails")).at
    await store.jobs.enqueue([NewJob(JobID.new(), "send", b"{}", queue="mails")])
    assert [await app.queues.purge("mails", before=at, limit=4) for _ in range(3)] == [4, 3, 0]
    info = await app.queues.get("mails")
    assert (info.pending, info.running) == (1, 1)
    assert (await app.queues.get("other")).pending == 1
    assert (await app.job(running.id)).state == "running"
