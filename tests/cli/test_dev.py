"""`dispatch dev` as a process: it works, serves, starts anew with each change at the same address, and stops."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from http.cookiejar import CookieJar
from pathlib import Path
from typing import Any

import pytest

from tests.cli.conftest import run
from tests.cli.test_run import until

pytestmark = pytest.mark.slow
LOG = Path("dev.log")


@contextmanager
def developing(*argv: str) -> Iterator[subprocess.Popen[bytes]]:
    """The command in another process; it ends with the block."""
    with LOG.open("wb") as stream:
        process = subprocess.Popen([sys.executable, "-m", "dispatch_cli", "dev", *argv], stderr=stream)
    try:
        yield process
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(20)


def told(what: str, count: int = 1) -> list[dict[str, Any]]:
    """The events of that kind in its log, once there are so many."""

    def found() -> list[dict[str, Any]]:
        lines = [json.loads(line) for line in LOG.read_text().splitlines() if line[:1] == "{" and line[-1:] == "}"]
        return [line for line in lines if line.get("event") == what]

    return until(lambda: len(found()) >= count and found(), f"{count} × {what} in {LOG.read_text()}")


def links() -> list[str]:
    return [line.split()[-1] for line in LOG.read_text().splitlines() if "/login?ticket=" in line]


def test_each_change_starts_it_anew_at_the_same_address_and_a_browser_stays_logged_in(folder: Path) -> None:
    with developing("examples_tasks", "--port", "0") as process:
        (first,) = told("http_started")
        base = f"http://127.0.0.1:{first['port']}"
        browser = urllib.request.build_opener(urllib.request.HTTPCookieProcessor(CookieJar()))
        browser.open(until(links, "a link to log in by")[0], timeout=20).close()
        assert Path("dispatch.db").exists()
        assert run("job", "result", run("job", "enqueue", "add", "x:=40", "y:=2").out.strip(), "--wait").out == "42\n"
        file = folder / "examples_tasks.py"
        file.write_text(file.read_text().replace("return x + y", "return -(x + y)"))
        (_, second, *_) = told("http_started", 2)
        assert second["port"] == first["port"]
        told("worker_started", 2)
        with browser.open(f"{base}/v1/session", timeout=20) as answer:
            assert json.load(answer)["name"] == "the terminal"
        assert run("job", "result", run("job", "enqueue", "add", "x:=40", "y:=2").out.strip(), "--wait").out == "-42\n"
        process.send_signal(signal.SIGINT)
        assert process.wait(20) == 0


def test_code_that_cannot_be_imported_ends_it_at_once_but_only_when_it_starts(folder: Path) -> None:
    file = folder / "examples_tasks.py"
    whole = file.read_text()
    file.write_text("import nowhere_at_all\n")
    with developing("examples_tasks", "--port", "0") as process:
        assert process.wait(20) == 7
    assert "nowhere_at_all" in LOG.read_text()
    file.write_text(whole)
    with developing("examples_tasks", "--port", "0") as process:
        told("worker_started")
        file.write_text("import nowhere_at_all\n")
        until(lambda: "nowhere_at_all" in LOG.read_text(), "the import error")
        file.write_text(whole)
        told("worker_started", 2)
        assert process.poll() is None


def test_what_would_fail_again_and_again_is_said_before_anything_starts(folder: Path) -> None:
    assert run("dev").code == 2
    assert run("dev", "examples_tasks", "--port", "0", "--grace", "soon").code == 2
    with socket.create_server(("127.0.0.1", 0)) as taken:
        refused = run("dev", "examples_tasks", "--port", str(taken.getsockname()[1]))
    assert (refused.code, "cannot listen" in refused.err) == (2, True)
