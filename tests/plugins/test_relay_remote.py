"""`dispatch webhook --url`: every verb does the same through a server as on the store itself."""

from __future__ import annotations

import asyncio
import json
import shutil
import socket
import threading
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
from dispatch_relay import RelayExtension
from dispatch_relay.signing import new_secret

from dispatch import Dispatch
from dispatch.access import JOB_READ
from dispatch.ids import JobID
from dispatch.jobs.model import NewJob
from dispatch.registry import Registry
from dispatch.scope import Scope
from tests.cli.conftest import Ran, run
from tests.cli.remote import Serving, differences, serving

from .relay_folder import REFUSED, SECRET, TOML, URL, relay_folder

OTHER = new_secret()
LOOKING = ("list", "deliveries", "deliveries --endpoint a --state cancelled --limit 1", "deliveries --state failed")
REHEARSED = (
    f"add b {URL} --event job.* --rate 30/m --header X-Team:core --tenant shop/t-1 --secret {OTHER}",
    "rotate a",
    "remove a",
    "disable a",
    "enable a",
    "redeliver {delivery}",
)
CHANGING = (
    f"add b {URL} --event job.* --rate 30/m --header X-Token:core --tenant shop/t-1 --secret {OTHER}",
    f"add .. {URL}",
    f"rotate a --secret {OTHER} --overlap 1m --reason leaked",
    "rotate ..",
    "disable a --reason moves",
    "disable configured",
    "enable a --reason moved",
    "enable configured",
    "redeliver {delivery} --reason lost",
    "remove .. --yes --reason done",
    "remove a --yes",
)


@dataclass(frozen=True)
class Both:
    """Two equal stores, one behind a server."""

    here: Path
    there: Path
    server: Serving
    delivery: str
    monkeypatch: pytest.MonkeyPatch

    def on_store(self, text: str, *more: str) -> Ran:
        self.monkeypatch.chdir(self.here)
        return run("webhook", *self._words(text), *more)

    def through(self, text: str, *more: str) -> Ran:
        """The command at the server, in a folder without a store whose configuration names nothing but the plugin."""
        self.monkeypatch.chdir(self.there / "elsewhere")
        self.monkeypatch.setenv("DISPATCH_API_KEY", self.server.key)
        return run("webhook", *self._words(text), *more, "--url", self.server.url)

    def _words(self, text: str) -> list[str]:
        return text.format(delivery=self.delivery).split()


async def _seed() -> str:
    """Makes a delivery that was given up; its id."""
    async with Dispatch(registry=Registry()) as app:
        found = JobID.new()
        row = NewJob(
            found,
            "relay.deliver",
            b"{}",
            queue="relay",
            kind="delivery",
            tags=("webhook:a",),
            metadata={"webhook_id": "job_1:1", "event_type": "dispatch.job.failed", "endpoint": "a"},
        )
        await app.store.jobs.enqueue([row])
        await app.jobs.cancel(found)
    return str(found)


@pytest.fixture
def both(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Both]:
    here, there = tmp_path / "here", tmp_path / "there"
    here.mkdir()
    with relay_folder(here, monkeypatch):
        assert run("webhook", "add", "a", URL, "--secret", SECRET).code == 0
        delivery = asyncio.run(_seed())
        (there / "elsewhere").mkdir(parents=True)
        (there / "elsewhere" / "dispatch.toml").write_text('plugins = ["relay"]\n')
        for file in here.glob("dispatch.db*"):
            shutil.copy(file, there / file.name)
        settings = tomllib.loads(TOML % SECRET)["plugin"]["relay"]
        monkeypatch.chdir(there)  # its settings are its own, not those of a file
        with serving(there, plugins=[RelayExtension(**settings)]) as server:
            yield Both(here, there, server, delivery, monkeypatch)


