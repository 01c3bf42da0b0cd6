"""`dispatch run`: what it says, how it ends, its logs, and several processes under one parent."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from dispatch_cli.banner import announce_processes
from dispatch_cli.failures import CommandError
from dispatch_cli.processes import RECYCLE, after
from dispatch_cli.run import for_a_child, labels_of, queues_of

from tests.cli.conftest import Seeds, run, spawn

PATIENCE = 20.0
STARTED = "worker_started"


def until(true: Callable[[], Any], what: str) -> Any:
    """Waits for a fact, with a deadline."""
    deadline = time.monotonic() + PATIENCE
    while not (found := true()):
        assert time.monotonic() < deadline, f"{what} did not happen"
        time.sleep(0.02)
    return found


class Watched:
    """A worker in another process whose JSON log is read as it grows."""

    def __init__(self, *argv: str) -> None:
        self.log = Path("worker.log")
        with self.log.open("wb") as stream:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "dispatch_cli", "run", "examples_tasks", "--log-format", "json", *argv],
                stderr=stream,
            )

    def events(self, name: str) -> list[dict[str, Any]]:
        lines = self.log.read_text().splitlines()
        found = [json.loads(line) for line in lines if line.startswith("{") and line.endswith("}")]
        return [event for event in found if event.get("event") == name]

    def wait_for(self, name: str, count: int = 1) -> list[dict[str, Any]]:
        return until(lambda: len(self.events(name)) >= count and self.events(name), f"{count} × {name}")


@pytest.fixture
def watch(folder: Path) -> Iterator[Callable[..., Watched]]:
    """Starts workers; none outlives the test."""
    started: list[Watched] = []

    def start(*argv: str) -> Watched:
        started.append(Watched(*argv))
        return started[-1]

    yield start
    for watched in started:
        watched.process.kill()
        watched.process.wait()


def test_a_burst_does_what_is_there_and_exits(seeds: Seeds) -> None:
    ran = run("run", "examples_tasks", "--burst", "--log-format", "text")
    assert (ran.code, ran.out) == (0, "")
    assert run("job", "show", seeds.pending, "--json").json["state"] == "completed"
    assert f"send_email {seeds.pending}" in ran.err
    assert "nothing left that this worker can do: 1 completed, 0 failed, 0 retried, 0 cancelled, 0 given" in ran.err
    assert ran.err.endswith("1 due job in its queues has a name that this worker does not know: odd\n")


def test_the_banner_says_store_queues_for_production_and_what_was_found(folder: Path) -> None:
    ran = run("run", "examples_tasks", "--burst", "--log-format", "text", "-q", "mailers:2", "-q", "default", "-c", "3")
    assert "sqlite:///" in ran.err
    assert "-q mailers:2 -q default" in ran.err
    assert re.search(r"found +5 jobs, 1 workflow in examples_tasks: add, .*checkout@2", ran.err)
    assert "3 jobs" in ran.err
    assert re.search(r"crons +1 entry: nightly ", ran.err)
    assert " found and left alone" not in ran.err


def test_failed_jobs_fail_a_burst_only_when_asked_to(folder: Path) -> None:
    run("job", "enqueue", "explode")
    assert run("run", "examples_tasks", "--burst").code == 0
    run("job", "enqueue", "explode")
    assert run("run", "examples_tasks", "--burst", "--fail-on-error").code == 1


def test_json_logs_are_a_document_a_line_with_the_job_and_the_traceback(folder: Path) -> None:
    run("job", "enqueue", "explode")
    run("job", "enqueue", "add", "x:=1")
    ran = run("run", "examples_tasks", "--burst", "--log-format", "json")
    events = {event.get("event"): event for event in map(json.loads, ran.err.splitlines())}
    assert {STARTED, "job_completed", "job_failed", "job_dlq", "worker_stopped"} <= {*events}
    assert events["job_completed"]["job_name"] == "add"
    assert events["job_completed"]["elapsed"] >= 0
    assert "ValueError" in events["job_failed"]["traceback"]
    assert events["job_failed"]["level"] == "ERROR"
    assert events["worker_stopped"]["completed"] == 1


def test_text_logs_hold_nothing_that_steers_the_terminal(folder: Path) -> None:
    run("job", "enqueue", "explode")
    ran = run("run", "examples_tasks", "--burst", "--log-format", "text")
    assert "\\x1b[31mgood" in ran.err
    assert "\x1b" not in ran.err
    assert "dead letter" in ran.err


def test_with_json_the_report_is_a_document_on_stdout(seeds: Seeds) -> None:
    report = run("run", "examples_tasks", "--burst", "--json").json
    assert (report["completed"], report["failed"], report["released"], report["reason"]) == (1, 0, 0, "burst")
    assert report["unserved"] == {"count": 1, "names": ["odd"], "complete": True}
    assert run("run", "examples_tasks", "--burst", "-o", "ids").code == 2


def test_a_quiet_level_leaves_out_what_went_well(folder: Path) -> None:
    run("job", "enqueue", "add", "x:=1")
    ran = run("run", "examples_tasks", "--burst", "--log-format", "json", "--log-level", "error")
    assert (ran.code, ran.err) == (0, "")


def test_a_worker_stops_after_so_many_jobs(folder: Path) -> None:
    for _ in range(3):
        run("job", "enqueue", "add", "x:=1")
    ran = run("run", "examples_tasks", "--max-jobs", "1", "-c", "1", "--log-format", "text")
    assert ran.code == 0
    assert "did --max-jobs jobs" in ran.err
    assert run("job", "count", "--json").json["completed"] == 1


def test_only_the_queues_named_are_served(folder: Path) -> None:
    mail = run("job", "enqueue", "send_email", "to=ada", "-q", "mailers").out.strip()
    run("job", "enqueue", "add", "x:=1")
    assert run("run", "examples_tasks", "--burst", "-q", "default").code == 0
    assert run("job", "show", mail, "--json").json["state"] == "pending"


def test_a_target_may_name_an_app_or_a_registry(folder: Path) -> None:
    (folder / "examples_app.py").write_text(
        "from dispatch import Dispatch, Registry\n"
        "registry = Registry()\n"
        "@registry.job\n"
        "def hello() -> str: return 'hello'\n"
        "app = Dispatch('sqlite:///other.db', registry=registry)\n"
    )
    assert run("run", "examples_app:registry", "--burst").code == 0
    assert run("run", "examples_app:app", "--burst").code == 0
    assert (folder / "other.db").exists()
    refused = run("run", "examples_app:app", "--burst", "--store", "memory://")
    assert refused.code == 2
    assert "leave out --store" in refused.err


def test_sigterm_stops_a_worker_gracefully_with_exit_code_0(watch: Callable[..., Watched]) -> None:
    worker = watch("--name", "one", "--label", "zone=a")
    (started,) = worker.wait_for(STARTED)
    assert started["pid"] == worker.process.pid
    assert run("store", "status", "--json").json["live_workers"] == 1
    worker.process.send_signal(signal.SIGTERM)
    assert worker.process.wait(PATIENCE) == 0
    assert worker.events("worker_stopped")[0]["reason"] == "signal"
    assert run("store", "status", "--json").json["live_workers"] == 0


def test_processes_work_side_by_side_and_a_killed_one_is_replaced(watch: Callable[..., Watched]) -> None:
    parent = watch("-p", "2")
    pids = {event["pid"] for event in parent.wait_for(STARTED, 2)}
    assert len(pids) == 2
    assert parent.process.pid not in pids
    os.kill(pids.pop(), signal.SIGKILL)
    parent.wait_for(STARTED, 3)
    assert "ended with signal SIGKILL; a new one starts" in parent.log.read_text()
    parent.process.send_signal(signal.SIGINT)
    assert parent.process.wait(PATIENCE) == 0
    assert len(parent.events("worker_stopped")) == 2


def test_children_stop_when_their_parent_is_killed(watch: Callable[..., Watched]) -> None:
    parent = watch("-p", "2")
    parent.wait_for(STARTED, 2)
    parent.process.kill()
    parent.process.wait()
    assert {event["reason"] for event in parent.wait_for("worker_stopped", 2)} == {"signal"}


def test_a_child_that_cannot_start_ends_them_all_with_its_exit_code(folder: Path) -> None:
    process = spawn("run", "no_such_module", "-p", "2")
    _, err = process.communicate(timeout=PATIENCE)
    assert process.returncode == 7
    assert "there is no module 'no_such_module'" in err


@pytest.mark.parametrize(
    ("code", "burst", "follows"),
    [
        (0, False, "done"),
        (0, True, "done"),
        (RECYCLE, False, "again"),
        (1, True, "done"),
        (1, False, "again later"),
        (2, False, "stop all"),
        (7, True, "stop all"),
        (9, False, "stop all"),
        (6, False, "again later"),
        (130, False, "done"),
        (-9, True, "again later"),
    ],
)
def test_what_follows_on_a_child_depends_on_how_it_ended(code: int, burst: bool, follows: str) -> None:
    assert after(code, burst=burst) == follows


def test_queues_may_bring_a_number_of_slots() -> None:
    assert queues_of(["a", "b:3", "c:d", "e:f:2"]) == {"a": 0, "b": 3, "c:d": 0, "e:f": 2}
    with pytest.raises(CommandError, match="twice"):
        queues_of(["a", "a:2"])
    assert labels_of(["zone=a=b"]) == {"zone": "a=b"}


def test_a_child_gets_the_same_command_line_without_the_number_of_processes() -> None:
    words = ["--store", "x", "run", "t", "-p", "3", "-c", "2", "--processes=4", "-p5", "--processes", "6"]
    assert for_a_child(words) == ["--store", "x", "run", "t", "-c", "2"]


CHATTY = """
import logging
from dispatch import job

