"""`dispatch bench`: figures from an empty store beside the configured one."""

from __future__ import annotations

from pathlib import Path

import pytest
from dispatch_cli.bench import rows_of
from dispatch_cli.bench_measure import percentile

from tests.cli.conftest import Seeds, run


@pytest.mark.parametrize(
    ("values", "share", "wanted"),
    [([3.0, 1.0, 2.0], 50, 2.0), ([1.0, 2.0, 3.0, 4.0], 50, 2.0), ([5.0], 99, 5.0), (range(1, 101), 99, 99)],
)
def test_a_percentile_is_a_value_that_was_measured(values: list[float], share: float, wanted: float) -> None:
    assert percentile(values, share) == wanted


def test_bars_compare_figures_of_one_unit() -> None:
    figures = {
        **{"one_per_second": 10.0, "bulk_per_second": 1000.0, "drain_per_second": 500.0},
        **{"latency_p50_seconds": 0.001, "latency_p95_seconds": 0.002, "latency_p99_seconds": 0.004},
    }
    rows = rows_of(figures, bars=True)
    assert [len(row["bar"]) for row in rows] == [1, 24, 12, 6, 12, 24]
    assert [row["figure"] for row in rows] == ["10", "1,000", "500", "1.0", "2.0", "4.0"]


def test_the_configured_store_is_left_as_it_was_and_the_scratch_store_is_gone(seeds: Seeds, folder: Path) -> None:
    (folder / "dispatch.toml").write_text("[queue.default]\nmax_concurrency = 1\nrate_limit = 0.1\n")
    before = (folder / "dispatch.db").read_bytes()
    ran = run("bench", "-n", "20", "--json")
    assert ran.code == 0, ran.err
    assert ran.json["jobs"] == 20
    assert (folder / "dispatch.db").read_bytes() == before
    assert [path.name for path in folder.iterdir() if "scratch" in path.name] == []


def test_a_folder_that_is_not_there_is_exit_6(folder: Path) -> None:
    assert run("bench", "-n", "5", "--store", "sqlite:///no/where.db").code == 6
