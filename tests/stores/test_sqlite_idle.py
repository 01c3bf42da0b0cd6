"""A worker with nothing to do costs next to nothing, and never misses what there is to do."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from dispatch.clock import ManualClock
from dispatch.entity import Reply
from dispatch.ids import JobID, WorkerID
from dispatch.jobs.model import Claimed, NewJob
from dispatch.queues import QueueConfig
from dispatch.scope import Scope
from dispatch.stores.sql.claim import Claim
from dispatch.stores.sqlite import SQLiteStore

WORKER = WorkerID.new()


def new(**fields: Any) -> NewJob:
    return NewJob(**{"id": JobID.new(), "name": "work", "payload": b"{}", **fields})


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
async def store(tmp_path: Path, clock: ManualClock) -> AsyncIterator[SQLiteStore]:
    made = SQLiteStore(tmp_path / "jobs.db", clock=clock)
    await made.open()
    yield made
    await made.close()


@pytest.fixture
def looks(monkeypatch: pytest.MonkeyPatch) -> list[Claim]:
    made: list[Claim] = []
    peek = Claim.peek

    def counted(claim: Claim, alone: bool) -> Any:
        made.append(claim)
        return peek(claim, alone)

    monkeypatch.setattr(Claim, "peek", counted)
    return made


async def claim(store: SQLiteStore, *, queue: str = "default", names: tuple[str, ...] = ("work",)) -> Claimed:
    return await store.jobs.claim(WORKER, queues={queue: 5}, names=names, limit=5, lease=30.0)


async def test_polls_of_an_unchanged_file_walk_through_the_lanes_once(
    store: SQLiteStore, clock: ManualClock, looks: list[Claim]
) -> None:
    await store.queues.configure(QueueConfig("default", fair=True))
    await store.jobs.enqueue([new(scope=Scope("a", str(n)), delay=60.0 + n) for n in range(20)])
    answers = []
    for _ in range(5):
        answers.append(await claim(store))
        clock.advance(1)
    assert len(looks) == 1
    assert {answer.next_due for answer in answers} == {answers[0].next_due}
    assert len({answer.now for answer in answers}) == 5
    clock.advance(60)
    assert (await claim(store)).jobs


async def test_whatever_anybody_writes_is_seen_by_the_next_poll(store: SQLiteStore, looks: list[Claim]) -> None:
    other = store.sibling()
    await other.open()
    for writer in (store, other):
        assert not (await claim(store)).jobs
        await writer.jobs.enqueue([new()])
        (job,) = (await claim(store)).jobs
        assert not (await claim(store)).jobs
        await writer.jobs.release(WORKER, [(job.id, job.epoch)])
        assert len((await claim(store)).jobs) == 1
    await other.close()


async def test_another_question_is_another_look(store: SQLiteStore, looks: list[Claim]) -> None:
    await store.jobs.enqueue([new(queue="a", name="one"), new(queue="b", name="two")])
    assert not (await claim(store, queue="a", names=("two",))).jobs
    assert not (await claim(store, queue="b", names=("one",))).jobs
    assert (await claim(store, queue="a", names=("one",))).jobs
    assert (await claim(store, queue="b", names=("one", "two"))).jobs


async def test_what_opens_by_time_alone_is_not_missed(store: SQLiteStore, clock: ManualClock) -> None:
    await store.queues.configure(QueueConfig("default", max_concurrency=1))
    assert await store.queues.take_slot("default", WorkerID.new(), lease=30.0, limit=1) is Reply.APPLIED
    await store.jobs.enqueue([new()])
    assert not (await claim(store)).jobs
    clock.advance(31)
    assert (await claim(store)).jobs


async def test_a_store_that_was_opened_again_looks_again(store: SQLiteStore, looks: list[Claim]) -> None:
    assert not (await claim(store)).jobs
    await store.close()
    await store.open()
    assert not (await claim(store)).jobs
    assert len(looks) == 2
