"""`dispatch doctor`: each check in each of its states, and the exit code."""

from __future__ import annotations

import os
import sqlite3
from pathlib import Path

import pytest
from dispatch_cli import doctor
from dispatch_cli.doctor import of_file, of_library, of_synchronous

from dispatch.ids import WorkerID
from dispatch.stores import sqlite
from dispatch.stores.sqlite_facts import FileFacts
from tests.cli.conftest import Seeds, run
from tests.cli.test_day2 import on_store

GB = 10**9


def states(*more: str, code: int = 0) -> dict[str, str]:
    ran = run("doctor", *more, "--json")
    assert ran.code == code, ran
    return {check["name"]: check["status"] for check in ran.json["items"]}


@pytest.mark.parametrize(
    ("version", "status"),
    [("3.40.1", "warn"), ("3.44.6", "ok"), ("3.45.0", "warn"), ("3.50.7", "ok"), ("3.51.2", "warn"), ("3.51.3", "ok")],
)
def test_a_library_with_the_race_at_the_reset_of_the_log_is_warned_about(version: str, status: str) -> None:
    assert of_library(version).status == status


def test_a_commit_that_a_power_failure_may_undo_is_warned_about() -> None:
    assert (of_synchronous("FULL").status, of_synchronous("NORMAL").status) == ("ok", "warn")


@pytest.mark.parametrize(
    ("facts", "found"),
    [
        (FileFacts("wal", 0o600, 1, 2 * GB), ["ok", "ok", "ok"]),
        (FileFacts("delete", 0o640, 1, GB // 2), ["fail", "warn", "warn"]),
        (FileFacts("wal", 0o600, 1, GB // 20), ["ok", "ok", "fail"]),
    ],
)
def test_the_file_is_judged_by_journal_permissions_and_room(facts: FileFacts, found: list[str]) -> None:
    assert [check.status for check in of_file(facts)] == found


def test_a_store_in_use_passes_with_warnings_about_its_work(seeds: Seeds, folder: Path) -> None:
    found = states()
    assert found.items() >= {
        "journal": "ok", "file mode": "ok", "schema": "ok", "workers": "ok", "queues": "warn", "dead letters": "warn"
    }.items()  # fmt: skip
    assert "mailers" in run("doctor").out
    on_store(folder, lambda store: store.cluster.retire(WorkerID(seeds.worker)))
    os.chmod(folder / "dispatch.db", 0o644)  # noqa: PTH101 - the file as somebody else made it
    found = states()
    assert (found["workers"], found["file mode"]) == ("warn", "warn")


def test_advice_comes_with_every_check_that_is_not_ok(seeds: Seeds) -> None:
    for check in run("doctor", "--json").json["items"]:
        assert bool(check["advice"]) == (check["status"] != "ok"), check


def test_a_full_disk_makes_the_exit_code_9(seeds: Seeds, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "_NEXT_TO_NOTHING", 10**30)
    assert states(code=9)["disk"] == "fail"


def test_a_missing_a_broken_and_an_old_store_fail(seeds: Seeds, folder: Path) -> None:
    assert states("--store", "sqlite:///nowhere.db", code=9)["store"] == "fail"
    assert not (folder / "nowhere.db").exists()
    (folder / "broken.db").write_bytes(b"no database at all, but long enough to look at" * 9)
    found = states("--store", "sqlite:///broken.db", code=9)
    assert (found["journal"], found["store"]) == ("fail", "fail")
    connection = sqlite3.connect(folder / "dispatch.db")
    connection.execute("PRAGMA user_version = 0")
    connection.close()
    assert states(code=9)["schema"] == "fail"


def test_a_store_without_a_file_is_checked_for_its_work_only(folder: Path) -> None:
    found = states("--store", "memory://")
    assert found.pop("writes") == "ok"
    assert found == {"schema": "ok", "workers": "warn", "queues": "ok", "dead letters": "ok"}


def test_a_disk_without_room_is_told_by_health_status_and_doctor(seeds: Seeds, monkeypatch: pytest.MonkeyPatch) -> None:
    assert run("health").code == 0
    monkeypatch.setattr(sqlite, "_NEEDED", 10**30)
    ran = run("health", "--json")
    assert (ran.code, ran.json["healthy"], ran.json["live_workers"]) == (9, False, 1)
    assert "no room left" in ran.json["reason"]
    first = run("status", "--json").json["attention"][0]
    assert first.startswith("the store refuses writes: ") and "no room left" in first
    assert states(code=9)["writes"] == "fail"
