"""Completions in one statement on SQLite: each job is fenced by itself, and every result comes back as it was given."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from dispatch.entity import Reply
from dispatch.ids import JobID, WorkerID
from dispatch.jobs.model import Finished, Job, JobState, NewJob, Transition, Unique, Verdict
from dispatch.stores.sqlite import SQLiteStore
from dispatch.stores.sqlite_complete import LARGEST

WORKER, OTHER = WorkerID.new(), WorkerID.new()
DONE = Finished(Reply.APPLIED, JobState.COMPLETED)


@pytest_asyncio.fixture
async def store(tmp_path: Path) -> AsyncIterator[SQLiteStore]:
    made = SQLiteStore(tmp_path / "jobs.db")
    await made.open()
    yield made
    await made.close()


async def taken(store: SQLiteStore, n: int, *, by: WorkerID = WORKER, unique: Unique | None = None) -> list[Job]:
    await store.jobs.enqueue([NewJob(JobID.new(), "work", b"{}", unique=unique) for _ in range(n)])
    claimed = await store.jobs.claim(by, queues={"default": n}, names=["work"], limit=n, lease=30.0)
    assert len(claimed.jobs) == n
    return claimed.jobs


def completed(job: Job, result: bytes | None = b"null", epoch: int | None = None) -> Transition:
    return Transition(job.id, job.epoch if epoch is None else epoch, Verdict.COMPLETE, result=result)


@pytest.mark.parametrize(
    "results",
    [
        [b"null", b"null", b"null"],
        [b'{"a": "\\u0000 \xc3\xa4 \xf0\x9f\x8e\x88"}', b'"\\"\\\\"', b""],
        [None, b"1", b"12345678901234567890123"],
        [b"\xff\x00\xfe", b"a\x00b", b"\xed\xa0\x80"],
        [b"1", b"\xff", b"2" * (LARGEST + 1)],
    ],
    ids=["alike", "odd letters", "none and numbers", "no text", "some text"],
)
async def test_every_result_comes_back_as_it_was_given(store: SQLiteStore, results: list[bytes | None]) -> None:
    jobs = await taken(store, len(results))
    said = [completed(job, result) for job, result in zip(jobs, results, strict=True)]
    assert [(answer.reply, answer.state) for answer in await store.jobs.finish(WORKER, said)] == [
        (Reply.APPLIED, JobState.COMPLETED)
    ] * len(jobs)
    for job, result in zip(jobs, results, strict=True):
        row = await store.jobs.get(job.id)
        assert row is not None and (row.state, row.result) == (JobState.COMPLETED, result)


async def test_one_that_is_refused_holds_up_no_other(store: SQLiteStore) -> None:
    first = await taken(store, 3)
    second = await taken(store, 3)
    (foreign,) = await taken(store, 1, by=OTHER)
    said = [completed(job) for job in first + second + [foreign]]
    said[1] = completed(first[1], epoch=first[1].epoch - 1)
    answers = await store.jobs.finish(WORKER, said)
    replies = [answer.reply for answer in answers]
    assert [n for n, reply in enumerate(replies) if reply is not Reply.APPLIED] == [1, 6]
    assert {replies[1], replies[6]} == {Reply.STALE}
    assert [answers[n] for n in (0, 2, 3, 4, 5)] == [DONE] * 5
    for job in (first[1], foreign):
        row = await store.jobs.get(job.id)
        assert row is not None and row.state is JobState.RUNNING


async def test_a_repeated_call_answers_as_the_first_did(store: SQLiteStore) -> None:
    jobs = await taken(store, 4)
    said = [completed(job, b"7") for job in jobs]
    assert await store.jobs.finish(WORKER, said[:2]) == [DONE] * 2
    assert await store.jobs.finish(WORKER, said) == [DONE] * 4
    assert await store.jobs.finish(WORKER, said) == [DONE] * 4
    assert [answer.reply for answer in await store.jobs.finish(OTHER, said)] == [Reply.STALE] * 4


async def test_a_unique_key_is_freed_beside_plain_completions(store: SQLiteStore) -> None:
    jobs = await taken(store, 3) + await taken(store, 1, unique=Unique("only"))
    answers = await store.jobs.finish(WORKER, [completed(job) for job in jobs])
    assert [answer.state for answer in answers] == [JobState.COMPLETED] * 4
    (again,) = await store.jobs.enqueue([NewJob(JobID.new(), "work", b"{}", unique=Unique("only"))])
    assert again.created


async def test_a_job_that_is_gone_is_told_beside_plain_completions(store: SQLiteStore) -> None:
    jobs = await taken(store, 2)
    said = [*map(completed, jobs), Transition(JobID.new(), jobs[0].epoch, Verdict.COMPLETE)]
    assert [answer.reply for answer in await store.jobs.finish(WORKER, said)] == [
        Reply.APPLIED,
        Reply.APPLIED,
        Reply.MISSING,
    ]
