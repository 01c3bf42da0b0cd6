"""`dispatch store`, `config`, `inspect`, `version`."""

from __future__ import annotations

import sqlite3
import stat
import tomllib
from datetime import datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from dispatch_cli.inspect import next_times

from tests.cli.conftest import Seeds, run


def test_init_creates_the_store_once(folder: Path) -> None:
    rehearsed = run("store", "init", "--dry-run", "--json").json
    assert rehearsed["dry_run"] is True
    assert not (folder / "dispatch.db").exists()
    created = run("store", "init", "--json").json
    assert created["applied"] == rehearsed["pending"] != []
    assert stat.S_IMODE((folder / "dispatch.db").stat().st_mode) == 0o600
    again = run("store", "init")
    assert again.code == 0
    assert "nothing to do" in again.err


def test_an_empty_file_is_migrated_and_the_statements_can_be_read_before(folder: Path) -> None:
    (folder / "dispatch.toml").write_text('migrate = "never"\n')
    sqlite3.connect(folder / "dispatch.db").close()
    (folder / "dispatch.db").touch()
    assert run("store", "status").code == 9
    statements = run("store", "migrate", "--sql").out
    assert "CREATE TABLE" in statements
    assert run("store", "status").code == 9
    assert run("store", "migrate", "--dry-run", "--json").json["pending"] != []
    assert run("store", "migrate").code == 0
    assert run("store", "status", "--json").json["pending"] == []
    assert run("store", "migrate", "--sql").out == ""
    database = sqlite3.connect(":memory:")
    database.executescript(statements)
    database.close()


def test_a_store_that_is_not_there_is_not_created_by_looking(folder: Path) -> None:
    for words in ("status", "migrate", "migrate --dry-run"):
        ran = run("store", *words.split())
        assert ran.code == 6
        assert "store init" in ran.err
    assert not (folder / "dispatch.db").exists()


def test_status_counts_what_is_there(seeds: Seeds) -> None:
    document = run("store", "status", "--json").json
    assert (document["dead_letters"], document["live_workers"]) == (2, 1)
    assert sum(document["jobs"].values()) == 7


def test_prune_counts_by_kind_asks_and_removes_what_retention_does_not_keep(seeds: Seeds, folder: Path) -> None:
    nothing = run("store", "prune", "--json")
    assert (nothing.code, nothing.json["total"]) == (0, 0)
    assert "nothing is older" in nothing.err
    (folder / "dispatch.toml").write_text('[retention]\ncompleted = "0.001s"\nfailed = "0.001s"\n')
    rehearsed = run("store", "prune", "--dry-run", "--json").json
    assert (rehearsed["completed"], rehearsed["failed"], rehearsed["total"]) == (2, 4, 6)
    unasked = run("store", "prune")
    assert unasked.code == 2
    assert "would remove 2 completed jobs and runs, 4 failed jobs and runs for good" in unasked.err
    assert run("job", "count", "--json").json["total"] == 7
    assert run("store", "prune", "--yes", "--json").json == {**rehearsed, "dry_run": False}
    assert run("job", "count", "--json").json["total"] == 3
    assert [found["id"] for found in run("workflow", "list", "--json").json["items"]] == [seeds.run_waiting]
    assert run("store", "status", "--json").json["dead_letters"] == 2
    assert run("dlq", "replay", seeds.letter).code == 0


def test_config_show_says_where_values_come_from_and_masks_secrets(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / "dispatch.toml").write_text("concurrency = 7\n[plugin.mail]\npassword = 'hush'\n")
    monkeypatch.setenv("DISPATCH_LEASE", "60s")
    document = run("config", "show", "--origin", "--json", "--store", "memory://").json
    assert document["config"]["concurrency"] == 7
    assert document["origins"]["concurrency"].startswith("file ")
    assert document["origins"]["lease"] == "env DISPATCH_LEASE"
    assert document["origins"]["store"] == "flag"
    assert document["config"]["plugin"]["mail"]["password"] == "***"
    assert "hush" not in run("config", "show").out


def test_an_unknown_variable_is_a_warning_on_stderr(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DISPATCH_CONCURENCY", "3")
    ran = run("config", "show", "--json")
    assert ran.code == 0
    assert "did you mean 'DISPATCH_CONCURRENCY'?" in ran.err


def test_config_init_writes_a_file_that_loads_and_leaves_an_existing_one_alone(folder: Path) -> None:
    text = run("config", "init", "--dry-run").out
    assert tomllib.loads(text)["concurrency"] == 10
    assert not (folder / "dispatch.toml").exists()
    assert run("config", "init").code == 0
    assert (folder / "dispatch.toml").read_text() == text
    assert run("config", "show").code == 0
    assert run("config", "init").code == 2
    assert run("config", "init", "--dry-run").code == 2


def test_inspect_shows_jobs_workflows_and_crons_with_their_next_times(folder: Path) -> None:
    document = run("inspect", "examples_tasks", "--json").json
    jobs = {job["name"]: job for job in document["jobs"]}
    assert jobs["send_email"]["queue"] == "mailers"
    assert jobs["send_email"]["options"] == {"max_retries": 1}
    assert jobs["add"]["parameters"]["required"] == ["x"]
    assert jobs["add"]["place"].endswith("examples_tasks.py:5")
    assert [(flow["name"], flow["version"]) for flow in document["workflows"]] == [("checkout", 2)]
    (cron,) = document["crons"]
    ticks = [datetime.fromisoformat(text).astimezone(ZoneInfo("Europe/Berlin")) for text in cron["next"]]
    assert {(tick.hour, tick.minute) for tick in ticks} == {(3, 0)}
    assert "Europe/Berlin" in run("inspect", "examples_tasks").out


def test_inspect_shows_executors_lifespans_functions_in_words_and_paths_from_here(folder: Path) -> None:
    (folder / "examples_more.py").write_text(
        "from dispatch import job, lifespan\n"
        "@lifespan\n"
        "async def pool(): yield 1\n"
        "@job(unique=lambda x: x, executor='process')\n"
        "def hash_file(x: int) -> int: return x\n"
        "@job\n"
        "async def ping() -> None: ...\n"
    )
    _, *rows = run("inspect", "examples_more").out.splitlines()
    assert [" ".join(row.split()) for row in rows] == [
        "job hash_file default x executor=process, unique=by a function examples_more.py:4",
        "job ping default - - examples_more.py:6",
        "lifespan pool - - - examples_more.py:2",
    ]
    assert run("inspect", "examples_more", "--json").json["lifespans"] == [
        {"name": "pool", "place": "examples_more.py:2"}
    ]


def test_every_is_counted_from_now() -> None:
    now = datetime.fromisoformat("2026-01-01T00:00:00+00:00")
    assert [tick.isoformat()[14:19] for tick in next_times("@every 90s", "UTC", now)] == ["01:30", "03:00", "04:30"]


def test_version_tells_what_a_bug_report_needs() -> None:
    assert {"dispatch", "python", "sqlite", "typer"} <= {*run("version", "--json").json}
