"""`dispatch check`: the gate before a deploy."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli import schemas_ops
from tests.cli.conftest import Seeds, run
from tests.cli.test_output import fits

ALL = ("odd", "charge_card")


def check(*more: str) -> list[dict[str, object]]:
    ran = run("check", "examples_tasks", *more, "--json")
    fits(ran.json, schemas_ops.CHECKED)
    dangers = sum(bool(item["danger"]) for item in ran.json["items"])
    assert (ran.code, ran.json["dangers"]) == (9 if dangers else 0, dangers)
    items: list[dict[str, object]] = ran.json["items"]
    return items


def change(folder: Path, old: str, new: str) -> None:
    """Puts the new version's code in place."""
    file = folder / "examples_tasks.py"
    text = file.read_text()
    assert old in text
    file.write_text(text.replace(old, new))


def test_names_that_are_gone_are_dangers_unless_others_serve_them(seeds: Seeds) -> None:
    (gone, _) = check()
    assert (gone["problem"], gone["name"], gone["waiting"], gone["sample"]) == ("removed", "odd", 1, [seeds.odd])
    (only,) = check("--elsewhere", "odd")
    assert (only["problem"], only["queue"], only["danger"]) == ("unserved", "slow", False)


def test_arguments_that_no_longer_fit_are_dangers(seeds: Seeds, folder: Path) -> None:
    change(folder, "to: str", "address: str")
    (found, *_) = check("--elsewhere", "odd")
    assert (found["problem"], found["name"], found["sample"]) == ("invalid", "send_email", [seeds.pending])
    assert "no parameter 'to'" in str(found["text"])


def test_running_jobs_of_a_removed_name_are_counted(seeds: Seeds, folder: Path) -> None:
    change(folder, "def add(", "def plus(")
    change(folder, "await add.enqueue", "await plus.enqueue")
    (broken, found) = check("--elsewhere", "odd")
    assert (found["problem"], found["name"], found["running"], found["waiting"]) == ("removed", "add", 1, 0)
    assert (broken["problem"], broken["name"], broken["danger"]) == ("fails", "checkout@2", True)
    assert broken["text"] == "the body raises NameError: name 'add' is not defined"


def test_a_queue_of_the_configuration_is_served(seeds: Seeds, folder: Path) -> None:
    (folder / "dispatch.toml").write_text("[queue.slow]\nmax_concurrency = 1\n")
    assert check("--elsewhere", "odd") == []


@pytest.mark.parametrize("store", ["sqlite:///nowhere.db", "sqlite:///no/where.db"])
def test_a_store_that_is_not_there_is_exit_6_and_stays_away(store: str, seeds: Seeds, folder: Path) -> None:
    assert run("check", "examples_tasks", "--against", store).code == 6
    assert not (folder / "nowhere.db").exists()


def test_code_that_cannot_be_imported_is_exit_7(seeds: Seeds, folder: Path) -> None:
    change(folder, "from dispatch", "from nowhere_at_all")
    assert run("check", "examples_tasks").code == 7


def test_runs_are_replayed_and_what_would_become_of_them_is_told(seeds: Seeds, folder: Path) -> None:
    change(folder, 'ctx.step("ship"', 'ctx.step("send"')
    (renamed, _) = check("--elsewhere", "odd")
    assert (renamed["problem"], renamed["name"], renamed["step"]) == ("renamed", "checkout@2", "send")
    assert (renamed["sample"], renamed["waiting"]) == ([seeds.run_waiting], 1)
    ran = run("check", "examples_tasks", "--elsewhere", "odd")
    assert ran.code == 9
    assert "jobs and 1 unfinished runs looked at: 1 danger" in ran.err


def test_a_version_with_runs_that_is_gone_is_a_danger_unless_others_serve_it(seeds: Seeds, folder: Path) -> None:
    change(folder, "version=2", "version=3")
    (gone, _) = check("--elsewhere", "odd")
    assert gone["text"] == "no version 2 of workflow 'checkout' is defined any more; there are: 3"
    assert "dispatch workflow migrate" in str(gone["advice"])
    assert all(item["name"] != "checkout@2" for item in check("--elsewhere", "odd", "--elsewhere", "checkout"))
