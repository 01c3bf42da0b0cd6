"""Copies of whole stores: the same on both sides, through any kind of store, and after a kill half-way."""

from __future__ import annotations

import asyncio
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import pytest
from population import digest, populate
from servers.postgres import new_namespace
from servers.redis import forget, redis_url

from dispatch import Dispatch, WorkflowContext
from dispatch.clock import ManualClock
from dispatch.cluster import NewWorker
from dispatch.errors import CopyRefused
from dispatch.ids import JobID, RunID, WorkerID
from dispatch.jobs.model import NewJob, Transition, Verdict
from dispatch.registry import Registry
from dispatch.services.transfer import MARK, StoreCopy
from dispatch.store import Store
from dispatch.stores import open_store
from dispatch.stores.redis import RedisStore
from dispatch.testing.conformance.env import Env
from dispatch.testing.conformance.run_transfer import populate_runs
from dispatch.transfer import Document, TransferKind
from dispatch.workflows import RunState
from dispatch.workflows.model import Run

KILLED = """
import asyncio, os, signal, sys
from dispatch.services.transfer import StoreCopy
from dispatch.stores import open_store

async def main(source, target, after):
    theirs, ours = open_store(source), open_store(target)
    await theirs.open()
    await ours.open()
    copied = 0

    def tick(steps):
        nonlocal copied
        copied += steps
        if copied >= after:
            os.kill(os.getpid(), signal.SIGKILL)

    await StoreCopy(theirs, ours, name="here").run(copied=tick, compared=lambda steps: None)

asyncio.run(main(sys.argv[1], sys.argv[2], int(sys.argv[3])))
"""


@asynccontextmanager
async def opened(*urls: str) -> AsyncIterator[list[Store]]:
    async with AsyncExitStack() as stack:
        stores = []
        for url in urls:
            store = open_store(url)
            await store.open()
            stack.push_async_callback(store.close)
            stores.append(store)
        yield stores


def nothing(steps: int) -> None:
    """Nobody watches."""


async def copied(source: Store, target: Store, name: str = "here") -> int:
    done = await StoreCopy(source, target, name=name).run(copied=nothing, compared=nothing)
    assert done.differences.first == []
    assert await target.records.get(*MARK) is None
    return done.written


async def there_and_back(folder: Path, jobs: int) -> None:
    first, second, third = (f"sqlite:///{folder}/{name}.db" for name in "abc")
    async with opened(first, second, third, "memory://") as (source, file, back, memory):
        await populate(source, jobs)
        await populate_runs(Env(source, ManualClock()))
        wanted = await digest(source)
        await copied(source, file)
        assert await digest(file) == wanted
        await copied(file, memory)
        assert await digest(memory) == wanted
        await copied(memory, back)
        assert await digest(back) == wanted
        assert await digest(source) == wanted, "the copy changed its source"