@contextmanager
def receiver() -> Iterator[str]:
    """An endpoint that takes everything."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            self.send_response(200)
            self.send_header("Content-Length", "6")
            self.end_headers()
            self.wfile.write(b"thanks")

        def log_message(self, format: str, *args: object) -> None:
            return

    with HTTPServer(("127.0.0.1", 0), Handler) as found:
        thread = threading.Thread(target=found.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{found.server_port}/"
        finally:
            found.shutdown()
            thread.join(60)


def test_looking_shows_the_same(both: Both) -> None:
    for text in LOOKING:
        here, there = both.on_store(text, "--json"), both.through(text, "--json")
        assert (here.code, there.code, there.err) == (0, 0, here.err), text
        assert [*differences(here.json, there.json)] == [], text
        assert len(both.through(text).lines) == len(both.on_store(text).lines)
    assert [item["id"] for item in both.through("list", "--json").json["items"]] == ["a", "configured"]
    assert both.through("deliveries", "-o", "ids").lines == [both.delivery]


def test_a_rehearsal_says_the_same_and_writes_nothing(both: Both) -> None:
    before = [both.through(text, "--json").out for text in LOOKING]
    for text in REHEARSED:
        here, there = both.on_store(text, "--dry-run", "--json"), both.through(text, "--dry-run", "--json")
        assert (here.code, there.code, there.err) == (0, 0, here.err), text
        assert [*differences(here.json, there.json)] == [], text
    assert [both.through(text, "--json").out for text in LOOKING] == before


def test_changing_does_the_same_in_the_name_of_the_key(both: Both) -> None:
    for text in CHANGING:
        here, there = both.on_store(text, "--json"), both.through(text, "--json")
        assert (here.code, there.code, there.err) == (0, 0, here.err), (text, there.err)
        found = here.json, there.json
        made = [document.pop("secret", "") for document in found]
        assert made[0] == made[1] or all(secret.startswith("whsec_") for secret in made), text
        assert ("--secret" not in text) or made == [OTHER, OTHER]
        apart = [line.partition(":")[0] for line in differences(*found)]
        assert apart == ([".old_secret_until"] if text.startswith(("rotate ..", "remove ..")) else []), text
    assert [*differences(both.on_store("list", "--json").json, both.through("list", "--json").json)] == []
    both.monkeypatch.chdir(both.there)
    records = run("audit", "list", "--json").json["items"][: len(CHANGING)]
    assert [record["verb"] for record in reversed(records)] == [f"webhook.{text.split()[0]}" for text in CHANGING]
    assert all(record["who"].startswith("tester (key ") for record in records)
    reasons = [text.partition("--reason ")[2] for text in CHANGING]
    assert [record["reason"] for record in reversed(records)] == reasons
    both.monkeypatch.chdir(both.here)
    here = run("audit", "list", "--json").json["items"][: len(CHANGING)]
    assert [record["reason"] for record in reversed(here)] == reasons


def test_what_cannot_be_is_refused_for_the_same_reason(both: Both) -> None:
    more = (
        ("rotate", "a", "--overlap", "5000d"),
        ("rotate", "a", "--secret", "x"),
        ("add", "c d", URL),
        ("test", "c d"),
    )
    for words in (*(words for words, _ in REFUSED), *more):
        both.monkeypatch.chdir(both.here)
        here = run("webhook", *words, "--json")
        both.monkeypatch.setenv("DISPATCH_API_KEY", both.server.key)
        both.monkeypatch.chdir(both.there / "elsewhere")
        there = run("webhook", *words, "--json", "--url", both.server.url)
        assert (there.code, there.out, here.code > 0) == (here.code, here.out, True), (words, there.err)
        assert json.loads(there.err)["error"]["code"] == json.loads(here.err)["error"]["code"], words


def test_a_test_is_sent_by_the_server_and_says_what_came_back(both: Both) -> None:
    with receiver() as url:
        for way in (both.on_store, both.through):
            assert way(f"add tried {url}").code == 0
        here, there = both.on_store("test tried", "--json"), both.through("test tried", "--json")
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))  # nobody listens there
        for way in (both.on_store, both.through):
            assert way(f"add away http://127.0.0.1:{bound.getsockname()[1]}/").code == 0
        lost = both.on_store("test away", "--json"), both.through("test away", "--json")
    assert (here.code, there.code) == (0, 0)
    assert there.json == {**here.json, "elapsed_ms": there.json["elapsed_ms"]}
    assert (there.json["arrived"], there.json["message"]) == (True, "thanks")
    assert lost[0].code == lost[1].code == 1
    assert lost[0].json == lost[1].json


def test_keys_without_the_scope_are_refused_and_tenants_see_their_own(both: Both) -> None:
    assert both.through(f"add mine {URL} --tenant shop/t-1").code == 0
    both.monkeypatch.setenv("DISPATCH_API_KEY", both.server.make_key(JOB_READ))
    for text in (*LOOKING, *CHANGING):
        ran = run("webhook", *text.format(delivery=both.delivery).split(), "--json", "--url", both.server.url)
        assert (ran.code, json.loads(ran.err)["error"]["code"]) == (3, "forbidden"), text
    both.monkeypatch.setenv("DISPATCH_API_KEY", both.server.make_key("admin", scope=Scope("shop", "t-1")))
    assert run("webhook", "list", "-o", "ids", "--url", both.server.url).lines == ["mine"]
    assert run("webhook", "remove", "a", "--yes", "--url", both.server.url).code == 4


def test_a_server_that_cannot_be_asked_is_told_with_the_exit_code_of_its_kind(both: Both) -> None:
    both.monkeypatch.chdir(both.there / "elsewhere")
    both.monkeypatch.delenv("DISPATCH_API_KEY", raising=False)
    assert run("webhook", "list", "--url", both.server.url).code == 3
    assert run("webhook", "list", "--url", "ftp://x").code == 2
    assert run("webhook", "list", "--url", both.server.url, "--store", "sqlite:///x.db").code == 2
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))  # nobody listens there
        away = run("webhook", "list", "--url", f"http://127.0.0.1:{bound.getsockname()[1]}")
    assert (away.code, "does not answer" in away.err) == (6, True)


def test_a_removal_asks_first_and_names_the_server(both: Both) -> None:
    ran = both.through("remove a")
    assert (ran.code, f"on {both.server.url}" in ran.err) == (2, True)
    assert "a" in both.through("list", "-o", "ids").lines


def test_a_server_without_the_plugin_is_called_that(both: Both, tmp_path: Path) -> None:
    other = tmp_path / "bare"
    other.mkdir()
    both.monkeypatch.chdir(other)
    with serving(other) as server:
        ran = replace(both, server=server).through("list")
    why = "it runs another version of Dispatch, or lacks a plugin"
    assert (ran.code, ran.err) == (1, f"error: {server.url} knows no GET /v1/webhooks: {why}\n")
