"""`dispatch store copy` and `dispatch store verify`."""

from __future__ import annotations

import os
import sqlite3
from pathlib import Path

import pytest
from dispatch_cli.store import verify as module

from dispatch.services import transfer
from dispatch.testing.conformance import cases
from tests.cli import schemas_ops
from tests.cli.conftest import Seeds, run
from tests.cli.test_output import fits

COPY = ("store", "copy", "sqlite:///dispatch.db", "sqlite:///copy.db")


def test_a_copy_holds_the_same_and_its_audit_record_says_where_it_came_from(seeds: Seeds, folder: Path) -> None:
    rehearsed = run(*COPY, "--force", "--dry-run", "--json").json
    assert (rehearsed["counts"]["jobs"], rehearsed["counts"]["runs"]) == (10, 3)
    assert (rehearsed["equal"], rehearsed["resumed"]) == (None, False)
    assert not (folder / "copy.db").exists()
    done = run(*COPY, "--force", "--reason", "a new disk", "--json")
    assert done.code == 0, done.err
    assert (done.json["equal"], done.json["written"]) == (True, sum(rehearsed["counts"].values()))
    there = ("--store", "sqlite:///copy.db")
    assert run("job", "list", "--json", *there).json == run("job", "list", "--json").json
    assert run("dlq", "list", "--json", *there).json == run("dlq", "list", "--json").json
    for verb in (("list",), ("timeline", seeds.run_done), ("show", seeds.run_waiting)):
        assert run("workflow", *verb, "--json", *there).json == run("workflow", *verb, "--json").json
    (record,) = run("audit", "list", "--json", *there).json["items"]
    assert (record["verb"], record["reason"]) == ("store.copy", "a new disk")
    assert record["ids"] == [f"sqlite:///{folder}/dispatch.db"]


def test_a_copy_is_refused_with_what_to_do(seeds: Seeds, folder: Path) -> None:
    alive = run(*COPY)
    assert alive.code == 5
    assert "dispatch worker drain --all" in alive.err
    assert run(*COPY, "--force").code == 0
    full = run(*COPY, "--force")
    assert full.code == 5
    assert "is not empty" in full.err
    assert run("store", "copy", "sqlite:///dispatch.db", f"sqlite:///{folder}/./dispatch.db").code == 2
    missing = run("store", "copy", "sqlite:///nowhere.db", "sqlite:///copy.db")
    assert missing.code == 6
    assert not (folder / "nowhere.db").exists()


def test_an_interrupted_copy_is_taken_up_again_from_another_folder(
    seeds: Seeds, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transfer, "PAGE", 2)
    with monkeypatch.context() as patched:
        patched.setattr(transfer.StoreCopy, "_note", _interrupt_at(3, transfer.StoreCopy._note))
        assert run(*COPY, "--force").code == 130
    (folder / "elsewhere").mkdir()
    os.chdir(folder / "elsewhere")
    again = run("store", "copy", "sqlite:///../dispatch.db", "sqlite:///../copy.db", "--force", "--json").json
    assert (again["resumed"], again["equal"]) == (True, True)
    assert again["written"] < sum(again["counts"].values())


def _interrupt_at(count: int, true: object) -> object:
    calls = 0

    async def note(self: object, places: object) -> None:
        nonlocal calls
        calls += 1
        if calls > count:
            raise KeyboardInterrupt
        await true(self, places)  # type: ignore[operator]

    return note


def test_what_differs_in_the_end_is_told_with_exit_9(seeds: Seeds, monkeypatch: pytest.MonkeyPatch) -> None:
    async def meddle(self: transfer.StoreCopy, tick: object) -> int:
        return 0

    monkeypatch.setattr(transfer.StoreCopy, "_copy_all", meddle)
    ran = run(*COPY, "--force", "--json")
    assert ran.code == 9
    assert ran.json["equal"] is False
    assert {"kind": "runs", "key": seeds.run_done, "text": "is missing at the destination"} in ran.json["differences"]
    assert "copy to an empty store" in ran.err


def test_verify_counts_promises_by_part_and_leaves_the_store_alone(
    seeds: Seeds, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    few = cases("I26")
    monkeypatch.setattr("dispatch.testing.conformance.cases", lambda: few)
    before = (folder / "dispatch.db").read_bytes()
    ran = run("store", "verify")
    assert ran.code == 0
    assert f"{len(few)} of {len(few)} promises kept" in ran.err
    assert "leadership" in ran.out
    fits(run("store", "verify", "--json").json, schemas_ops.VERIFIED)
    assert (folder / "dispatch.db").read_bytes() == before
    assert [path for path in folder.iterdir() if "scratch" in path.name] == []


def test_a_broken_promise_is_shown_with_its_line_and_exit_9(seeds: Seeds, monkeypatch: pytest.MonkeyPatch) -> None:
    from dispatch.testing.conformance import CaseResult

    async def broken(session: object) -> list[CaseResult]:
        return [CaseResult("dlq.a_replay_is_made_once", ("I12",), False, "AssertionError: twice (dlq.py:7)")]

    monkeypatch.setattr(module, "_run_cases", broken)
    ran = run("store", "verify")
    assert ran.code == 9
    assert "twice (dlq.py:7)" in ran.out
    assert run("store", "verify", "--json").json["broken"] == 1


def test_damage_in_the_data_is_named_with_advice_and_exit_9(seeds: Seeds, folder: Path) -> None:
    assert run("store", "verify", "--data").code == 0
    connection = sqlite3.connect(folder / "dispatch.db")
    connection.execute(
        "UPDATE jobs SET state = 'completed' WHERE id = (SELECT job_id FROM dlq WHERE id = ?)", [seeds.letter]
    )
    connection.commit()
    connection.close()
    ran = run("store", "verify", "--data", "--json")
    assert ran.code == 9
    (found,) = ran.json["items"]
    assert (found["kind"], found["key"]) == ("dlq", seeds.letter)
    assert "dispatch dlq discard" in found["advice"]


@pytest.mark.parametrize("urls", [("memory://", "sqlite:///new.db"), ("sqlite:///dispatch.db", "memory://")])
def test_a_store_that_lives_in_one_process_is_not_copied(
    urls: tuple[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    ran = run("store", "copy", *urls)
    assert ran.code == 2
    assert "memory:// lives in one process" in ran.err
    assert list(tmp_path.iterdir()) == []
