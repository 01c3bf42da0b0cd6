"""`dispatch webhook`: every verb piped and as JSON, what is asked before, and exit codes."""

from __future__ import annotations

import asyncio
import importlib
import json
import re
import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from dispatch_cli import plugged
from dispatch_relay.settings import EndpointTable, RelaySettings

from dispatch import Dispatch
from dispatch.registry import Registry
from dispatch.streams import StreamEntry
from tests.cli.conftest import run

from .relay_folder import REFUSED, ROOT, SECRET, URL, relay_folder
from .webhook_sink import Reply, Sink


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder whose configuration names the relay."""
    with relay_folder(tmp_path, monkeypatch) as found:
        yield found


def work(act: Callable[[Dispatch], Any]) -> Any:
    """Does something with the app that a worker of this folder would be."""

    async def inside() -> Any:
        async with Dispatch(registry=Registry()) as app:
            return await act(app)

    return asyncio.run(inside())


def delivered(port: int, behave: Callable[[Any], Reply] | None = None) -> list[Any]:
    """Lets an event happen and a worker deliver it to a sink at that port; what the sink received."""

    async def act(app: Dispatch) -> list[Any]:
        sink = Sink(SECRET, behave)
        await sink.start(port=port)
        data = b'{"job_id": "job_1", "job_name": "work", "queue": "default"}'
        await app.store.stream.append([StreamEntry("job.failed", "job_1:1", "job.failed", data)])
        await app.start()
        await sink.reached(lambda: bool(sink.received))
        await app.stop()
        await sink.stop()
        return sink.received

    received: list[Any] = work(act)
    return received


@pytest.fixture
def port() -> int:
    import socket

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        found: int = probe.getsockname()[1]
        return found


def test_the_entry_points_of_the_project_lead_to_what_they_name() -> None:
    for target in tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["entry-points"]["dispatch"].values():
        module, _, name = target.partition(":")
        assert getattr(importlib.import_module(module), name)


def test_the_example_configuration_shows_every_key_of_the_relay_with_its_default() -> None:
    text = re.sub(r"(?m)^# (?=\[|[a-z_]+ = )", "", (ROOT / "dispatch" / "config" / "dispatch.toml.example").read_text())
    section = tomllib.loads(text.replace("env:NAME_WEBHOOK_SECRET", SECRET))["plugin"]["relay"]
    assert set(section) == set(RelaySettings.model_fields)
    assert set(section["endpoints"]["NAME"]) == set(EndpointTable.model_fields)
    settings, default = RelaySettings.model_validate(section), RelaySettings()
    for key in ("retry_schedule", "enabled_events", "allow_http"):
        assert getattr(settings, key) == getattr(default, key)
    assert settings.endpoints["NAME"].rate == 10.0
    assert settings.endpoints["NAME"].concurrency == 2


def test_an_endpoint_is_added_listed_and_its_secret_shown_once(folder: Path) -> None:
    added = run(
        "webhook", "add", "billing", URL, "-e", "job.*", "-H", "Authorization: Bearer t0p", "--rate", "30/m", "--json"
    )
    assert added.code == 0
    assert added.json["secret"].startswith("whsec_")
    assert "not shown again" in added.err
    assert "no live worker sends webhooks" in added.err
    listed = run("webhook", "list", "--json").json["items"]
    billing, configured = listed
    assert (billing["id"], billing["events"], billing["rate"]) == ("billing", ["job.*"], 0.5)
    assert (configured["id"], configured["origin"]) == ("configured", "config")
    for ran in (run("webhook", "list", "--json"), run("webhook", "list"), run("config", "show"), run("audit", "list")):
        assert ran.code == 0
        for secret in (added.json["secret"], SECRET, "t0p"):
            assert secret not in ran.out + ran.err
    assert run("webhook", "list", "-o", "ids").lines == ["billing", "configured"]
    assert run("webhook", "list").lines[0].split() == ["NAME", "STATE", "URL", "FOR", "TENANT", "ORIGIN"]


def test_what_cannot_be_is_refused_with_the_exit_code_of_its_kind(folder: Path) -> None:
    run("webhook", "add", "a", URL)
    for words, code in REFUSED:
        ran = run("webhook", *words)
        assert (ran.code, "Traceback" in ran.err) == (code, False), (words, ran.err)
        assert ran.err.startswith("error: "), words
    assert run("webhook", "list", "-o", "ids").lines == ["a", "configured"]


def test_what_is_no_id_of_a_delivery_is_told_as_other_commands_tell_it(folder: Path) -> None:
    ran = run("webhook", "redeliver", "nope")
    assert (ran.code, ran.err) == (
        2,
        "error: 'nope' is not the id of a delivery: job_ and 26 letters and digits\n"
        "hint: `dispatch webhook deliveries` shows the ids\n",
    )


def test_a_rehearsal_changes_nothing(folder: Path) -> None:
    run("webhook", "add", "a", URL)
    before = run("webhook", "list", "--json").out
    for words in (("add", "b", URL), ("rotate", "a"), ("remove", "a"), ("disable", "a"), ("enable", "a")):
        assert run("webhook", *words, "--dry-run").code == 0
    assert run("webhook", "list", "--json").out == before


def test_an_endpoint_is_switched_rotated_and_removed(folder: Path) -> None:
    first = run("webhook", "add", "a", URL, "--json").json["secret"]
    assert run("webhook", "disable", "a", "--reason", "moves", "--json").json["state"] == "disabled"
    assert run("webhook", "enable", "a", "--reason", "moved", "--json").json["state"] == "enabled"
    rotated = run("webhook", "rotate", "a", "--overlap", "1h", "--reason", "leaked", "--json").json
    assert rotated["secret"] != first
    assert rotated["old_secret_until"]
    assert run("webhook", "remove", "a", "--yes", "--json").json["outcome"] == "removed"
    assert run("webhook", "list", "-o", "ids").lines == ["configured"]
    records = run("audit", "list", "--json").json["items"][:5]
    assert [record["verb"] for record in records] == [
        f"webhook.{verb}" for verb in ("remove", "rotate", "enable", "disable", "add")
    ]
    assert [record["reason"] for record in records] == ["", "leaked", "moved", "moves", ""]


def test_with_ids_a_new_secret_goes_to_stderr_since_nothing_shows_it_again(folder: Path) -> None:
    secrets = set()
    for words in (("add", "a", URL), ("rotate", "a")):
        ran = run("webhook", *words, "-o", "ids")
        assert (ran.code, ran.out) == (0, "a\n")
        [told] = [line for line in ran.err.splitlines() if "whsec_" in line]
        found = re.fullmatch(r"the secret of endpoint a: (whsec_\S+); keep it now, it is not shown again", told)
        assert found is not None, told
        secrets.add(found[1])
    assert len(secrets) == 2
    for verb, words in (("add", ("b", URL)), ("rotate", ("a",))):
        rehearsed = run("webhook", verb, *words, "--dry-run", "-o", "ids")
        assert (rehearsed.code, rehearsed.out, rehearsed.err) == (0, f"{words[0]}\n", "")
    assert "whsec_" not in run("webhook", "rotate", "a", "--json").err


def test_times_end_in_z(folder: Path, port: int) -> None:
    run("webhook", "add", "a", f"http://127.0.0.1:{port}/", "-e", "job.failed", "--secret", SECRET)
    assert run("webhook", "rotate", "a", "--json").json["old_secret_until"].endswith("Z")
    assert run("webhook", "disable", "a", "--json").json["disabled_at"].endswith("Z")
    run("webhook", "enable", "a")
    delivered(port, lambda got: Reply(500))
    [row] = run("webhook", "deliveries", "--json").json["items"]
    assert (row["created_at"][-1], row["next_attempt_at"][-1]) == ("Z", "Z")


def test_a_store_that_is_not_there_is_not_made_by_looking(folder: Path) -> None:
    assert run("webhook", "list", "--store", f"sqlite:///{folder}/other.db").code == 6
    assert not (folder / "other.db").exists()


def test_deliveries_are_listed_and_sent_again(folder: Path, port: int) -> None:
    run("webhook", "add", "a", f"http://127.0.0.1:{port}/", "-e", "job.failed", "--secret", SECRET)
    assert [one.verified for one in delivered(port)] == [True]
    [row] = run("webhook", "deliveries", "--json").json["items"]
    assert (row["endpoint"], row["webhook_id"], row["type"]) == ("a", "job_1:1", "dispatch.job.failed")
    assert (row["state"], row["status"]) == ("completed", 200)
    assert run("webhook", "deliveries", "--state", "failed").err == "no deliveries match\n"
    assert run("webhook", "redeliver", row["id"], "--dry-run", "--json").json["items"][0]["outcome"] == "would be sent"
    again = run("webhook", "redeliver", row["id"], "--reason", "it was lost", "--json").json["items"][0]
    assert again["job_id"] != row["id"]
    record = run("audit", "list", "--json").json["items"][0]
    assert (record["verb"], record["reason"]) == ("webhook.redeliver", "it was lost")
    assert [one.id for one in delivered(port)][:1] == ["job_1:1"]


def test_a_test_says_what_came_back_and_fails_when_it_did_not_arrive(folder: Path, port: int) -> None:
    run("webhook", "add", "a", f"http://127.0.0.1:{port}/", "--secret", SECRET)
    refused = run("webhook", "test", "a", "--json")
    assert (refused.code, refused.json["arrived"]) == (1, False)
    assert "could not be reached" in refused.json["message"]


HELP = ["", "list", "deliveries", "add", "rotate", "remove", "disable", "enable", "test", "redeliver"]


@pytest.mark.parametrize("verb", HELP, ids=lambda verb: verb or "noun")
def test_every_help_page_says_what_it_is_for_shows_examples_and_fits_80_columns(folder: Path, verb: str) -> None:
    ran = run("webhook", *verb.split(), "--help")
    assert ran.code == 0
    assert ran.out.startswith("Usage: dispatch")
    assert len(ran.lines[2].strip()) >= 20
    assert "Examples:\n  dispatch webhook " in ran.out
    assert max(map(len, ran.out.partition("Examples:")[0].splitlines())) <= 80


def test_without_the_plugin_there_is_no_such_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    plugged._nouns.cache_clear()
    assert run("webhook", "list").code == 2
    assert "dispatch_relay" not in json.dumps(run("--help").out)
