"""The disk is full for a while: an enqueue says so clearly, and once there is room all goes on by itself."""

from __future__ import annotations

import contextlib
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from .checker import Plan
from .controller import Controller
from .producer import naps


def hold_full(run: Controller) -> None:
    """Waits, on a disk that has just become full, until enqueues have been refused a few times."""
    run.until(lambda: len(run.seen("refused")) >= 5, "enqueues are refused", timeout=60)


def judge(run: Controller, least: int, title: str) -> None:
    """Lets the work go on and end, and looks at what the refusals said."""
    refused = len(run.seen("refused"))
    acked = len(run.seen("acked"))
    run.until(lambda: len(run.seen("acked")) >= acked + 20, "enqueues are taken again")
    producer = run.processes[-1]
    run.terminate(producer)
    assert run.reap(producer) == 0
    run.until_done()
    assert all(worker.popen.poll() is None for worker in run.processes[:-1]), "a worker died of the full disk"
    run.finish()
    errors = {event["error"] for event in run.seen("refused")}
    assert errors == {"StoreFull"}, errors
    message = run.seen("refused")[0]["message"]
    assert "no room left" in message and str(run.db) in message and "nothing was written" in message
    run.verdict(Plan(jobs=least, outages=1), f"{title}, {refused} enqueues refused")


@pytest.mark.slow
@pytest.mark.timeout(120)
def test_a_store_that_may_not_grow_refuses_enqueues_and_recovers(tmp_path: Path) -> None:
    flag = tmp_path / "full"
    with Controller(tmp_path, full=flag) as run:
        run.enqueue(naps("before", 60, 1_000))
        workers = [run.worker(), run.worker()]
        for worker in workers:
            run.until_running(worker)
        run.producer("during", full=flag, ms=20)
        run.until(lambda: len(run.seen("acked")) > 10, "enqueues are taken")
        run.log.add("outage")
        flag.touch()
        hold_full(run)
        flag.unlink()
        run.log.add("outage_over")
        judge(run, 40, "no further page")


@contextlib.contextmanager
def small_disk(folder: Path, megabytes: int) -> Iterator[Path]:
    """A disk of that size; skips the test where this user may not mount one."""
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={megabytes}m", "tmpfs", str(folder)]
    try:
        mounted = os.geteuid() == 0 and subprocess.run(mount, capture_output=True, timeout=10).returncode == 0
    except OSError:
        mounted = False
    if not mounted:
        pytest.skip("mounting a small disk needs root; the page limit above shows the same without")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True, timeout=10)


@pytest.mark.slow
@pytest.mark.timeout(120)
def test_a_full_disk_refuses_enqueues_and_everything_recovers_when_there_is_room(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", 16) as disk, Controller(tmp_path, store=disk) as run:
        run.enqueue(naps("before", 60, 1_000))
        workers = [run.worker(), run.worker()]
        for worker in workers:
            run.until_running(worker)
        run.producer("during", ms=20)
        run.until(lambda: len(run.seen("acked")) > 10, "enqueues are taken")
        ballast = disk / "ballast"
        run.log.add("outage")
        with ballast.open("wb", buffering=0) as file, contextlib.suppress(OSError):
            while file.write(b"\0" * 4096):
                pass
        hold_full(run)
        ballast.unlink()
        run.log.add("outage_over")
        judge(run, 40, "a full disk")
