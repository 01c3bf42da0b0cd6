"""`dispatch run --reload` and `--probe`: real processes, waited for by what they say and answer."""

from __future__ import annotations

import json
import signal
import socket
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from dispatch_cli import reload
from dispatch_cli.failures import CommandError
from dispatch_cli.probing import address_of, together
from dispatch_cli.run import for_a_child

from tests.cli.conftest import run
from tests.cli.test_run import STARTED, Watched, until

pytestmark = pytest.mark.slow


@pytest.fixture
def watch(folder: Path) -> Iterator[Callable[..., Watched]]:
    """Starts workers; none outlives the test."""
    started: list[Watched] = []

    def start(*argv: str) -> Watched:
        started.append(Watched(*argv))
        return started[-1]

    yield start
    for watched in started:
        if watched.process.poll() is None:
            watched.process.send_signal(signal.SIGTERM)
        watched.process.wait(20)


def ask(address: str, path: str) -> tuple[int, dict[str, Any]]:
    """Status and body; (0, {}) while nobody listens."""
    try:
        with urllib.request.urlopen(f"http://{address}{path}", timeout=5) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        return error.code, json.load(error)
    except OSError:
        return 0, {}


def free_address() -> str:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        return f"127.0.0.1:{taken.getsockname()[1]}"


def change(folder: Path, old: str, new: str) -> None:
    file = folder / "examples_tasks.py"
    text = file.read_text()
    assert old in text
    file.write_text(text.replace(old, new))


def test_a_change_starts_the_worker_anew_and_broken_code_waits_for_the_next_one(
    folder: Path, watch: Callable[..., Watched]
) -> None:
    worker = watch("--reload")
    worker.wait_for(STARTED)
    change(folder, "def add(", "def plus(")
    change(folder, "await add.enqueue", "await plus.enqueue")
    (_, second, *_) = worker.wait_for(STARTED, 2)
    assert "plus" in [name for event in worker.events(STARTED) for name in event["jobs"]], second
    (first, *_) = worker.wait_for("worker_stopped")
    assert first["reason"] == "signal"
    change(folder, "from dispatch", "from nowhere_at_all")
    until(lambda: "nowhere_at_all" in worker.log.read_text(), "the import error")
    started = len(worker.events(STARTED))
    change(folder, "from nowhere_at_all", "from dispatch")
    worker.wait_for(STARTED, started + 1)
    worker.process.send_signal(signal.SIGTERM)
    assert worker.process.wait(20) == 0


def test_a_running_job_ends_before_the_worker_starts_anew(folder: Path, watch: Callable[..., Watched]) -> None:
    (folder / "examples_tasks.py").write_text(
        "import asyncio, pathlib\n"
        "from dispatch import job\n"
        "@job\n"
        "async def slow() -> str:\n"
        "    pathlib.Path('running').touch()\n"
        "    while not pathlib.Path('go').exists():\n"
        "        await asyncio.sleep(0.01)\n"
        "    return 'done'\n"
    )
    worker = watch("--reload")
    worker.wait_for(STARTED)
    job_id = run("job", "enqueue", "slow", "--json").json["id"]
    until((folder / "running").exists, "the start of the job")
    (folder / "examples_tasks.py").write_text((folder / "examples_tasks.py").read_text() + "# changed\n")
    until(lambda: "has changed" in worker.log.read_text(), "the notice of the change")
    (folder / "go").touch()
    worker.wait_for(STARTED, 2)
    shown = run("job", "show", job_id, "--json").json
    assert (shown["state"], shown["crashes"], shown["attempts"]) == ("completed", 0, [])


def test_the_probe_of_a_worker_is_ready_while_it_works(watch: Callable[..., Watched]) -> None:
    address = free_address()
    worker = watch("--probe", address)
    code, body = until(lambda: (found := ask(address, "/readyz"))[0] == 200 and found, "readiness")
    assert (code, body["live"], body["reasons"]) == (200, True, [])
    assert body["worker_id"] == worker.wait_for(STARTED)[0]["worker_id"]
    assert ask(address, "/healthz")[0] == 200
    with urllib.request.urlopen(f"http://{address}/metrics", timeout=5) as answer:  # by a worker of its own process
        assert b"dispatch_store_call_duration_seconds_count{" in answer.read()
    worker.process.send_signal(signal.SIGTERM)
    assert worker.process.wait(20) == 0
    assert ask(address, "/healthz")[0] == 0


def test_the_parent_answers_for_all_its_workers(watch: Callable[..., Watched]) -> None:
    address = free_address()
    worker = watch("--probe", address, "-p", "2")

    def both() -> Any:
        _, body = ask(address, "/readyz")
        return body and all(member["ready"] for member in body["workers"]) and body

    body = until(both, "two ready workers")
    started = worker.wait_for(STARTED, 2)
    assert {member["worker_id"] for member in body["workers"]} == {event["worker_id"] for event in started}
    worker.process.send_signal(signal.SIGTERM)
    assert worker.process.wait(20) == 0


def test_together_they_live_while_each_does_and_are_ready_once_one_is() -> None:
    well = {"live": True, "ready": True, "reasons": [], "worker_id": "w"}
    ill = {"live": False, "ready": False, "reasons": ["the heartbeat has ended"], "worker_id": "w"}
    assert together({1: (well, 0.5)}, 2)["ready"] is True
    assert together({1: (well, 0.5)}, 2)["reasons"] == ["2: starting"]
    assert together({}, 1) | {"workers": []} == {
        "live": True,
        "ready": False,
        "reasons": ["1: starting"],
        "workers": [],
    }
    assert together({1: (well, 0.5), 2: (ill, 0.5)}, 2)["live"] is False
    stuck = together({1: (well, 31.0)}, 1)
    assert (stuck["live"], stuck["reasons"]) == (False, ["1: silent for 31 s"])


@pytest.mark.parametrize("text", ["8080", ":", "host:", "host:http", "host:70000", "host:-1"])
def test_what_is_no_address_is_told_how_to_write_one(text: str) -> None:
    with pytest.raises(CommandError, match=r"HOST:PORT, such as 0\.0\.0\.0:8080"):
        address_of(text)
    assert address_of("[::1]:80") == ("::1", 80)


def test_a_child_is_started_without_what_only_the_parent_does() -> None:
    argv = ["run", "m", "--reload", "--probe", "h:1", "-p", "3", "-q", "a"]
    assert for_a_child(argv) == ["run", "m", "-q", "a"]
    assert for_a_child(["run", "--probe=h:1", "m", "-p3"]) == ["run", "m"]


def test_missing_packages_and_odd_pairs_are_usage_errors(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert run("run", "examples_tasks", "--reload", "--burst").code == 2
    assert run("run", "examples_tasks", "--probe", "nowhere").code == 2
    monkeypatch.setattr(reload.importlib.util, "find_spec", lambda name: None)
    refused = run("run", "examples_tasks", "--reload")
    assert refused.code == 2
    assert "pip install 'dispatch-tasks[reload]'" in refused.err


def test_a_probe_on_a_taken_port_is_a_usage_error(folder: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        refused = run("run", "examples_tasks", "--burst", "--probe", f"127.0.0.1:{taken.getsockname()[1]}")
    assert refused.code == 2
    assert "choose another address" in refused.err
