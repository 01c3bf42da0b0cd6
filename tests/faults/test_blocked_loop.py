"""An async job that blocks its event loop keeps its lease, and the log names the line that blocks."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from . import work
from .checker import Plan
from .controller import Controller


def block_the_loop(folder: Path, *, ms: int) -> None:
    with Controller(folder, lease=2.0, heartbeat=0.4) as run:
        run.enqueue([("blocker", work.block.call("blocker", ms))])
        worker = run.worker()
        run.until_running(worker)
        thief = run.worker()
        run.until(lambda: thief.worker, "a second worker that could steal is ready")
        run.until_done()
        run.finish()
        report = run.verdict(Plan(jobs=1), f"a loop blocked for {ms} ms")
        assert (report.figures.starts, report.figures.steals) == (1, 0)
        held = [beat for beat in run.seen("beat", worker=worker.worker) if beat["held"]]
        assert len(held) >= ms / 1000 / 0.4 / 2, f"only {len(held)} beats kept the lease"
        said = re.search(r"blocked for [\d.]+ s by (\S+):(\d+) in block", worker.output.read_text())
        assert said is not None, worker.output.read_text()
        assert Path(said[1]) == Path(work.__file__)
        assert "time.sleep" in Path(said[1]).read_text().splitlines()[int(said[2]) - 1]


@pytest.mark.slow
@pytest.mark.timeout(60)
def test_a_job_that_blocks_the_loop_for_longer_than_a_lease_keeps_it_and_is_named(tmp_path: Path) -> None:
    block_the_loop(tmp_path, ms=3_500)


@pytest.mark.proof
@pytest.mark.timeout(90)
def test_a_job_that_blocks_the_loop_for_ten_seconds_keeps_its_lease(tmp_path: Path) -> None:
    block_the_loop(tmp_path, ms=10_000)
