"""Each example web application, served as its first lines say and asked over HTTP."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.error import HTTPError, URLError
from urllib.parse import urlencode
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
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=120)
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
        seen += server.communicate(timeout=60)[0]
    assert "Traceback" not in seen, seen


def ask(url: str, body: Any = None, *, form: dict[str, str] | None = None) -> tuple[int, Any]:
    """Status and JSON of an answer."""
    data = None if body is None else json.dumps(body).encode()
    headers = {"Content-Type": "application/json"}
    if form is not None:
        data, headers = urlencode(form).encode(), {}
    try:
        with urlopen(Request(url, data, headers), timeout=20) as answer:
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


def answering(base: str) -> str:
    """The address once somebody listens: not every server tells after it does."""
    deadline = time.monotonic() + 20
    while True:
        try:
            urlopen(base, timeout=5).close()
        except HTTPError as error:
            error.close()
        except URLError:
            assert time.monotonic() < deadline
            time.sleep(0.02)
            continue
        return base


def free_port() -> str:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        return str(taken.getsockname()[1])


@pytest.mark.slow
def test_an_order_of_django_and_its_confirmation_are_one_transaction(tmp_path: Path) -> None:
    site = EXAMPLES / "django_site"
    manage = site / "manage.py"
    run(tmp_path, site, manage, "dispatch", "store", "init")
    run(tmp_path, site, manage, "migrate")
    with serving(tmp_path, site, manage, "runserver", "--noreload", free_port()) as base:
        orders = f"{answering(base)}/orders"
        status, made = ask(orders, form={"what": "tea"})
        assert (status, made["job"][:4]) == (202, "job_")
        assert ask(orders, form={"what": "moon"}) == (409, {"error": "sold out"})
        assert ask(orders)[1] == {"orders": [{"id": made["order"], "what": "tea", "confirmed": False}]}
        run(tmp_path, site, manage, "dispatch", "run", "--burst", "--fail-on-error")
        assert ask(orders)[1] == {"orders": [{"id": made["order"], "what": "tea", "confirmed": True}]}
    listed = json.loads(run(tmp_path, site, manage, "dispatch", "job", "list", "--json"))["items"]
    assert [(found["id"], found["state"]) for found in listed] == [(made["job"], "completed")]
    queue = json.loads(run(tmp_path, site, manage, "dispatch", "queue", "show", "confirmations", "--json"))
    assert queue["max_concurrency"] == 2, "the settings' DISPATCH table"


@pytest.mark.slow
def test_worker_processes_of_django_know_the_project_without_manage_py(tmp_path: Path) -> None:
    def manage(*words: str) -> str:
        return run(tmp_path, EXAMPLES / "django_site", EXAMPLES / "django_site" / "manage.py", *words)

    manage("dispatch", "store", "init")
    manage("migrate")
    manage("shell", "-c", "from shop.models import Order; Order.objects.create(what='tea')")
    job_id = manage("dispatch", "job", "enqueue", "confirm", "order:=1", "--queue", "confirmations").strip()
    manage("dispatch", "run", "-p", "2", "--burst", "--fail-on-error")
    assert "tea is on its way" in manage("dispatch", "job", "result", job_id)


@pytest.mark.slow
def test_the_words_of_flasks_notes_are_counted_in_its_context(tmp_path: Path) -> None:
    site = EXAMPLES / "flask_app"
    program = site / "notes.py"
    with serving(tmp_path, site, "-m", "flask", "--app", "notes", "run", "--port", free_port()) as base:
        status, made = ask(f"{answering(base)}/notes", form={"text": "such a good meal"})
        assert status == 202
        assert ask(f"{base}/notes/{made['note']}")[1] == {"text": "such a good meal", "words": None}
        run(tmp_path, site, *DISPATCH, "run", f"{program}:queue", "--burst", "--fail-on-error")
        assert ask(f"{base}/notes/{made['note']}")[1]["words"] == 4
    assert run(tmp_path, site, *DISPATCH, "job", "result", made["job"]) == "4\n"
