"""Every command that changes the store leaves one audit record, also when its process dies in the middle of it."""

from __future__ import annotations

import signal
import sqlite3
from pathlib import Path
from typing import Any

import pytest

from dispatch.stores import sqlite_schema
from tests.cli.conftest import Seeds, run, spawn
from tests.cli.test_examples import commands

MUTATING = {
    "job enqueue": "send_email to=ada",
    "job retry": "{failed}",
    "job cancel": "{pending}",
    "job delete": "{failed} --yes",
    "dlq replay": "{letter}",
    "dlq discard": "{letter} --yes",
    "dlq purge": "--yes",
    "queue pause": "mailers",
    "queue resume": "slow",
    "queue limit": "mailers --concurrency 3",
    "queue purge": "mailers --yes",
    "cron create": "digest @daily send_email to=ada",
    "cron edit": "paused --schedule @daily",
    "cron enable": "paused",
    "cron disable": "nightly",
    "cron trigger": "nightly",
    "cron delete": "paused --yes",
    "cron prune": "--yes",
    "workflow start": "checkout order:=42",
    "workflow cancel": "{run_waiting} --yes",
    "workflow retry": "{run_failed}",
    "workflow migrate": "{run_waiting} --to-version 3",
    "workflow fork": "{run_failed} --from ship",
    "workflow signal": "{run_waiting} order.approved",
    "event publish": "stock.arrived",
    "apikey create": "--scope job:read",
    "apikey revoke": "{apikey}",
    "worker drain": "{worker}",
    "leader resign": "",
    "store init": "--store sqlite:///other.db",
    "store migrate": "",
    "store copy": "sqlite:///dispatch.db sqlite:///other.db --force",
    "store prune": "--yes",
}
WITHOUT_REASON = (
    *("job enqueue", "store init", "store migrate"),
    *("workflow start", "workflow fork", "workflow signal", "event publish"),
)
ELSEWHERE = ("store init", "store copy")
"""These leave it in another store than the configured one."""
OTHERS = {
    *("job list", "job count", "job show", "job explain", "job result", "job watch", "job stats"),
    *("dlq list", "dlq count", "dlq show", "queue list", "queue show", "worker list", "worker show", "leader show"),
    *("workflow list", "workflow show", "workflow timeline", "workflow diff", "workflow result"),
    *("event list", "event show", "event tail"),
    *("cron list", "cron show", "cron next", "cron history", "cron plan"),
    *(
        "apikey list",
        "audit list",
        "plugin list",
        "store status",
        "store verify",
        "config show",
        "status",
        "top",
        "health",
        "doctor",
        "inspect",
        "version",
        "completion",
    ),
    "serve",  # who asks it for something leaves a record
    "openapi",
    "run",  # a worker: what it does to jobs, the jobs tell
    "dev",  # the two in one
    "check",
    "bench",  # these two on a store of their own
    "demo",
    "job call",  # runs a function here and now; what that enqueues is the program's own act
    "config init",  # writes a file, not to the store
}


def records(*more: str) -> list[dict[str, Any]]:
    items: list[dict[str, Any]] = run("audit", "list", "--json", *more).json["items"]
    return items


def test_every_command_is_known_to_change_the_store_or_not() -> None:
    everything = {words for words, command in commands() if words and not hasattr(command, "commands")}
    assert everything == {*MUTATING, *OTHERS}


@pytest.mark.parametrize("words", MUTATING)
def test_a_command_that_changes_the_store_leaves_one_record(words: str, seeds: Seeds, folder: Path) -> None:
    before = len(records())
    if words == "store migrate":
        make_older(folder)
    if words == "store prune":
        (folder / "dispatch.toml").write_text('[retention]\ncompleted = "0.001s"\n')
    argv = [*words.split(), *MUTATING[words].format(**vars(seeds)).split()]
    reason = [] if words in WITHOUT_REASON else ["--reason", "because"]
    ran = run(*argv, *reason)
    assert ran.code == 0, ran.err
    found = records(*(("--store", "sqlite:///other.db") if words in ELSEWHERE else ()))
    newest = found[0]
    assert len(found) == before + 1 if words not in ELSEWHERE else len(found) == 1
    assert (newest["verb"], newest["outcome"]) == (words.replace(" ", "."), "done")
    assert newest["who"]
    assert newest["count"] >= 1
    assert newest["reason"] == ("because" if reason else "")


@pytest.mark.parametrize(
    ("stop", "outcome", "code"), [(signal.SIGKILL, "started", -9), (signal.SIGINT, "interrupted", 130)]
)
def test_a_command_that_is_stopped_in_the_middle_leaves_its_record(
    stop: signal.Signals, outcome: str, code: int, seeds: Seeds
) -> None:
    process = spawn("dlq", "replay", "--all", "--rate", "1/h", "--yes", "--reason", "fixed")
    while len(run("dlq", "list", "-o", "ids").lines) == 2:
        assert process.poll() is None
    process.send_signal(stop)
    _, err = process.communicate(timeout=10)
    assert process.returncode == code
    (record,) = records()
    assert (record["verb"], record["reason"], record["outcome"]) == ("dlq.replay", "fixed", outcome)
    assert record["detail"].startswith("all=open")
    if outcome == "interrupted":
        assert err.startswith("1 done, 0 refused before it ended")
        assert err.endswith("error: interrupted\n")
        assert (record["ids"], record["count"]) == ([seeds.other_letter], 1)


def test_a_refused_command_leaves_a_record_of_the_attempt(seeds: Seeds) -> None:
    assert run("job", "cancel", seeds.completed).code == 5
    assert run("job", "retry", seeds.failed, seeds.completed).code == 75
    newest, first = records()
    assert (newest["outcome"], newest["ids"], newest["count"]) == ("partly", [seeds.failed], 1)
    assert (first["outcome"], first["ids"], first["count"]) == ("refused", [seeds.completed], 0)
    assert "refused" in run("audit", "list").out


def make_older(folder: Path) -> None:
    """A store as the first version made it."""
    (folder / "dispatch.db").unlink()
    (_, _, text), *_ = sqlite_schema.migrations()
    connection = sqlite3.connect(folder / "dispatch.db")
    connection.executescript(
        f"{text}; PRAGMA application_id = {sqlite_schema.APPLICATION_ID}; PRAGMA user_version = 1;"
    )
    connection.close()
