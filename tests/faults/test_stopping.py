"""SIGTERM: what runs is finished or given back, nothing is lost, nothing is counted, the process ends with 0."""

from __future__ import annotations

from pathlib import Path

import pytest

from .checker import Plan
from .controller import Controller, Process
from .history import Dump
from .producer import naps
from .work import nap


def counted(dump: Dump) -> list[str]:
    """The jobs that a stop was counted against."""
    return [row.id for row in dump.jobs if row.failures or row.crashes]


@pytest.mark.slow
@pytest.mark.timeout(60)
def test_a_job_in_flight_at_sigterm_finishes_once_and_the_worker_exits_with_0(tmp_path: Path) -> None:
    with Controller(tmp_path) as run:
        run.enqueue([("long", nap.call("long", 2000))])
        worker = run.worker()
        run.until_running(worker)
        run.terminate(worker)
        assert run.reap(worker) == 0
        assert len(run.seen("end", serial="long")) == 1
        assert worker.exit is not None and worker.exit["reason"] == "signal" and worker.exit["completed"] == 1
        report = run.verdict(Plan(jobs=1), "SIGTERM with a job in flight")
        assert report.figures.starts == 1 and not counted(run.dump())


@pytest.mark.slow
@pytest.mark.timeout(60)
def test_a_second_sigterm_gives_the_job_back_at_once_uncounted(tmp_path: Path) -> None:
    with Controller(tmp_path) as run:
        run.enqueue([("endless", nap.call("endless", 600_000))])
        worker = run.worker()
        run.until_running(worker)
        run.terminate(worker)
        run.until(lambda: run.query("SELECT 1 FROM workers WHERE state = 'draining'"), "the worker drains")
        assert run.query("SELECT state FROM jobs") == [("running",)]
        run.terminate(worker)
        assert run.reap(worker, timeout=10) == 0
        assert run.query("SELECT state, failures, crashes FROM jobs") == [("pending", 0, 0)]
        assert run.query("SELECT state FROM workers") == [("dead",)]
        assert [move.act for move in run.dump().moves] == ["claim", "release"]


def stop_under_load(folder: Path, *, rounds: int, at_once: int, per_round: int, ms: int, grace: float) -> None:
    """Again and again starts workers on a backlog and stops them all while they run; then drains what is left."""
    with Controller(folder, concurrency=20, lease=10.0, heartbeat=2.0, grace=grace) as run:
        for number in range(rounds):
            run.enqueue(naps(f"round{number}", per_round, ms))
            workers: list[Process] = [run.worker() for _ in range(at_once)]
            for worker in workers:
                run.until_running(worker, 5)
            for worker in workers:
                run.terminate(worker)
            assert [run.reap(worker) for worker in workers] == [0] * at_once
            assert run.query("SELECT count(*) FROM jobs WHERE state = 'running'") == [(0,)]
        assert run.unfinished() > 0, "the load was too light: the workers were idle when they were stopped"
        for _ in range(at_once):
            run.worker()
        run.until_done(timeout=120)
        run.finish()
        plan = Plan(jobs=rounds * per_round, workers=at_once)
        report = run.verdict(plan, f"{rounds * at_once} SIGTERM under load, grace {grace:g} s")
        assert not counted(run.dump()) and not report.figures.steals
        assert (report.figures.duplicates > 0) == (grace * 1000 < ms)


@pytest.mark.slow
@pytest.mark.timeout(90)
def test_sigterm_under_load_loses_nothing_and_counts_nothing(tmp_path: Path) -> None:
    stop_under_load(tmp_path, rounds=1, at_once=3, per_round=400, ms=400, grace=25)


@pytest.mark.slow
@pytest.mark.timeout(90)
def test_sigterm_with_too_little_grace_gives_back_what_it_cuts_off(tmp_path: Path) -> None:
    stop_under_load(tmp_path, rounds=1, at_once=2, per_round=60, ms=700, grace=0.1)


@pytest.mark.proof
@pytest.mark.timeout(400)
def test_a_hundred_sigterms_under_load_lose_nothing_and_count_nothing(tmp_path: Path) -> None:
    stop_under_load(tmp_path, rounds=25, at_once=4, per_round=280, ms=400, grace=25)
