"""What is refused before any route sees it: foreign Host names, other sites, bodies too large or too deep."""

from __future__ import annotations

import json

import pytest

from dispatch.access import EVERYTHING, Identity
from dispatch.api.guard import PLAIN_COOKIE
from dispatch.api.listening import is_loopback
from dispatch.config import Config, Limits, Server
from dispatch.services.attempts import Failures
from tests.api.world import World, world

JSON = {"Content-Type": "application/json"}
JOB = json.dumps({"name": "add", "payload": {"x": 1}})


async def session(found: World) -> str:
    """The cookie header of a person's session."""
    token = await found.app.logins.open_session(Identity("ada", "", frozenset({EVERYTHING})))
    return f"{PLAIN_COOKIE}={token}"


async def test_it_answers_only_to_names_that_it_was_given() -> None:
    async with world(allowed_hosts=("jobs.example.com",)) as found:
        token = await found.key()
        for host in (
            "localhost",
            "localhost:8484",
            "127.0.0.1:1",
            "[::1]:8484",
            "jobs.example.com",
            "JOBS.Example.com.",
        ):
            assert (await found.ask("GET", "/v1/jobs", token, {"Host": host})).status_code == 200, host
        wrong = (
            "evil.example",
            "localhost.evil.example",
            "jobs.example.com.evil",
            "127.0.0.1.evil",
            "",
            "a:b:c",
            "[::1",
        )
        for host in wrong:
            answer = await found.ask("GET", "/v1/jobs", token, {"Host": host})
            assert (answer.status_code, answer.json()["error"]["code"]) == (400, "unknown_host"), host
            assert (await found.ask("GET", "/healthz", None, {"Host": host})).status_code == 200
    async with world(allowed_hosts=("*",)) as found:
        assert (await found.ask("GET", "/v1/jobs", await found.key(), {"Host": "any.example"})).status_code == 200


SAME, OTHER = "http://localhost", "https://evil.example"


MATRIX: tuple[tuple[dict[str, str], bool], ...] = (
    ({}, False),
    ({"Sec-Fetch-Site": "same-origin"}, True),
    ({"Sec-Fetch-Site": "same-origin", "Origin": SAME}, True),
    ({"Origin": SAME}, True),
    ({"Origin": "https://localhost"}, True),
    ({"Sec-Fetch-Site": "same-site"}, False),
    ({"Sec-Fetch-Site": "cross-site"}, False),
    ({"Sec-Fetch-Site": "none"}, False),
    ({"Sec-Fetch-Site": "cross-site", "Origin": SAME}, False),
    ({"Sec-Fetch-Site": "same-origin", "Origin": OTHER}, False),
    ({"Origin": OTHER}, False),
    ({"Origin": "null"}, False),
    ({"Origin": "http://localhost:81"}, False),
    ({"Origin": "http://[bad"}, False),
)


async def test_a_session_counts_only_on_requests_from_own_pages() -> None:
    async with world() as found:
        cookie, token = {"Cookie": await session(found)}, await found.key()
        for headers, allowed in MATRIX:
            answer = await found.ask("POST", "/v1/jobs", None, {**JSON, **cookie, **headers}, content=JOB)
            assert answer.status_code == (201 if allowed else 403), headers
            assert allowed or answer.json()["error"]["code"] == "cross_site"
            with_key = await found.ask("POST", "/v1/jobs", token, {**JSON, **headers}, content=JOB)
            assert with_key.status_code == 201
            looked = await found.ask("GET", "/v1/jobs", None, {**cookie, **headers})
            assert looked.status_code == 200


async def test_what_changes_something_is_json() -> None:
    async with world() as found:
        token = await found.key()
        kinds = ("text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", "")
        for kind in kinds:
            answer = await found.ask("POST", "/v1/jobs", token, {"Content-Type": kind}, content=JOB)
            assert (answer.status_code, answer.json()["error"]["code"]) == (400, "json_expected"), kind
        path = found.path("/v1/jobs/{job_id}/cancel")
        cookie = {"Cookie": await session(found), "Sec-Fetch-Site": "same-origin"}
        assert (await found.ask("POST", path, None, cookie)).status_code == 400
        assert (await found.ask("POST", path, token)).status_code == 200
        accepted = await found.ask(
            "POST", "/v1/jobs", token, {"Content-Type": "application/json; charset=utf-8"}, content=JOB
        )
        assert accepted.status_code == 201


