"""How little a start imports: what a command has no use for must not make it wait."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

TASKS = """
import json, sys
from pathlib import Path
from dispatch import job

@job
async def tell() -> None:
    Path("modules.json").write_text(json.dumps(sorted(sys.modules)))
"""
FOREIGN = ("rich", "opentelemetry", "jsonschema", "croniter", "tomllib", "starlette", "redis", "asyncpg", "sqlalchemy")
"""What a worker on SQLite needs none of before its first job."""
OWN = (
    *("dispatch.api", "dispatch.client.client", "dispatch.client.http", "dispatch.dlq", "dispatch.documents"),
    *(
        "dispatch.observability",
        "dispatch.transfer",
        "dispatch.wire",
        "dispatch.stores.sql.dlq",
        "dispatch.stores.sql.transfer",
    ),
    *("dispatch.engine.process_pool", "dispatch.engine.runs.activation", "dispatch.engine.runs.runner"),
    *("dispatch.services.crons", "dispatch.services.dlq", "dispatch.services.explain", "dispatch.services.jobs"),
    *("dispatch.services.queues", "dispatch.services.stats", "dispatch.services.workflows"),
    *("dispatch_cli.processes", "dispatch_cli.reload", "dispatch_cli.remote", "dispatch_cli.status"),
)


def among(loaded: list[str], unwanted: tuple[str, ...]) -> list[str]:
    """The unwanted ones that were loaded, whole or in part."""
    return [name for name in unwanted if any(f"{module}.".startswith(f"{name}.") for module in loaded)]


def run_here(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """Runs a command line in a process of its own, which prints what it has imported."""
    code = (
        "import json, sys; from dispatch_cli.main import main; code = main(); "
        "print(json.dumps(sorted(sys.modules))); sys.exit(code)"
    )
    command = [sys.executable, "-c", code, *words, "--store", f"sqlite:///{folder / 'd.db'}"]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=50, check=True)


@pytest.mark.slow
def test_a_worker_starts_its_first_job_without_what_it_has_no_use_for(tmp_path: Path) -> None:
    (tmp_path / "tasks.py").write_text(TASKS)
    run_here(tmp_path, "job", "enqueue", "tell")
    run_here(tmp_path, "run", "tasks", "--burst")
    loaded = json.loads((tmp_path / "modules.json").read_text())
    assert "dispatch.stores.sql.claim" in loaded
    assert among(loaded, FOREIGN) == []
    assert among(loaded, OWN) == []


@pytest.mark.slow
def test_looking_at_the_store_loads_no_worker(tmp_path: Path) -> None:
    run_here(tmp_path, "store", "init")
    loaded = json.loads(run_here(tmp_path, "status").stdout.splitlines()[-1])
    assert "dispatch.services.status" in loaded
    assert (
        among(loaded, (*FOREIGN, "dispatch.engine", "dispatch_cli.run", "dispatch.streams", "dispatch.transfer")) == []
    )
