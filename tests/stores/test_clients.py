"""What holds for one client of any store beside the conformance suite: many callers at once, life after closing."""

from __future__ import annotations

import asyncio

import pytest
from store_kinds import Make

from dispatch.clock import ManualClock
from dispatch.errors import StoreError
from dispatch.ids import JobID, WorkerID
from dispatch.jobs.model import CountOptions, JobState, NewJob, Transition, Verdict
from dispatch.store import Store

WORKER = WorkerID.new()


async def _one_life(store: Store) -> None:
    await store.jobs.enqueue([NewJob(JobID.new(), "work", b"{}")])
    answer = await store.jobs.claim(WORKER, queues={"default": 1}, names=["work"], limit=1, lease=30.0)
    await store.jobs.finish(WORKER, [Transition(job.id, job.epoch, Verdict.COMPLETE) for job in answer.jobs])


async def test_many_tasks_may_use_one_client_at_once(store: Store) -> None:
    await asyncio.gather(*(_one_life(store) for _ in range(40)))
    assert (await store.jobs.count(CountOptions()))[JobState.COMPLETED] == 40


async def test_a_verb_on_a_closed_store_says_so(make: Make, clock: ManualClock) -> None:
    store = make(clock)
    await store.open()
    await store.close()
    with pytest.raises(StoreError):
        await store.jobs.get(JobID.new())
    with pytest.raises(StoreError):
        await store.jobs.enqueue([NewJob(JobID.new(), "work", b"{}")])
