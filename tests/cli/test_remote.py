"""Every command that looks after jobs does the same through a server (--url) as on the store itself."""

from __future__ import annotations

import json
import shutil
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.cli.conftest import TASKS, Ran, Seeds, run
from tests.cli.remote import Serving, differences, serving
from tests.cli.test_audit import MUTATING, WITHOUT_REASON
from tests.cli.test_every_command import CASES, argv
from tests.cli.test_examples import commands

ALONE = {words: found.local for words, found in commands() if words and getattr(found, "local", "")}
"""The commands that work on a store only, with their reasons."""
REMOTE = [words for words in CASES if words not in ALONE]
LOOKING = [words for words in REMOTE if words not in MUTATING]
CHANGING = [words for words in REMOTE if words in MUTATING]
MORE = {
    "job list": ("--state failed --name add --tag x --since 2h --until 1s --limit 5", "--limit 2"),
    "job count": ("--queue mailers --name charge_card",),
    "job show": ("{odd}", "{failed}", "{running}"),
    "job stats": ("add --since 2h",),
    "job explain": ("{running}",),
    "dlq list": ("--group", "--state all --name charge_card --error ValueError --queue mailers"),
    "dlq count": ("--state all",),
    "queue show": ("slow",),
    "cron list": ("--state disabled", "--tenant shop/t-1"),
    "cron show": ("paused",),
    "workflow list": ("--active --name checkout --version 2", "--state completed,failed"),
    "workflow show": ("{run_done}", "{run_failed}"),
    "event list": ("--name stock.arrived --key a-1",),
    "worker list": ("--all",),
}
"""Other ways to look."""


ORDER = [
    *("job retry", "job cancel", "job delete", "workflow migrate", "workflow signal", "workflow cancel"),
    *(words for words in CASES if words not in ("job retry", "job cancel", "job delete", "workflow cancel")),
]
"""What ends a thing comes behind what else is done to it."""
OTHERWISE = {"dlq discard": "{other_letter} --yes"}
A_PROGRAMS_OWN = ("job enqueue", "workflow start", "workflow signal", "event publish")
"""A key's holder may be any program, and its work leaves no records."""


def mine(folder: Path, name: str, template: tuple[Path, Seeds]) -> Path:
    """A copy of the seeded store in a project of its own."""
    project = folder / name
    project.mkdir()
    (project / "examples_tasks.py").write_text(TASKS)
    for file in template[0].glob("dispatch.db*"):
        shutil.copy(file, project / file.name)
    return project


@pytest.fixture(scope="module")
def shown(tmp_path_factory: pytest.TempPathFactory, template: tuple[Path, Seeds]) -> Iterator[tuple[Path, Serving]]:
    """A store that is only looked at, with its server."""
    project = mine(tmp_path_factory.mktemp("shown"), "project", template)
    with serving(project) as found:
        yield project, found


@pytest.fixture(scope="module")
def pair(
    tmp_path_factory: pytest.TempPathFactory, template: tuple[Path, Seeds]
) -> Iterator[tuple[Path, Path, Serving]]:
    """Two equal stores that are changed in the same way, one through its server."""
    folder = tmp_path_factory.mktemp("pair")
    here, there = mine(folder, "here", template), mine(folder, "there", template)
    (there / "elsewhere").mkdir()
    with serving(there) as found:
        yield here, there, found


EDITED = "{letter} --set amount:=5 --set note=phoned --force"
"""A replay with other arguments."""


