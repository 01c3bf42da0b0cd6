"""Enqueues that come together are written together, and nobody notices but the disk."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path

from dispatch.errors import DuplicateJob, StoreBusy, StoreError
from dispatch.ids import JobID
from dispatch.jobs.model import CountOptions, Enqueued, JobState, NewJob, Unique
from dispatch.stores.sqlite import SQLiteStore
from dispatch.stores.together import MOST, Together


def new(name: str = "work", unique: Unique | None = None) -> NewJob:
    return NewJob(JobID.new(), name, b"{}", unique=unique)


class Disk:
    """Writes when it is told to; refuses jobs by name."""

    def __init__(self) -> None:
        self.written: list[list[str]] = []
        self.may_write = asyncio.Event()

    async def __call__(self, jobs: Sequence[NewJob]) -> list[Enqueued]:
        await self.may_write.wait()
        names = [job.name for job in jobs]
        if "twin" in names:
            raise DuplicateJob("twin", existing="other")
        if "busy" in names:
            raise StoreBusy("busy")
        self.written.append(names)
        return [Enqueued(job.id, True) for job in jobs]


async def outcomes(disk: Disk, *calls: Sequence[NewJob]) -> list[list[Enqueued] | BaseException]:
    """What each call was answered, all made while the first one was being written."""
    together = Together(disk)
    tasks = [asyncio.create_task(together.enqueue(jobs)) for jobs in calls]
    asyncio.get_running_loop().call_soon(disk.may_write.set)
    return await asyncio.gather(*tasks, return_exceptions=True)


async def test_what_comes_during_a_write_shares_the_next_one() -> None:
    disk = Disk()
    calls = [[new("a")], [new("b"), new("c")], [new("d")]]
    answers = await outcomes(disk, *calls)
    assert disk.written == [["a"], ["b", "c", "d"]]
    assert answers == [[Enqueued(job.id, True) for job in jobs] for jobs in calls]


async def test_a_conflict_is_answered_to_the_one_who_made_it() -> None:
    disk = Disk()
    first, before, twin, after = await outcomes(disk, [new("a")], [new("b")], [new("twin")], [new("c")])
    assert isinstance(twin, DuplicateJob)
    assert all(isinstance(answer, list) for answer in (first, before, after))
    assert disk.written == [["a"], ["b"], ["c"]]


async def test_a_store_that_fails_fails_for_all_who_shared() -> None:
    answers = await outcomes(Disk(), [new("a")], [new("busy")], [new("b")])
    assert [type(answer) for answer in answers] == [list, StoreBusy, StoreBusy]


async def test_a_transaction_does_not_grow_without_end() -> None:
    disk = Disk()
    half = [new("half") for _ in range(MOST // 2 + 1)]
    large = [new("large") for _ in range(MOST + 1)]
    await outcomes(disk, [new("a")], half, half, large, [new("b")], [new("c")])
    assert [len(names) for names in disk.written] == [1, len(half), len(half), len(large), 2]


async def test_who_stops_waiting_leaves_the_others_alone() -> None:
    disk = Disk()
    together = Together(disk)
    tasks = [asyncio.create_task(together.enqueue([new(name)])) for name in "abc"]
    await asyncio.sleep(0)
    tasks[0].cancel()
    tasks[1].cancel()
    disk.may_write.set()
    answers = await asyncio.gather(*tasks, return_exceptions=True)
    assert isinstance(answers[2], list)
    assert isinstance(await together.enqueue([new("d")]), list)


def test_a_loop_that_ended_in_the_middle_stops_nobody_on_the_next() -> None:
    async def begin(together: Together) -> list[asyncio.Task[list[Enqueued]]]:
        tasks = [asyncio.create_task(together.enqueue([new()])) for _ in range(2)]
        await asyncio.sleep(0)
        return tasks

    disk = Disk()
    together = Together(disk)
    first = asyncio.new_event_loop()
    tasks = first.run_until_complete(begin(together))
    disk.may_write = asyncio.Event()
    disk.may_write.set()
    assert len(asyncio.run(together.enqueue([new()]))) == 1
    assert not any(task.done() for task in tasks)
    for task in tasks:
        task.cancel()
    first.run_until_complete(asyncio.gather(*tasks, return_exceptions=True))
    first.close()


async def test_a_hundred_at_once_all_get_in_one_key_once(tmp_path: Path) -> None:
    store = SQLiteStore(tmp_path / "jobs.db")
    await store.open()
    once = [[new(unique=Unique("one", on_conflict="raise"))] for _ in range(5)]
    calls = [[new()] for _ in range(100)] + once
    answers = await asyncio.gather(*map(store.jobs.enqueue, calls), return_exceptions=True)
    assert sum(isinstance(answer, StoreError | DuplicateJob) for answer in answers) == 4
    assert (await store.jobs.count(CountOptions()))[JobState.PENDING] == 101
    await store.close()


async def test_a_closed_store_answers_everybody(tmp_path: Path) -> None:
    store = SQLiteStore(tmp_path / "jobs.db")
    answers = await asyncio.gather(*(store.jobs.enqueue([new()]) for _ in range(5)), return_exceptions=True)
    assert [isinstance(answer, StoreError) for answer in answers] == [True] * 5
