"""Many plain jobs at once: stores write together what jobs share, and only jobs that are written alike share it."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from store_kinds import kinds, maker

from dispatch.clock import ManualClock
from dispatch.ids import JobID
from dispatch.jobs.model import NewJob
from dispatch.scope import Scope
from dispatch.store import Store
from dispatch.stores.sql.enqueue import ALIKE_FROM

MOMENT = datetime(2030, 1, 1, tzinfo=UTC)
"""Long after the stores' clock."""


@pytest_asyncio.fixture(params=kinds())
async def store(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Store]:
    made = maker(request.param, tmp_path)(ManualClock())
    await made.open()
    yield made
    await made.close()


def new(**fields: Any) -> NewJob:
    return NewJob(JobID.new(), "work", b"{}", **fields)


@pytest.mark.parametrize(
    "odd",
    [
        {"metadata": {"n": True}},
        {"metadata": {"n": 1.0}},
        {"metadata": {}},
        {"queue": "other"},
        {"lane": "x"},
        {"priority": 1},
        {"delay": 60.0},
        {"run_at": MOMENT},
        {"scope": Scope("shop", "t-1")},
    ],
    ids=["true", "one point nought", "none", "queue", "lane", "priority", "delay", "run_at", "scope"],
)
async def test_the_one_job_of_a_batch_that_differs_keeps_what_it_was_given(store: Store, odd: dict[str, Any]) -> None:
    jobs = [new(metadata={"n": 1}) for _ in range(ALIKE_FROM)]
    jobs[-1] = replace(jobs[-1], **odd)
    await store.jobs.enqueue(jobs)
    for job in jobs:
        row = await store.jobs.get(job.id)
        assert row is not None
        assert json.dumps(row.metadata) == json.dumps(job.metadata)  # 1, 1.0 and True are equal
        assert (row.queue, row.lane, row.priority, row.scope) == (job.queue, job.lane or "", job.priority, job.scope)
        assert row.run_at == (job.run_at or row.created_at + timedelta(seconds=job.delay or 0))


async def test_an_id_that_comes_twice_in_a_batch_is_added_once(store: Store) -> None:
    jobs = [new() for _ in range(ALIKE_FROM)]
    answers = await store.jobs.enqueue([*jobs, jobs[0]])
    assert [answer.created for answer in answers] == [True] * ALIKE_FROM + [False]