async def killed_half_way(folder: Path, jobs: int) -> None:
    source, target = (f"sqlite:///{folder}/{name}.db" for name in ("source", "target"))
    async with opened(source) as (store,):
        await populate(store, jobs)
        wanted = await digest(store)
        everything = sum((await store.transfer.count()).values())
    for share in (4, 2):
        done = subprocess.run([sys.executable, "-c", KILLED, source, target, str(everything // share)], check=False)
        assert done.returncode == -signal.SIGKILL
    async with opened(source, target) as (store, half):
        assert everything // 4 < sum((await half.transfer.count()).values()) < everything
        written = await copied(store, half)
        assert 0 < written <= everything * 3 // 4, "it began anew"
        assert await digest(half) == wanted


async def test_a_copy_is_the_same_through_files_and_memory(tmp_path: Path) -> None:
    await there_and_back(tmp_path, 2000)


async def test_a_copy_that_was_killed_half_way_is_taken_up_again(tmp_path: Path) -> None:
    await killed_half_way(tmp_path, 3000)


async def test_what_was_completed_on_redis_is_the_same_in_a_file_and_back_again(tmp_path: Path) -> None:
    (kept, file), worker = (f"sqlite:///{tmp_path}/{name}.db" for name in "ab"), WorkerID.new()
    async with opened(kept, file) as (mirror, target), AsyncExitStack() as stack:
        source, back = (RedisStore(redis_url(), namespace=new_namespace()) for _ in range(2))
        for store in (source, back):
            stack.callback(forget, store.namespace)
            await store.open()
            stack.push_async_callback(store.close)
        await source.jobs.enqueue([NewJob(JobID.new(), "work", b"{}") for _ in range(3)])
        for verdict in (Verdict.SNOOZE, Verdict.COMPLETE):
            claimed = await source.jobs.claim(worker, queues={"default": 9}, names=["work"], limit=2, lease=60.0)
            await source.jobs.finish(worker, [Transition(job.id, job.epoch, verdict) for job in claimed.jobs])
        await copied(source, target)
        await copied(target, back)
        await copied(back, mirror)


async def test_what_was_completed_at_its_second_try_is_the_same_in_another_file(tmp_path: Path) -> None:
    here, there = (f"sqlite:///{tmp_path}/{name}.db" for name in ("here", "there"))
    async with opened(here, there) as (source, target):
        worker = WorkerID.new()
        await source.jobs.enqueue([NewJob(JobID.new(), "work", b"{}")])
        for verdict in (Verdict.SNOOZE, Verdict.COMPLETE):
            (job,) = (await source.jobs.claim(worker, queues={"default": 1}, names=["work"], limit=1, lease=60.0)).jobs
            await source.jobs.finish(worker, [Transition(job.id, job.epoch, verdict)])
        await copied(source, target)


@pytest.mark.proof
@pytest.mark.timeout(900)
async def test_two_hundred_thousand_jobs_are_the_same_through_files_and_memory(tmp_path: Path) -> None:
    await there_and_back(tmp_path, 200_000)


@pytest.mark.proof
@pytest.mark.timeout(900)
async def test_a_copy_of_two_hundred_thousand_jobs_is_killed_and_taken_up_again(tmp_path: Path) -> None:
    await killed_half_way(tmp_path, 200_000)


async def test_what_is_enqueued_between_a_kill_and_the_second_try_is_copied_too() -> None:
    async with opened("memory://", "memory://") as (source, target):
        await populate(source, 1200)
        with pytest.raises(ZeroDivisionError):
            await StoreCopy(source, target, name="here").run(
                copied=lambda steps: steps // (steps < 500), compared=nothing
            )
        await source.jobs.enqueue([NewJob(JobID.new(), "late", b"{}")])
        await copied(source, target)
        assert await digest(source) == await digest(target)


async def test_a_store_with_something_in_it_is_no_destination() -> None:
    async with opened("memory://", "memory://") as (source, target):
        await target.jobs.enqueue([NewJob(JobID.new(), "work", b"{}")])
        before = await digest(target)
        with pytest.raises(CopyRefused, match=r"not empty \(1 jobs\)"):
            await copied(source, target)
        assert await digest(target) == before


async def test_a_copy_of_one_store_does_not_go_on_with_that_of_another() -> None:
    async with opened("memory://", "memory://") as (source, target):
        await populate(source, 1200)
        with pytest.raises(ZeroDivisionError):
            await StoreCopy(source, target, name="here").run(copied=lambda steps: steps // 0, compared=nothing)
        with pytest.raises(CopyRefused, match="unfinished copy of here, not of there"):
            await copied(source, target, name="there")
        async with opened("memory://") as (third,):
            with pytest.raises(CopyRefused, match="itself an unfinished copy"):
                await copied(target, third)
        await copied(source, target)


async def reaches(app: Dispatch, run_id: RunID, state: RunState) -> Run:
    async with asyncio.timeout(20):
        while (run := await app.workflows.get(run_id)).state is not state:
            await asyncio.sleep(0.01)
    return run


async def test_a_run_that_was_copied_while_it_waited_goes_on_at_the_destination(tmp_path: Path) -> None:
    registry, charged = Registry(), []

    async def charge(order: int) -> int:
        charged.append(order)
        return order

    @registry.workflow
    async def checkout(ctx: WorkflowContext, order: int) -> list[int]:
        await ctx.step("charge", charge, order)
        return [await ctx.wait_for_event("paid", int, key=order), await ctx.wait_for_event("sent", int, key=order)]

    here, there = (f"sqlite:///{tmp_path}/{name}.db" for name in ("here", "there"))
    async with Dispatch(here, registry=registry) as app:
        run = await checkout.start(7)
        await app.start()
        await reaches(app, run.id, RunState.WAITING)
        await app.stop()
        await app.events.publish("paid", 1, key=7)
    async with opened(here, there) as (source, target):
        await copied(source, target)
    async with Dispatch(there, registry=registry) as app:
        await app.events.publish("sent", 2, key=7)
        await app.start()
        assert (await reaches(app, run.id, RunState.COMPLETED)).result == b"[1,2]"
    assert charged == [7]


@pytest.mark.parametrize("where", ["source", "destination"])
async def test_nothing_is_copied_while_a_worker_lives(where: str) -> None:
    async with opened("memory://", "memory://") as (source, target):
        worker = NewWorker(WorkerID.new(), "host", 1, ("default",), ("work",), 1, 30.0)
        await (source if where == "source" else target).cluster.register(worker)
        with pytest.raises(CopyRefused, match=f"workers live at the {where}"):
            await copied(source, target)
        forced = StoreCopy(source, target, name="here", force=True).run(copied=nothing, compared=nothing)
        if where == "source":
            assert (await forced).written == 0
        else:
            with pytest.raises(CopyRefused):
                await forced


class Meddled:
    """The transfer part of a store somebody else writes to."""

    def __init__(self, store: Store) -> None:
        self._true = store.transfer
        self.count, self.load = self._true.count, self._true.load

    async def export(self, kind: TransferKind, **options: object) -> object:
        page = await self._true.export(kind, **options)  # type: ignore[arg-type]
        documents: list[Document] = page.items
        for document in documents[:1] if kind == "jobs" else []:
            document["priority"] += 1
        return page


async def test_a_destination_that_differs_is_told_and_stays_marked_as_unfinished() -> None:
    clock = ManualClock()
    source, target = open_store("memory://", clock=clock), open_store("memory://", clock=clock)
    await source.open()
    await target.open()
    await populate(source, 10)
    target.transfer = Meddled(target)  # type: ignore[misc, assignment]
    done = await StoreCopy(source, target, name="here").run(copied=nothing, compared=nothing)
    (found,) = done.differences.first
    assert (found.kind, found.text) == ("jobs", "differs in priority")
    assert await target.records.get(*MARK) is not None
    extra = (await source.transfer.export("jobs", limit=1)).items[0]["id"]
    await source.jobs.delete(JobID(extra))
    again = await StoreCopy(source, target, name="here").run(copied=nothing, compared=nothing)
    assert (extra, "is not at the source any more") in {(found.key, found.text) for found in again.differences.first}
