"""What stands between a command and a server (--url): keys, scopes, tenants, other versions, networks, certificates."""

from __future__ import annotations

import json
import re
import signal
import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
from dispatch_cli.remote.link import Link

from dispatch.client.errors import ServerFailed
from dispatch.client.http import HTTPClient
from dispatch.scope import Scope
from tests.cli.conftest import Ran, Seeds, run, spawn
from tests.cli.remote import Serving, serving
from tests.cli.test_remote import mine
from tests.cli.test_serve import started

SELF_SIGNED = Path(__file__).with_name("self_signed.pem")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, template: tuple[Path, Seeds]) -> Iterator[Serving]:
    """A server of a seeded store."""
    with serving(mine(tmp_path_factory.mktemp("server"), "project", template)) as found:
        yield found


def asked(server: Serving, key: str, *words: str) -> Ran:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DISPATCH_API_KEY", key)
        return run(*words, "--url", server.url)


@contextmanager
def strange(status: int, body: bytes, *, tls: bool = False, **headers: str) -> Iterator[str]:
    """A server that answers everything in the same way; over TLS with a certificate that it signed itself."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name.replace("_", "-"), value)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            return

    with HTTPServer(("127.0.0.1", 0), Handler) as found:
        if tls:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(SELF_SIGNED)
            found.socket = context.wrap_socket(found.socket, server_side=True)
        thread = threading.Thread(target=found.serve_forever)
        thread.start()
        try:
            yield f"http{'s' if tls else ''}://127.0.0.1:{found.server_port}"
        finally:
            found.shutdown()
            thread.join(60)


def test_a_server_that_is_not_there_is_told_with_exit_6(folder: Path) -> None:
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))  # nobody listens there
        url = f"http://127.0.0.1:{bound.getsockname()[1]}"
        ran = run("job", "list", "--url", url)
        assert (ran.code, ran.out) == (6, "")
        assert ran.err.startswith(f"error: {url} does not answer: ")
        healthy = run("health", "--url", url, "--json")
    assert healthy.code == 9
    assert healthy.json["store"] == url
    assert "does not answer" in healthy.json["reason"]


def test_without_a_key_and_with_a_wrong_one_it_exits_with_3(server: Serving, folder: Path) -> None:
    none = run("job", "list", "--url", server.url)
    assert none.code == 3
    assert none.err == (
        f"error: {server.url} wants an API key\n"
        "hint: put it into DISPATCH_API_KEY, or into a file named by --api-key-file\n"
    )
    wrong = asked(server, "dk_0000000000000000_wrong", "job", "list", "--json")
    assert wrong.code == 3
    assert json.loads(wrong.err)["error"]["code"] == "unauthenticated"
    assert run("job", "list", "--url", server.url, "--api-key-file", "nowhere").code == 2


def test_a_key_without_the_scope_exits_with_3_and_names_it(server: Serving, folder: Path) -> None:
    key = server.make_key("job:read")
    assert asked(server, key, "job", "list").code == 0
    refused = asked(server, key, "dlq", "list")
    assert (refused.code, refused.err) == (3, "error: this key lacks the scope dlq:read\n")


def test_a_key_of_a_tenant_sees_nothing_of_others(server: Serving, folder: Path, template: tuple[Path, Seeds]) -> None:
    key = server.make_key("*", scope=Scope("shop", "t-1"))
    assert asked(server, key, "job", "list", "--json").json["items"] == []
    assert asked(server, key, "job", "show", template[1].pending).code == 4
    assert asked(server, key, "job", "cancel", template[1].pending, "--yes").code == 4
    shared = asked(server, key, "queue", "list")
    assert (shared.code, shared.err) == (3, "error: this concerns all tenants, and this key belongs to one\n")
    assert asked(server, key, "cron", "list", "--tenant", "shop/t-2").code == 3
    made = asked(server, key, "cron", "create", "digest", "@daily", "add", "x:=1", "--tenant", "shop/t-1", "--json")
    assert made.json["scope"] == {"app_id": "shop", "org_id": "t-1"}
    assert asked(server, key, "cron", "create", "digest", "@daily", "add", "x:=1", "--tenant", "shop/t-2").code == 3


def test_a_key_that_may_not_see_workers_or_definitions_is_told_what_it_has_made(server: Serving, folder: Path) -> None:
    """Warnings are asked for beside the work: a refusal of those, after it was done, would have it done twice."""
    key = server.make_key("job:read", "job:write")
    made = asked(server, key, "job", "enqueue", "send_email", "to=ada")
    assert (made.code, made.out[:4], made.err) == (0, "job_", "enqueued send_email on queue 'mailers'\n")
    key = server.make_key("workflow:read", "workflow:write")
    started = asked(server, key, "workflow", "start", "checkout", "order:=8")
    assert (started.code, started.out[:4]) == (0, "run_"), started.err
    blind = asked(server, server.make_key("workflow:write"), "workflow", "start", "checkout", "order:=9")
    assert (blind.code, blind.out) == (3, "")
    assert re.match(r"error: run_\w{26} was started, but this key may not look at it", blind.err)
    key = server.make_key("cron:read", "cron:write")
    assert asked(server, key, "cron", "create", "by-key", "@daily", "send_emal").code == 0
    assert asked(server, key, "cron", "trigger", "by-key").code == 0


def test_an_entry_is_found_by_the_tenant_that_is_named(server: Serving, folder: Path) -> None:
    for tenant in ("shop/t-8", "shop/t-9"):
        words = ("cron", "create", "report", "@daily", "add", "x:=1", "--tenant", tenant)
        assert asked(server, server.key, *words).code == 0
    shown = asked(server, server.key, "cron", "show", "report", "--tenant", "shop/t-9", "--json").json
    assert shown["scope"]["org_id"] == "t-9"
    assert asked(server, server.key, "cron", "delete", "report", "--tenant", "shop/t-9", "--yes").code == 0
    assert asked(server, server.key, "cron", "show", "report", "--tenant", "shop/t-9").code == 4
    assert asked(server, server.key, "cron", "show", "report", "--tenant", "shop/t-8").code == 0
    misspelt = asked(server, server.key, "cron", "show", "reprot", "--tenant", "shop/t-8")
    assert (misspelt.code, "did you mean 'report'?" in misspelt.err) == (4, True)


def test_the_key_may_stand_in_a_file_that_only_its_owner_reads(server: Serving, folder: Path) -> None:
    (folder / "key").write_text(f"{server.key}\n")
    (folder / "key").chmod(0o600)
    assert run("job", "count", "--url", server.url, "--api-key-file", "key").err == ""
    (folder / "key").chmod(0o644)
    assert (
        "others on this machine can read the API key"
        in run("job", "count", "--url", server.url, "--api-key-file", "key").err
    )
    (folder / "key").write_text("")
    assert "the file is empty" in run("job", "count", "--url", server.url, "--api-key-file", "key").err


def test_what_was_named_nearer_wins_the_store_or_the_server(
    server: Serving, seeds: Seeds, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / "key").write_text(server.key)
    (folder / "key").chmod(0o600)
    profile = f'[profiles.live]\nurl = "{server.url}"\napi_key_file = "key"\n'
    (folder / "dispatch.toml").write_text(f'store = "sqlite:///dispatch.db"\n{profile}')
    assert run("status", "-P", "live", "--json").json["dead_letters"] == 2
    assert run("dlq", "discard", seeds.letter, "--yes").code == 0, "on the store here"
    assert run("dlq", "count", "--json").json["count"] == 1
    assert run("dlq", "count", "-P", "live", "--json").json["count"] == 2
    assert run("dlq", "count", "-P", "live", "--store", "sqlite:///dispatch.db", "--json").json["count"] == 1
    monkeypatch.setenv("DISPATCH_URL", server.url)
    monkeypatch.setenv("DISPATCH_API_KEY", server.key)
    assert run("dlq", "count", "--json").json["count"] == 2
    assert run("dlq", "count", "--store", "sqlite:///dispatch.db", "--json").json["count"] == 1
    refused = run("store", "status")
    assert (refused.code, "--store names the store it is for" in refused.err) == (2, True)
    assert run("version").code == 0
    monkeypatch.setenv("DISPATCH_STORE", "sqlite:///dispatch.db")
    assert run("dlq", "count", "--json").json["count"] == 2, "of two that are as near, the server"
    both = run("dlq", "count", "--store", "sqlite:///dispatch.db", "--url", server.url)
    assert (both.code, "keep one of them" in both.err) == (2, True)


def test_questions_name_the_server(server: Serving, folder: Path, template: tuple[Path, Seeds]) -> None:
    unasked = asked(server, server.key, "job", "delete", template[1].failed)
    assert unasked.code == 2
    assert f"would delete 1 job for good on {server.url}, and there is no terminal to ask on" in unasked.err


def test_some_done_and_some_not_is_75_as_on_a_store(
    server: Serving, folder: Path, template: tuple[Path, Seeds]
) -> None:
    seeds = template[1]
    for ids in ((seeds.pending, seeds.completed), (seeds.odd, "job_00000000000000000000000001")):
        ran = asked(server, server.key, "job", "cancel", *ids, "--yes", "--json")
        assert ran.code == 75
        assert [item["ok"] for item in ran.json["items"]] == [True, False]
        assert (ran.json["done"], ran.json["refused"]) == (1, 1)
    purged = asked(server, server.key, "dlq", "replay", "--all", "--yes", "--json").json
    assert (purged["done"], purged["refused"]) == (2, 0)


def test_another_version_is_called_that(folder: Path) -> None:
    refusal = {"error": {"code": "no_such_route", "message": "Not Found", "request_id": "1", "details": []}}
    with strange(404, json.dumps(refusal).encode(), Content_Type="application/json") as url:
        ran = run("job", "list", "--url", url)
        why = "it runs another version of Dispatch, or lacks a plugin"
        assert (ran.code, ran.err) == (1, f"error: {url} knows no GET /v1/jobs: {why}\n")
    with strange(200, b'{"items": [{"id": 1}], "next_cursor": null}') as url:
        ran = run("job", "list", "--url", url)
        assert ran.code == 1
        assert ran.err.endswith("it runs another version of Dispatch\n")


@pytest.mark.parametrize("status", [200, 404, 502])
def test_what_is_no_server_of_ours_is_called_that(status: int, folder: Path) -> None:
    with strange(status, b"<html>welcome</html>", Content_Type="text/html") as url:
        ran = run("job", "list", "--url", url)
    assert ran.code == 1
    assert (
        ran.err
        == f"error: {url} answers {status} with what Dispatch does not say (text/html): is it a server of ours?\n"
    )


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (200, b"[" * 200_000),
        (400, b'{"error":' * 200_000),
        (422, b'{"error": {"code": "usage", "message": "m", "details": "none"}}'),
        (422, b'{"error": {"code": "usage", "message": "m", "details": [{"field": "f"}]}}'),
        (304, b""),
    ],
    ids=["deep", "deep refusal", "details", "a detail", "nothing new"],
)
def test_an_answer_of_another_make_is_no_fault_of_the_command(status: int, body: bytes, folder: Path) -> None:
    with strange(status, body, Content_Type="application/json") as url:
        ran = run("job", "list", "--url", url)
    assert ran.code == 1
    assert f"answers {status} with what Dispatch does not say" in ran.err


@pytest.mark.parametrize("url", ["http://ada:s3cret@jobs.example", "https://jobs.example/?token=s3cret"])
@pytest.mark.parametrize("words", [("job", "list"), ("run", "tasks.py"), ("store", "migrate")], ids=" ".join)
def test_a_secret_in_the_url_is_not_repeated(
    url: str, words: tuple[str, ...], folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DISPATCH_API_KEY", "dk_0000000000000000_key")
    ran = run(*words, "--url", url)
    assert ran.code == 2
    assert "s3cret" not in ran.out + ran.err


async def test_an_answer_that_lacks_what_was_asked_for_is_of_another_version() -> None:
    async with HTTPClient("http://127.0.0.1:1") as client:
        with pytest.raises(ServerFailed, match="it runs another version of Dispatch"):
            Link(client).read({"items": []}, lambda found: found["items"][0])


def test_a_server_that_sends_elsewhere_is_not_followed_with_the_key(folder: Path) -> None:
    with strange(302, b"", Location="https://elsewhere.example/") as url:
        ran = run("job", "list", "--url", url)
    assert ran.err == f"error: {url} sends elsewhere, to https://elsewhere.example/: name that URL\n"


def test_a_certificate_that_nobody_trusts_stops_the_request_before_the_key_is_sent(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = b'{"items": [], "next_cursor": null}'
    with strange(200, page, tls=True, Content_Type="application/json") as url:
        ran = run("job", "list", "--url", url)
        assert ran.code == 6
        assert ran.err.startswith(f"error: {url} does not answer: its certificate is not trusted: self")
        monkeypatch.setenv("SSL_CERT_FILE", str(SELF_SIGNED))
        assert run("job", "list", "--url", url, "--json").json["items"] == []


@pytest.mark.parametrize(
    "url", ["jobs.example.com", "ftp://jobs", "http://", "http://a b", "http://u:p@jobs", "http://a?b=c"]
)
def test_what_is_no_url_is_a_usage_error(url: str, folder: Path) -> None:
    assert run("job", "list", "--url", url).code == 2


def test_a_result_can_be_waited_for_and_a_job_watched_through_a_worker_that_serves(seeds: Seeds, folder: Path) -> None:
    key = run("apikey", "create", "--scope", "*", "--json").json["key"]
    process = spawn("run", "examples_tasks", "--http", "127.0.0.1:0", "--log-format", "json")
    try:
        at = Serving(f"http://127.0.0.1:{started(process)['port']}", key, None)
        waited = asked(at, key, "job", "enqueue", "add", "x:=40", "--wait", "--timeout", "2m")
        assert (waited.code, waited.json) == (0, 42)
        job_id = asked(at, key, "job", "enqueue", "add", "x:=1", "--in", "1s", "-o", "ids").out.strip()
        watched = asked(at, key, "job", "watch", job_id, "--timeout", "2m", "--json")
        assert watched.code == 0
        assert watched.json["items"][-1]["state"] == "completed"
        late = asked(at, key, "job", "enqueue", "add", "x:=1", "--in", "1h", "-o", "ids").out.strip()
        for verb in (("result", "--timeout", "0.2s"), ("watch", "--timeout", "0.2s")):
            timed_out = asked(at, key, "job", verb[0], late, *verb[1:])
            assert timed_out.code == 8
            assert f"add ({late}) is still pending after 0.2 s; it goes on" in timed_out.err
    finally:
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=60)
    assert process.returncode == 0


@contextmanager
def breaking() -> Iterator[str]:
    """A server that replays one dead letter and fails from then on."""
    asked: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            asked.append(self.path)
            first = len(asked) == 1
            body = json.dumps({"id": LETTERS[0], "job_id": "job_01k9ztr0c2e6r9v1s8f0q5b4nd"} if first else {}).encode()
            self.send_response(201 if first else 500)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            return

    with HTTPServer(("127.0.0.1", 0), Handler) as found:
        thread = threading.Thread(target=found.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{found.server_port}"
        finally:
            found.shutdown()
            thread.join(60)


LETTERS = ("dlq_01k9ztr0c2e6r9v1s8f0q5b4nd", "dlq_01k9ztr0c2e6r9v1s8f0q5b4ne")


def test_a_program_is_told_what_was_done_by_a_command_that_a_server_breaks_off(folder: Path) -> None:
    for output in ("json", "jsonl", "ids"):
        with breaking() as url:
            ran = run("dlq", "replay", *LETTERS, "--rate", "1000/s", "--yes", "--url", url, "-o", output)
        assert ran.code == 1
        assert "1 done, 0 refused before it ended" in ran.err
        match output:
            case "json":
                assert (ran.json["done"], [item["id"] for item in ran.json["items"]]) == (1, [LETTERS[0]])
                assert ran.json["items"][0]["job_id"] == "job_01k9ztr0c2e6r9v1s8f0q5b4nd"
            case "jsonl":
                assert [json.loads(line)["id"] for line in ran.lines] == [LETTERS[0]]
            case _:
                assert ran.lines == [LETTERS[0]]
