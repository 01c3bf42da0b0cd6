"""With 100,000 jobs in the store each page is there within a second."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest

from dispatch.ids import JobID, WorkerID
from dispatch.jobs.model import NewJob, Transition, Verdict
from tests.dashboard.browsing import Place, placed, visiting

pytestmark = [pytest.mark.slow, pytest.mark.proof, pytest.mark.timeout(600)]
MANY, AT_ONCE = 100_000, 1000
PAGES = (
    *("overview", "jobs", "jobs?state=completed", "jobs?name=work3", "definitions", "errors", "dead", "queues"),
    *("runs", "crons", "events", "workers", "audit"),
)


async def fill(place: Place) -> None:
    store, worker = place.app.store, WorkerID.new()
    names = [f"work{number}" for number in range(10)]
    for _ in range(MANY // AT_ONCE):
        jobs = [NewJob(JobID.new(), names[at % 10], b'{"order": 1}', queue="load") for at in range(AT_ONCE)]
        await store.jobs.enqueue(jobs)
        claimed = (await store.jobs.claim(worker, queues={"load": 500}, names=names, limit=500, lease=600)).jobs
        await store.jobs.finish(worker, [Transition(job.id, job.epoch, Verdict.COMPLETE) for job in claimed])


def test_every_page_is_there_within_a_second(chromium: Any, tmp_path: Path) -> None:
    with placed(f"sqlite:///{tmp_path}/many.db") as place:
        place.run(fill(place), 500)
        took: dict[str, float] = {}
        with visiting(chromium, place) as visit:
            for address in PAGES:
                visit.go("settings", "Settings")
                began = time.perf_counter()
                visit.go(address).locator("h1#title").wait_for()
                took[address] = time.perf_counter() - began
        slow = {address: round(seconds, 2) for address, seconds in took.items() if seconds >= 1}
        print({address: round(seconds, 2) for address, seconds in took.items()})
        assert slow == {}
