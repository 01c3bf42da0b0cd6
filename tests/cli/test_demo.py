"""`dispatch demo` really does what it tells, and ends well."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.cli.conftest import run, spawn

pytestmark = pytest.mark.slow


def test_the_demo_runs_from_start_to_finish_and_loses_nothing(folder: Path) -> None:
    out, err = (process := spawn("demo", "--keep", "kept")).communicate(timeout=50)
    assert process.returncode == 0, err
    assert max(map(len, out.splitlines())) <= 80
    assert "\x1b" not in out
    for told in ("attempt 2 failed: ConnectionError", "dispatch dlq replay dlq_", "kill -9", "taken over", "jobs lost"):
        assert told in out
    kept = folder / "kept"
    assert (kept / "report.md").read_text().startswith("# 25 files") or len(list((kept / "index").iterdir())) > 10
    assert len(list((kept / "seals").iterdir())) == 3
    url = f"sqlite:///{kept}/demo.db"
    counts = run("job", "count", "--store", url, "--json").json
    assert (counts["failed"], counts["running"], counts["pending"], counts["retrying"]) == (1, 0, 0, 0)
    assert run("dlq", "list", "--state", "replayed", "--store", url, "-o", "ids").lines[0] in out
    assert run("demo", "--keep", "kept").code == 2


def test_the_demo_tells_its_figures_as_json_and_cleans_up(folder: Path) -> None:
    out, err = (process := spawn("demo", "--json")).communicate(timeout=50)
    assert process.returncode == 0, err
    facts = json.loads(out)
    assert (facts["lost"], facts["retried"], facts["replayed"], facts["workers_killed"]) == (0, 3, 1, 1)
    assert facts["taken_over"] >= 1
    assert facts["report"].startswith("# ")
    place = next(line.split()[-1] for line in err.splitlines() if "Working in" in line)
    assert not Path(place).exists()
