"""Each example web application, served as its first lines say and asked over HTTP."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import pytest

EXAMPLES = Path(__file__).parents[2] / "examples"
DISPATCH = ("-P", "-m", "dispatch_cli")
ADDRESS = re.compile(r"http://127\.0\.0\.1:\d+")


def surroundings(site: Path, **more: str) -> dict[str, str]:
    """The environment of somebody who works in that folder."""
    clean = {key: value for key, value in os.environ.items() if not key.startswith("DISPATCH_")}
    path = os.pathsep.join([str(site), *filter(None, [os.environ.get("PYTHONPATH")])])
    return {**clean, "PYTHONPATH": path, "PYTHONUNBUFFERED": "1", **more}


def run(folder: Path, site: Path, *arguments: str | Path, **more: str) -> str:
    """What a Python command line prints; it must succeed."""
    command = [sys.executable, *map(str, arguments)]
    environment = surroundings(site, **more)
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=30)
    assert done.returncode == 0, done.stderr[-4000:]
    return done.stdout


@contextmanager
def serving(folder: Path, site: Path, *arguments: str | Path, **more: str) -> Iterator[str]:
    """The address of a web server that runs inside the block."""
    server = subprocess.Popen(
        [sys.executable, *map(str, arguments)],
        cwd=folder,
        env=surroundings(site, **more),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    seen = ""
    try:
        assert server.stdout is not None
        for line in server.stdout:
            seen += line
            if found := ADDRESS.search(line):
                yield found[0]
                break
        else:
            raise AssertionError(f"it ended without serving:\n{seen}")
    finally:
        server.send_signal(signal.SIGINT)
        seen += server.communicate(timeout=20)[0]
    assert "Traceback" not in seen, seen


def ask(url: str, body: Any = None) -> tuple[int, Any]:
    """Status and JSON of an answer."""
    data = None if body is None else json.dumps(body).encode()
    try:
        with urlopen(Request(url, data, {"Content-Type": "application/json"}), timeout=20) as answer:
            return answer.status, json.load(answer)
    except HTTPError as error:
        with error:
            return error.code, json.load(error)


@pytest.mark.slow
def test_sign_ups_of_fastapi_are_mailed_by_a_worker_beside_it(tmp_path: Path) -> None:
    site = EXAMPLES / "fastapi_app"
    with serving(tmp_path, site, "-m", "uvicorn", "signup:web", "--port", "0") as base:
        status, first = ask(f"{base}/signups", {"name": "Ada", "address": "ada@example.com"})
        assert (status, ask(f"{base}/signups/{first['mail']}")[1]["state"]) == (202, "pending")
        assert ask(f"{base}/signups", {"name": "Ada L.", "address": "ada@example.com"}) == (202, first)
        run(tmp_path, site, *DISPATCH, "run", site / "signup.py", "--burst", "--fail-on-error")
        assert ask(f"{base}/signups/{first['mail']}")[1] == {"state": "completed", "attempt": 1}
        assert ask(f"{base}/signups/job_1")[0] == 404
        assert ask(f"{base}/ops/v1/jobs")[0] == 401
    answer = run(tmp_path, site, *DISPATCH, "job", "result", first["mail"])
    assert "Welcome, Ada! (to ada@example.com)" in answer


@pytest.mark.slow
def test_the_fastapi_process_mails_by_itself_when_it_is_told_to(tmp_path: Path) -> None:
    site = EXAMPLES / "fastapi_app"
    with serving(tmp_path, site, "-m", "uvicorn", "signup:web", "--port", "0", WORKER="1") as base:
        _, made = ask(f"{base}/signups", {"name": "Grace", "address": "grace@example.com"})
        answer = run(tmp_path, site, *DISPATCH, "job", "result", made["mail"], "--timeout", "20s")
    assert "Welcome, Grace!" in answer
