"""The worked plugin: built and installed into an environment of its own, found by its entry point, used."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
pytestmark = pytest.mark.slow

TASKS = """
import time
from dispatch import Fail, job

@job
def nap(seconds: float) -> None:
    time.sleep(seconds)

@job
def refuse() -> None:
    raise Fail("not today")
"""


def environment(folder: Path, wheel: Path) -> Path:
    """A virtual environment that has the wheel installed, beside the packages that the tests run with."""
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(folder)], check=True, timeout=120)
    (site,) = folder.glob("lib/python*/site-packages")
    zipfile.ZipFile(wheel).extractall(site)  # all that installing a pure wheel is
    (site / "tests.pth").write_text("\n".join(path for path in map(os.path.abspath, sys.path) if Path(path).is_dir()))
    return folder / "bin" / "python"


@pytest.fixture(scope="module")
def python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("slowlog")
    command = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(folder)]
    built = subprocess.run(
        [*command, str(ROOT / "examples/slowlog_plugin")], capture_output=True, text=True, timeout=50
    )
    assert built.returncode == 0, built.stdout + built.stderr
    (wheel,) = folder.glob("*.whl")
    return environment(folder / "venv", wheel)


@pytest.fixture
def dispatch(python: Path, tmp_path: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Runs `dispatch …` in that environment, in a folder with tasks."""
    (tmp_path / "naps.py").write_text(TASKS)
    clean = {key: value for key, value in os.environ.items() if not key.startswith(("DISPATCH_", "PYTHONPATH"))}

    def run(*words: str) -> subprocess.CompletedProcess[str]:
        command = [str(python), "-m", "dispatch_cli", *words]
        return subprocess.run(command, cwd=tmp_path, env=clean, capture_output=True, text=True, timeout=120)

    return run


def test_it_is_found_without_any_configuration(dispatch: Callable[..., subprocess.CompletedProcess[str]]) -> None:
    (listed,) = json.loads(dispatch("plugin", "list", "--json").stdout)["items"]
    assert (listed["name"], listed["origin"]) == ("slowlog", "installed distribution")
    assert set(listed["hooks"]) == {"job_failed", "register_config", "register_middleware", "register_commands"}
    assert "slowlog     Read and clear the log of slow and failed jobs." in dispatch("--help").stdout
    shown = json.loads(dispatch("config", "show", "--json").stdout)["config"]["plugin"]
    assert shown == {"slowlog": {"path": "slow.jsonl", "threshold": 1.0}}


def test_it_logs_what_is_slow_and_what_fails_and_shows_it(
    dispatch: Callable[..., subprocess.CompletedProcess[str]], tmp_path: Path
) -> None:
    (tmp_path / "dispatch.toml").write_text('[plugin.slowlog]\npath = "log.jsonl"\nthreshold = 0.05\n')
    for words in (("nap", "seconds:=0.1"), ("nap", "seconds:=0"), ("refuse",)):
        assert dispatch("job", "enqueue", *words).returncode == 0
    worked = dispatch("run", "naps", "--burst", "-c", "1")
    assert worked.returncode == 0, worked.stderr
    items = json.loads(dispatch("slowlog", "list", "--json").stdout)["items"]
    assert [(item["what"], item["name"]) for item in items] == [("slow", "nap"), ("failed", "refuse")]
    assert dispatch("slowlog", "list", "--only", "failed", "-o", "ids").stdout.splitlines() == [items[1]["id"]]
    wrong = dispatch("slowlog", "list", "--only", "odd")
    assert (wrong.returncode, "there are slow and failed" in wrong.stderr) == (2, True)
    assert dispatch("slowlog", "clear").returncode == 2
    assert json.loads(dispatch("slowlog", "clear", "--yes", "--json").stdout)["cleared"] == 2
    assert "nothing is in log.jsonl" in dispatch("slowlog", "list").stderr


def test_its_section_is_checked(dispatch: Callable[..., subprocess.CompletedProcess[str]], tmp_path: Path) -> None:
    (tmp_path / "dispatch.toml").write_text("[plugin.slowlog]\nthreshold = -1\n")
    refused = dispatch("run", "naps", "--burst")
    assert (refused.returncode, "plugin.slowlog.threshold = -1" in refused.stderr) == (2, True)
