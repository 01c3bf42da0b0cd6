"""Both type checkers accept what is right and report each planted error, and nothing else."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
FILES = ("accepted.py", "refused.py", "workflows_accepted.py", "workflows_refused.py")
Errors = set[tuple[str, int]]


def planted() -> Errors:
    return {
        (name, number)
        for name in FILES
        for number, line in enumerate((HERE / name).read_text().splitlines(), 1)
        if re.search(r"# E: \w", line)
    }


def mypy() -> Errors:
    settings = ["--strict", "--no-error-summary", "--no-pretty"]
    command = [sys.executable, "-m", "mypy", *settings, *(str(HERE / name) for name in FILES)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=170)
    assert done.stderr == ""
    found = re.finditer(r"^(.+?):(\d+): error:", done.stdout, re.MULTILINE)
    return {(Path(match[1]).name, int(match[2])) for match in found}


def basedpyright() -> Errors:
    command = [sys.executable, "-m", "basedpyright", "--outputjson", *(str(HERE / name) for name in FILES)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=170)
    report = json.loads(done.stdout)
    return {
        (Path(item["file"]).name, item["range"]["start"]["line"] + 1)
        for item in report["generalDiagnostics"]
        if item["severity"] == "error"
    }


def test_errors_are_planted() -> None:
    assert len(planted()) >= 25
    assert {name for name, _ in planted()} == {"refused.py", "workflows_refused.py"}


@pytest.mark.slow
@pytest.mark.parametrize("checker", [mypy, basedpyright], ids=lambda checker: checker.__name__)
def test_a_checker_reports_the_planted_errors_and_no_other(checker: Callable[[], Errors]) -> None:
    assert checker() == planted()