log = logging.getLogger("shop.orders")
log.info("imported")

@job(max_retries=0)
def chatty(x: int) -> int:
    log.info("working on %d", x)
    log.warning("nearly done")
    return x
"""


def chatty(folder: Path, *options: str, head: str = "") -> subprocess.CompletedProcess[str]:
    """A burst, in a process of its own, over one job whose module logs."""
    (folder / "examples_chatty.py").write_text(head + CHATTY)
    run("job", "enqueue", "chatty", "x:=7")
    words = [sys.executable, "-m", "dispatch_cli", "run", "examples_chatty", "--burst", *options]
    return subprocess.run(words, capture_output=True, text=True, timeout=PATIENCE, check=True)


def test_what_the_application_logs_is_in_the_json_lines_with_the_job_it_ran_for(folder: Path) -> None:
    lines = [json.loads(line) for line in chatty(folder, "--log-format", "json").stderr.splitlines()]
    said = {line["message"]: line for line in lines if line["logger"] == "shop.orders"}
    assert {*said} == {"imported", "working on 7", "nearly done"}
    assert said["working on 7"]["job_name"] == said["nearly done"]["job_name"] == "chatty"
    assert said["working on 7"]["job_id"].startswith("job_")
    assert said["nearly done"]["level"] == "WARNING"
    assert "job_id" not in said["imported"]


def test_what_the_application_logs_is_in_the_text_with_its_logger_and_its_job(folder: Path) -> None:
    err = chatty(folder, "--log-format", "text").stderr
    assert re.search(r"INFO +shop\.orders: working on 7  \(chatty job_\w{26}\)\n", err)
    assert re.search(r"INFO +shop\.orders: imported\n", err)


def test_the_log_level_holds_for_the_application_too_and_debug_tells_no_statements(folder: Path) -> None:
    quiet = chatty(folder, "--log-format", "json", "--log-level", "warning").stderr
    assert "working on 7" not in quiet
    assert "nearly done" in quiet
    assert "aiosqlite" not in chatty(folder, "--log-format", "json", "--log-level", "debug").stderr


def test_an_application_that_configures_the_root_logger_keeps_its_own_lines(folder: Path) -> None:
    head = "import logging\nlogging.basicConfig(format='MINE %(message)s', level='INFO')\n"
    lines = chatty(folder, "--log-format", "json", head=head).stderr.splitlines()
    assert [line for line in lines if not line.startswith("{")] == [
        "MINE imported",
        "MINE working on 7",
        "MINE nearly done",
    ]


def test_a_death_is_one_line_that_names_the_users_own_code_and_the_hint_comes_once(folder: Path) -> None:
    for _ in range(2):
        run("job", "enqueue", "explode")
    err = run("run", "examples_tasks", "--burst", "--log-format", "text").err
    deaths = [line for line in err.splitlines() if re.search("  failed  ", line)]
    assert len(deaths) == 2
    assert all("ValueError: no \\x1b[31mgood at examples_tasks.py:19 in explode (exhausted)" in line for line in deaths)
    assert err.count("dispatch dlq replay") == err.count("  dead letter  ") == 1


def test_a_death_in_json_is_told_as_failed_and_as_dead_letter_each_time(folder: Path) -> None:
    for _ in range(2):
        run("job", "enqueue", "explode")
    err = run("run", "examples_tasks", "--burst", "--log-format", "json").err
    events = [json.loads(line).get("event") for line in err.splitlines()]
    assert (events.count("job_failed"), events.count("job_dlq"), err.count("dispatch dlq replay")) == (2, 2, 1)


def test_a_burst_says_which_due_jobs_it_cannot_run(folder: Path) -> None:
    for name in ("lost", "found", "lost"):
        run("job", "enqueue", name)
    run("job", "enqueue", "later", "--in", "1h")
    run("job", "enqueue", "elsewhere", "-q", "elsewhere")
    err = run("run", "examples_tasks", "--burst", "--log-format", "json").err
    (stopped,) = [line for line in map(json.loads, err.splitlines()) if line.get("event") == "worker_stopped"]
    assert stopped["unserved"] == {"count": 3, "names": ["found", "lost"], "complete": True}
    assert stopped["message"].endswith(
        "3 due jobs in its queues have names that this worker does not know: found, lost"
    )


def test_a_burst_that_leaves_nothing_says_so(folder: Path) -> None:
    err = run("run", "examples_tasks", "--burst", "--log-format", "text").err
    assert err.endswith("nothing left to do: 0 completed, 0 failed, 0 retried, 0 cancelled, 0 given back\n")


def test_a_worker_without_jobs_or_with_an_unused_queue_is_warned_about(folder: Path) -> None:
    (folder / "examples_empty.py").write_text("from dispatch import Registry\nregistry = Registry()\n")
    err = run("run", "examples_empty:registry", "--burst", "--log-format", "text").err
    assert "WARNING      examples_empty: no job is defined there, so this worker has nothing to run" in err
    err = run("run", "examples_tasks", "--burst", "-q", "default", "-q", "mailer", "--log-format", "text").err
    assert "-q mailer: no job is defined for this queue, only for default, mailers, shop;" in err
    assert "-q default:" not in err


def test_a_queue_that_only_a_plugin_s_job_names_is_no_mistake(folder: Path) -> None:
    (folder / "examples_bringer.py").write_text(
        "from dispatch import Registry, hookimpl\n\njobs = Registry()\n\n\n"
        "@jobs.job(name='ops.ping', queue='ops')\nasync def ping(): ...\n\n\n"
        "@hookimpl\ndef register_jobs(store):\n    return [ping]\n"
    )
    (folder / "examples_none.py").write_text("from dispatch import Registry\nregistry = Registry()\n")
    (folder / "dispatch.toml").write_text('plugins = ["examples_bringer"]\n')
    err = run("run", "examples_none:registry", "--burst", "-q", "ops", "--log-format", "text").err
    assert "ops.ping" in err and "no job is defined" not in err


def test_a_store_in_memory_is_warned_about_where_it_can_only_be_a_mistake(folder: Path) -> None:
    said = "memory:// lives and dies with this process"
    assert said in run("run", "examples_tasks", "--burst", "--store", "memory://").err
    assert f"warning: the store {said}" in run("job", "enqueue", "add", "x:=1", "--store", "memory://").err
    assert said not in run("job", "enqueue", "add", "x:=1").err


def test_several_processes_are_summed_up_by_their_parent_and_show_no_banner(folder: Path) -> None:
    process = spawn("run", "examples_tasks", "--burst", "-p", "2", "-c", "3", "--log-format", "text")
    _, err = process.communicate(timeout=PATIENCE)
    assert process.returncode == 0
    first, *rest = err.splitlines()
    assert re.fullmatch(r"2 processes, 6 jobs at once, on sqlite:///\S+", first)
    serving = re.compile(r"worker wkr_\w+ \(pid \d+\) serves default, mailers, shop")
    assert sum(bool(serving.fullmatch(line)) for line in rest) == 2, err
    assert "in production say so" not in err


def test_what_a_parent_says_is_json_too(watch: Callable[..., Watched]) -> None:
    parent = watch("-p", "2")
    parent.wait_for(STARTED, 2)
    assert parent.events("processes_started")[0]["processes"] == 2
    os.kill(parent.events(STARTED)[0]["pid"], signal.SIGKILL)
    parent.wait_for(STARTED, 3)
    parent.process.send_signal(signal.SIGTERM)
    assert parent.process.wait(PATIENCE) == 0
    assert all(json.loads(line) for line in parent.log.read_text().splitlines())


def test_a_parent_sums_up_only_what_it_knows(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    announce_processes(2, each=None, store=None, as_json=False)
    announce_processes(2, each=5, store="sqlite:///jobs.db", as_json=False)
    assert capsys.readouterr().err == "2 processes\n2 processes, 10 jobs at once, on sqlite:///jobs.db\n"
