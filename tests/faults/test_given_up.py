"""A write that its caller stopped waiting for before it began is never made: nobody would know of it."""

from __future__ import annotations

import asyncio
import sqlite3
from datetime import timedelta
from pathlib import Path

from dispatch.clock import ManualClock
from dispatch.ids import JobID, WorkerID
from dispatch.jobs.model import JobState, NewJob
from dispatch.stores.sqlite import SQLiteStore


async def test_a_steal_given_up_during_an_outage_is_not_made_after_it(tmp_path: Path) -> None:
    clock = ManualClock()
    store = SQLiteStore(tmp_path / "jobs.db", clock=clock)
    await store.open()
    job, owner = JobID.new(), WorkerID.new()
    await store.jobs.enqueue([NewJob(job, "work", b"{}")])
    claimed = await store.jobs.claim(owner, queues={"default": 1}, names=["work"], limit=1, lease=2.0)
    clock.advance(timedelta(seconds=3))
    other = sqlite3.connect(tmp_path / "jobs.db", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    steal = asyncio.create_task(store.jobs.steal(limit=10, max_crashes=3, delays=[0.0]))
    await asyncio.wait([steal], timeout=0.2)
    assert not steal.done(), "the steal did not wait for the lock"
    steal.cancel()
    await asyncio.wait([steal])
    other.execute("ROLLBACK")
    other.close()

    # the owner's renewal stands behind the steal in the writer's line, so its answer tells whether the steal was made
    renewed = await store.jobs.renew(owner, [(job, claimed.jobs[0].epoch)], lease=2.0)
    assert renewed.held == [job]
    row = await store.jobs.get(job)
    assert row is not None and (row.state, row.crashes) == (JobState.RUNNING, 0)
    await store.close()
