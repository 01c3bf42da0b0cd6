"""A process that is stopped while it writes holds up everyone; once it continues or dies, all goes on by itself."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from .checker import Plan
from .controller import Controller, Process
from .producer import naps
from .sqlite_ledger import SQLiteLedger

LEASE = 2.0
MOST_TRIES = 500


def stop_in_the_gate(run: Controller, workers: list[Process]) -> Process:
    """Stops workers for an instant, in turn, until one stands in the gate."""
    for number in range(MOST_TRIES):
        worker = workers[number % len(workers)]
        run.stop(worker)
        if SQLiteLedger(run.db).held_up(0.05):
            return worker
        run.resume(worker)
    raise AssertionError(f"none of {MOST_TRIES} stops met a worker inside the gate")


@pytest.mark.slow
@pytest.mark.timeout(120)
@pytest.mark.parametrize("end", ["continued", "killed"])
def test_a_process_stopped_in_the_gate_holds_up_all_until_it_is(tmp_path: Path, end: str) -> None:
    with Controller(tmp_path, concurrency=10, lease=LEASE, heartbeat=0.4) as run:
        run.enqueue(naps("work", 1_500, 5))
        workers = [run.worker(), run.worker()]
        for worker in workers:
            run.until_running(worker)
        stopped = stop_in_the_gate(run, workers)
        run.log.add("outage")
        moves = run.query("SELECT count(*) FROM fault_moves")
        began = time.monotonic()
        run.until(lambda: time.monotonic() - began > 1.5 * LEASE, "the stop has lasted for more than a lease")
        assert run.query("SELECT count(*) FROM fault_moves") == moves, "somebody wrote past the gate"
        if end == "killed":
            run.kill(stopped)
        else:
            run.resume(stopped)
        run.log.add("outage_over")
        run.until_done()
        assert all(worker.popen.poll() is None for worker in workers if worker.alive), "a worker died of waiting"
        run.finish()
        plan = Plan(kills=end == "killed", stops=1, outages=1, jobs=1_500, concurrency=10)
        report = run.verdict(plan, f"stopped in the gate, then {end}")
        (over,) = run.seen("outage_over")
        assert not [m for m in run.dump().moves if m.act == "steal" and m.at < over["at"] + LEASE * 1e6], report.figures
