"""What the tests of `dispatch webhook` share: a folder whose configuration names the relay, and what it refuses."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from dispatch_cli import plugged
from dispatch_relay.signing import new_secret

from tests.cli.conftest import run

ROOT = Path(__file__).parents[2]
SECRET = new_secret()
URL = "https://hooks.example/a"
TOML = """
plugins = ["relay"]

[plugin.relay]
allow_http = true
allow_hosts = ["127.0.0.0/8"]
retry_schedule = ["1h"]

[plugin.relay.endpoints.configured]
url = "http://127.0.0.1:9/hook"
secret = "%s"
events = ["cron.fired"]
"""
REFUSED = (
    (("add", "a", URL), 5),
    (("add", "b", "ftp://x"), 2),
    (("add", "b", "https://10.0.0.1/"), 2),
    (("add", "b", "https://localhost/"), 2),
    (("add", "b", URL, "-H", "nocolon"), 2),
    (("rotate", "nope"), 4),
    (("rotate", "a", "--overlap", "soon"), 2),
    (("rotate", "configured"), 5),
    (("remove", "nope", "--yes"), 4),
    (("remove", "configured", "--yes"), 5),
    (("remove", "a"), 2),
    (("enable", "nope"), 4),
    (("disable", "nope"), 4),
    (("test", "nope"), 4),
    (("deliveries", "--endpoint", "nope"), 4),
    (("deliveries", "--state", "nope"), 2),
    (("redeliver", "job_00000000000000000000000001"), 4),
    (("redeliver", "x"), 2),
)
"""What cannot be done to an endpoint "a", with the exit codes."""


@contextmanager
def relay_folder(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Makes that of a folder, and goes there; the relay is known by its entry point."""
    entries = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["entry-points"]["dispatch"]
    installed = folder / "site" / "dispatch_tasks-0.1.0.dist-info"
    installed.mkdir(parents=True)
    (installed / "METADATA").write_text("Metadata-Version: 2.1\nName: dispatch-tasks\nVersion: 0.1.0\n")
    lines = "\n".join(f"{name} = {target}" for name, target in entries.items())
    (installed / "entry_points.txt").write_text(f"[dispatch]\n{lines}\n")
    monkeypatch.syspath_prepend(installed.parent)
    (folder / "dispatch.toml").write_text(TOML % SECRET)
    monkeypatch.chdir(folder)
    plugged._nouns.cache_clear()
    assert run("store", "init").code == 0
    yield folder
    plugged._nouns.cache_clear()
