"""`dispatch demo` really does what it tells, and ends well."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.cli.conftest import run, spawn


@pytest.mark.slow
def test_the_demo_runs_from_start_to_finish_and_loses_nothing(folder: Path) -> None:
    process = spawn("demo", "--keep", "kept", "--json")
    out, told = process.communicate(timeout=50)
    assert process.returncode == 0, told
    facts = json.loads(out)
    assert (facts["lost"], facts["retried"], facts["replayed"], facts["workers_killed"]) == (0, 3, 1, 1)
    assert facts["taken_over"] >= 1
    assert max(map(len, told.splitlines()[1:])) <= 80
    assert "\x1b" not in told
    for words in ("attempt 2 failed: ConnectionError", "dispatch dlq replay dlq_", "kill -9", "taken over"):
        assert words in told
    kept = folder / "kept"
    assert (kept / "report.md").read_text() == facts["report"]
    assert len(list((kept / "index").iterdir())) == len(list((kept / "packed").iterdir())) == facts["files"]
    assert len(list((kept / "seals").iterdir())) == 3
    url = f"sqlite:///{kept}/demo.db"
    counts = run("job", "count", "--store", url, "--json").json
    assert (counts["failed"], counts["running"], counts["pending"], counts["retrying"]) == (1, 0, 0, 0)
    assert run("dlq", "list", "--state", "replayed", "--store", url, "-o", "ids").lines[0] in told


def test_the_demo_leaves_a_folder_with_something_in_it_alone(folder: Path) -> None:
    assert run("demo", "--keep", ".").code == 2
    assert [file.name for file in folder.iterdir()] == ["examples_tasks.py"]
