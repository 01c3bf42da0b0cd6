"""The store cannot be written for longer than a lease: everybody waits, nobody steals, all of it goes on by itself."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from .checker import Plan
from .controller import Controller
from .producer import naps

LEASE = 2.0


@pytest.mark.slow
@pytest.mark.timeout(120)
@pytest.mark.parametrize("ms", [100, 4_000], ids=["short jobs", "jobs longer than the outage"])
def test_after_an_outage_nobody_steals_for_a_lease_and_everything_completes(tmp_path: Path, ms: int) -> None:
    with Controller(tmp_path, concurrency=10, lease=LEASE, heartbeat=0.4) as run:
        run.enqueue(naps("work", 300 if ms < 1000 else 20, ms))
        workers = [run.worker(), run.worker()]
        for worker in workers:
            run.until_running(worker, 5)
        with run.outage():
            began = time.monotonic()
            run.until(lambda: time.monotonic() - began > 1.5 * LEASE, "the outage has lasted for more than a lease")
        run.until_done()
        assert all(worker.popen.poll() is None for worker in workers), "a worker died of the outage"
        run.finish()
        report = run.verdict(Plan(jobs=20, outages=1, concurrency=10), f"an outage of {1.5 * LEASE:g} s")
        (over,) = run.seen("outage_over")
        too_soon = [m for m in run.dump().moves if m.act == "steal" and m.at < over["at"] + LEASE * 1e6]
        assert not too_soon
        assert report.figures.beats > 0 and run.seen("beat_failed")