async def test_bodies_are_limited_before_they_are_parsed() -> None:
    async with world(config=Config(limits=Limits(body=1000, depth=5))) as found:
        token = await found.key()
        large = await found.ask("POST", "/v1/jobs", token, JSON, content=b" " * 1001)
        assert (large.status_code, large.json()["error"]["code"]) == (413, "body_too_large")

        async def chunks() -> object:
            for _ in range(50):
                yield b" " * 100

        streamed = await found.ask("POST", "/v1/jobs", token, JSON, content=chunks())
        assert streamed.status_code == 413
        deep = await found.ask("POST", "/v1/jobs", token, JSON, content=b'{"name": "add", "payload": {"x": [[[[1]]]]}}')
        assert (deep.status_code, deep.json()["error"]["code"]) == (413, "nested_too_deep")
        fine = await found.ask(
            "POST", "/v1/jobs", token, JSON, content=b'{"name": "add", "payload": {"x": [["[[[["]]}}'
        )
        assert fine.status_code == 201
        for broken in (b"{", b'{"name": NaN}', b"\xff", b'{"name": "\\ud800"}', b"[" * 900):
            answer = await found.ask("POST", "/v1/jobs", token, JSON, content=broken)
            assert answer.status_code in (400, 413), broken


async def test_a_body_is_not_read_from_someone_without_a_key() -> None:
    async with world() as found:
        answer = await found.ask("POST", "/v1/jobs", None, JSON, content=b"{")
        assert answer.status_code == 401


async def test_an_address_that_fails_often_waits_whatever_it_shows_then() -> None:
    now = [0.0]
    async with world(failures=Failures(burst=3, interval=10.0, now=lambda: now[0])) as found:
        token = await found.key()
        assert [(await found.ask("GET", "/v1/jobs", "dk_x")).status_code for _ in range(4)] == [401, 401, 401, 429]
        locked = await found.ask("GET", "/v1/jobs", token)
        assert (locked.status_code, locked.headers["retry-after"]) == (429, "11")
        now[0] = 11.0
        assert (await found.ask("GET", "/v1/jobs", token)).status_code == 200
        assert [(await found.ask("GET", "/v1/jobs")).status_code for _ in range(5)] == [401] * 5


async def test_a_server_that_only_shows_changes_nothing() -> None:
    async with world(config=Config(server=Server(read_only=True, environment="production"))) as found:
        token = await found.key()
        refused = await found.ask("POST", "/v1/jobs", token, JSON, content=JOB)
        assert (refused.status_code, refused.json()["error"]["code"]) == (403, "read_only")
        assert (await found.ask("DELETE", found.path("/v1/jobs/{job_id}"), token)).status_code == 403
        assert (await found.ask("POST", "/v1/tickets", token)).status_code == 201
        about = (await found.ask("GET", "/v1/version", token)).json()
        assert (about["environment"], about["read_only"]) == ("production", True)


async def test_answers_keep_browsers_strict_and_carry_a_request_id() -> None:
    async with world() as found:
        token = await found.key()
        for path in ("/v1/jobs", "/nowhere", "/v1/jobs/job_1"):
            answer = await found.ask("GET", path, token, {"X-Request-Id": "mine-1"})
            assert answer.headers["x-content-type-options"] == "nosniff"
            assert "frame-ancestors 'none'" in answer.headers["content-security-policy"]
            assert answer.headers["cache-control"] == "no-store"
            assert "access-control-allow-origin" not in answer.headers
            if answer.status_code != 200:
                assert answer.json()["error"]["request_id"] == "mine-1"
        odd = await found.ask("GET", "/nowhere", token, {"X-Request-Id": "<script>"})
        assert len(odd.json()["error"]["request_id"]) == 32
        assert (await found.ask("PUT", "/v1/jobs", token)).json()["error"]["code"] == "method_not_allowed"
        preflight = await found.ask(
            "OPTIONS", "/v1/jobs", None, {"Origin": OTHER, "Access-Control-Request-Method": "POST"}
        )
        assert preflight.status_code == 405
        assert "access-control-allow-origin" not in preflight.headers


async def test_nothing_of_the_inside_is_told(caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch) -> None:
    async with world() as found:
        token = await found.key()

        async def broken(*_: object, **__: object) -> None:
            raise RuntimeError("SELECT secret FROM /var/lib")

        monkeypatch.setattr(found.app.jobs, "list", broken)
        answer = await found.ask("GET", "/v1/jobs", token, {"X-Request-Id": "mine-2"})
        assert (answer.status_code, answer.json()["error"]["code"]) == (500, "internal")
        assert "secret" not in answer.text
        assert "mine-2" in caplog.text
        assert "SELECT secret" in caplog.text


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.4", "example.com", ""])
def test_what_other_machines_reach_is_no_loopback(host: str) -> None:
    assert not is_loopback(host)
