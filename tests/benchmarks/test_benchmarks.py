"""The benchmarks run, and count what they say they count."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def bench(*words: str) -> str:
    path = os.pathsep.join(map(str, [ROOT / "tests", ROOT, ROOT / "cli"]))
    ran = subprocess.run(
        [sys.executable, "-m", "benchmarks", *words],
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    return ran.stdout if ran.returncode == 0 else ran.stderr


def test_a_small_run_measures_cleans_up_and_draws(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib", reason="the group `bench` is not installed")
    store, plots = tmp_path / "store", tmp_path / "plots"
    store.mkdir()
    sizes = ("--jobs", "50", "--rounds", "1", "--processes", "1", "--largest", "50")
    said = bench("one", "latency", "scaling", *sizes, "--store", f"sqlite:///{store}", "--plots", str(plots))
    assert '"one_blocking": {"per_second"' in said, said
    assert '"p50_ms"' in said
    assert '"resident_mib"' in said
    assert {file.name for file in plots.iterdir()} == {"latency.svg", "scaling.svg"}
    assert not list(store.iterdir())


def test_telemetry_is_measured_in_pairs(tmp_path: Path) -> None:
    said = bench("telemetry", "--jobs", "50", "--rounds", "1", "--store", f"sqlite:///{tmp_path}")
    assert '"no_op": {"off_per_second"' in said, said
    assert '"unused": {"us_a_job"' in said


def test_requests_of_the_wire_protocol_are_measured_beside_a_bare_route(tmp_path: Path) -> None:
    said = bench("rpc", "--jobs", "64", "--rounds", "1", "--store", f"sqlite:///{tmp_path}")
    assert '"job_get_ratio"' in said, said
    assert '"job_enqueue_ratio"' in said


def test_an_unknown_measure_is_refused() -> None:
    assert "there is no measure 'speed'" in bench("speed")


@pytest.mark.proof
@pytest.mark.timeout(120)
def test_claims_a_fleet_and_a_held_snapshot_are_measured_on_postgres() -> None:
    from servers.postgres import postgres_url

    sizes = ("--jobs", "1000", "--rounds", "1", "--workers", "2", "--largest", "1000", "--seconds", "1")
    said = bench("claims", "scaling", "snapshot", *sizes, "--store", postgres_url())
    assert '"claims": {"1000": {"p50_ms"' in said, said
    assert '"deadlocks": 0.0' in said
    assert '"held": {"first_sixth"' in said


def test_a_snapshot_is_held_on_postgres_only() -> None:
    assert "measured on PostgreSQL" in bench("snapshot", "--store", "redis://127.0.0.1:1")


def test_a_folder_that_is_not_there_is_named() -> None:
    assert "srv/nowhere is no folder; an absolute one has four slashes" in bench(
        "one", "--store", "sqlite:///srv/nowhere"
    )