def held(project: Path) -> list[tuple[str, list[Any]]]:
    """Every row of the store in a project, but what time alone changes."""
    database = sqlite3.connect(project / "dispatch.db")
    try:
        tables = [name for (name,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        return [
            (name, database.execute(f"SELECT * FROM {name}").fetchall()) for name in tables if "sqlite_" not in name
        ]
    finally:
        database.close()


def replayed(project: Path) -> list[Any]:
    """What the jobs carry that replays have made."""
    database = sqlite3.connect(project / "dispatch.db")
    try:
        rows = database.execute("SELECT payload FROM jobs WHERE replay_of IS NOT NULL ORDER BY id")
        return [json.loads(payload) for (payload,) in rows]
    finally:
        database.close()


def through(server: Serving, monkeypatch: pytest.MonkeyPatch, *words: str, stdin: str = "") -> Ran:
    """The command at the server, from a folder without a store."""
    monkeypatch.setenv("DISPATCH_API_KEY", server.key)
    return run(*words, "--url", server.url, stdin=stdin)


def test_a_command_works_through_a_server_or_says_why_not() -> None:
    assert all(len(reason) > 20 for reason in ALONE.values())
    assert {*REMOTE} | {*ALONE} == {words for words, found in commands() if words and not hasattr(found, "commands")}


@pytest.mark.parametrize("words", ALONE)
def test_what_needs_a_store_refuses_servers_in_a_sentence(words: str, seeds: Seeds) -> None:
    case = argv(words, CASES[words].good, seeds)
    ran = run(*case, "--url", "http://127.0.0.1:1")
    assert ran.code == 2
    assert ran.out == ""
    assert ran.err.startswith(f"error: `dispatch {words}` cannot be done through a server (http://127.0.0.1:1): ")


@pytest.mark.parametrize(
    ("words", "text"), [(words, text) for words in LOOKING for text in (CASES[words].good, *MORE.get(words, ()))]
)
def test_looking_shows_the_same(
    words: str,
    text: str,
    shown: tuple[Path, Serving],
    template: tuple[Path, Seeds],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    project, server = shown
    case = argv(words, text, template[1])
    monkeypatch.chdir(project)
    here = run(*case, "--json")
    plain = run(*case)
    monkeypatch.chdir(tmp_path)
    there = through(server, monkeypatch, *case, "--json")
    assert (there.code, there.err) == (here.code, here.err)
    if words != "event tail":
        assert [*differences(here.json, there.json)] == []
    assert len(through(server, monkeypatch, *case).lines) == len(plain.lines)


@pytest.mark.parametrize("words", [words for words in REMOTE if CASES[words].wrong])
def test_what_is_not_there_is_refused_for_the_same_reason(
    words: str,
    shown: tuple[Path, Serving],
    template: tuple[Path, Seeds],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    project, server = shown
    case = [*argv(words, CASES[words].wrong, template[1]), "--json"]
    monkeypatch.chdir(project)
    here = run(*case)
    monkeypatch.chdir(tmp_path)
    there = through(server, monkeypatch, *case)
    assert (there.code, there.out) == (here.code, here.out)
    assert (
        json.loads(there.err.splitlines()[-1])["error"]["code"]
        == json.loads(here.err.splitlines()[-1])["error"]["code"]
    )


@pytest.mark.parametrize("words", CHANGING)
def test_a_rehearsal_says_the_same_and_writes_nothing(
    words: str,
    shown: tuple[Path, Serving],
    template: tuple[Path, Seeds],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    project, server = shown
    case = [*argv(words, CASES[words].good, template[1]), "--dry-run", "--json"]
    monkeypatch.chdir(project)
    before = held(project)
    here = run(*case)
    monkeypatch.chdir(tmp_path)
    there = through(server, monkeypatch, *case)
    assert (here.code, there.code, there.err) == (0, 0, here.err)
    assert [*differences(here.json if here.out else None, there.json if there.out else None)] == []
    assert held(project) == before


def test_a_dead_letter_is_replayed_with_other_arguments_both_ways(
    template: tuple[Path, Seeds], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    here_at, there_at = mine(tmp_path, "here", template), mine(tmp_path, "there", template)
    case = argv("dlq replay", EDITED, template[1])
    (tmp_path / "args.json").write_text('{"amount": 9, "api_key": "***"}')
    whole = ["dlq", "replay", template[1].other_letter, "--payload", str(tmp_path / "args.json")]
    with serving(there_at) as server:
        monkeypatch.setenv("DISPATCH_API_KEY", server.key)
        for project, more in ((here_at, []), (there_at, ["--url", server.url])):
            monkeypatch.chdir(project)
            before = held(project)
            rehearsed = run(*case, "--dry-run", "--json", *more)
            assert (rehearsed.code, rehearsed.json["items"][0]["outcome"]) == (0, "would be replayed")
            assert held(project) == before
            assert run(*case, *more).code == 0
            assert run(*whole, *more).code == 0
            assert replayed(project) == [
                {"amount": 5, "api_key": "s3cret", "note": "phoned"},
                {"amount": 9, "api_key": "s3cret"},
            ]
            assert run("dlq", "show", template[1].letter, "--json").json["payload"]["amount"] == 3
            again = run(*case, *more, "--json")
            assert (again.code, json.loads(again.err)["error"]["code"]) == (5, "already_replayed")


@pytest.mark.parametrize("words", sorted(CHANGING, key=ORDER.index))
def test_changing_does_the_same(
    words: str, pair: tuple[Path, Path, Serving], template: tuple[Path, Seeds], monkeypatch: pytest.MonkeyPatch
) -> None:
    here_at, there_at, server = pair
    why = () if words in WITHOUT_REASON else ("--reason", "because")
    case = [*argv(words, OTHERWISE.get(words, CASES[words].good), template[1]), *why, "--json"]
    monkeypatch.chdir(here_at)
    here = run(*case)
    monkeypatch.chdir(there_at / "elsewhere")
    there = through(server, monkeypatch, *case)
    assert (here.code, there.code, there.err) == (0, 0, here.err)
    assert [*differences(here.json, there.json)] == []
    monkeypatch.chdir(there_at)
    newest = run("audit", "list", "--limit", "1", "--json").json["items"][0]
    if words not in A_PROGRAMS_OWN:
        told = (newest["verb"], newest["reason"], newest["outcome"])
        assert told == (words.replace(" ", "."), "because" if why else "", "done")
        assert newest["who"].startswith("tester (key ")
