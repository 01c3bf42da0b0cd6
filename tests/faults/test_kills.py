"""Workers on one SQLite file are killed and stopped while they work: nothing is lost, nothing ends twice."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from .checker import Plan, Report
from .controller import Controller
from .producer import naps
from .storm import Storm, Weather

PORTION = 100
# A job that a storm hits four times would rightly be condemned as one that kills its workers; here all shall complete.
MAX_CRASHES = 20


def survive(folder: Path, storm: Storm, *, jobs: int, ms: int, first: int, title: str) -> Report:
    """Enqueues `first` jobs, lets the storm blow (with more jobs whenever work runs short), and judges the run."""
    with Controller(folder, concurrency=20, lease=2.0, heartbeat=0.4, max_crashes=MAX_CRASHES) as run:
        made = 0

        def enqueue(count: int) -> None:
            nonlocal made
            run.enqueue(naps(f"job-{made}", count, ms))
            made += count

        def feed() -> None:
            if run.unfinished() < PORTION:
                enqueue(PORTION)

        enqueue(first)
        weather = Weather(run, replace(storm, feed=feed))
        weather.blow()
        enqueue(max(jobs - made, 1))
        run.until_done(timeout=90)
        run.finish()
        plan = Plan(
            kills=storm.kills,
            stops=storm.stops,
            hits=storm.kills // 2 + storm.stops,
            zombies=storm.stops > 0,
            jobs=jobs,
            workers=storm.workers,
            max_crashes=MAX_CRASHES,
        )
        report = run.verdict(plan, title)
        print(f"{title}: {weather.zombies} zombies wrote too late, {weather.gates} stops hit a process inside the gate")
        assert weather.zombies == storm.stops
        return report


@pytest.mark.slow
@pytest.mark.timeout(150)
def test_killed_and_stopped_workers_lose_nothing_and_end_nothing_twice(tmp_path: Path) -> None:
    storm = Storm(kills=5, stops=1, every=0.7)
    survive(tmp_path, storm, jobs=600, ms=50, first=100, title="small storm")


@pytest.mark.proof
@pytest.mark.timeout(300)
def test_a_kill_a_second_for_twenty_seconds_over_five_thousand_jobs(tmp_path: Path) -> None:
    storm = Storm(kills=20, stops=1, every=1.0)
    survive(tmp_path, storm, jobs=5_000, ms=100, first=5_000, title="20 kills, 5,000 jobs")


@pytest.mark.proof
@pytest.mark.timeout(400)
def test_forty_kills_and_five_zombies_among_three_workers_on_one_file(tmp_path: Path) -> None:
    storm = Storm(kills=40, stops=5, workers=3, every=0.8, timeout=200)
    survive(tmp_path, storm, jobs=6_000, ms=100, first=1_000, title="40 kills, 5 stops, 6,000 jobs, 3 workers")
