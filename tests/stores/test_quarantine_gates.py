"""Jobs that crashed workers wait behind the same gates as others, and nobody turns in circles because of them."""

from __future__ import annotations

from typing import Any

import pytest

from dispatch.clock import ManualClock
from dispatch.ids import JobID, WorkerID
from dispatch.jobs.model import Claimed, NewJob
from dispatch.queues import QueueConfig
from dispatch.scope import Scope
from dispatch.store import Store

SHOP, BANK = Scope("shop", "a"), Scope("bank", "b")


def new(scope: Scope, **fields: Any) -> NewJob:
    return NewJob(JobID.new(), "work", b"{}", scope=scope, **fields)


async def claim(store: Store, *, alone: bool = False, lease: float = 1000) -> Claimed:
    return await store.jobs.claim(
        WorkerID.new(), queues={"default": 5}, names=["work"], limit=5, lease=lease, alone=alone
    )


async def crash_twice(store: Store, clock: ManualClock, job: NewJob, *, pause: float = 0.0) -> None:
    await store.jobs.enqueue([job])
    for _ in range(2):
        (taken,) = (await claim(store, alone=True, lease=1)).jobs
        assert taken.id == job.id
        clock.advance(2)
        assert await store.jobs.steal(limit=1, max_crashes=9, delays=[0, pause])
    clock.advance(1)


async def look(store: Store) -> bool:
    return await store.jobs.quarantined(queues=["default"], names=["work"], due_for=0)


async def test_a_quarantined_job_of_a_full_tenant_is_not_called_due_over_and_over(
    store: Store, clock: ManualClock
) -> None:
    await store.queues.configure(QueueConfig("default", tenant_concurrency=1))
    await crash_twice(store, clock, new(SHOP))
    await store.jobs.enqueue([new(SHOP)])
    assert len((await claim(store)).jobs) == 1
    empty = await claim(store, alone=True)
    assert empty.jobs == []
    assert empty.next_due is None
    assert not await look(store)


async def test_a_quarantined_job_of_a_full_tenant_does_not_stand_before_another_tenant_s(
    store: Store, clock: ManualClock
) -> None:
    await store.queues.configure(QueueConfig("default", tenant_concurrency=1))
    await crash_twice(store, clock, new(BANK, priority=-1), pause=60)
    await crash_twice(store, clock, new(SHOP))
    clock.advance(60)
    await store.jobs.enqueue([new(SHOP)])
    assert [job.scope for job in (await claim(store)).jobs] == [SHOP]
    assert await look(store)
    assert [job.scope for job in (await claim(store, alone=True)).jobs] == [BANK]


@pytest.mark.parametrize("gate", ["pause", "limit", "rate"])
async def test_nobody_drains_for_a_quarantined_job_behind_a_shut_gate(
    store: Store, clock: ManualClock, gate: str
) -> None:
    await crash_twice(store, clock, new(SHOP))
    assert await look(store)
    if gate == "pause":
        await store.queues.pause("default")
    elif gate == "limit":
        await store.queues.configure(QueueConfig("default", max_concurrency=1))
        await store.queues.take_slot("default", "somebody", lease=1000)
    else:
        await store.queues.configure(QueueConfig("default", rate_limit=0.0))
    assert not await look(store)
