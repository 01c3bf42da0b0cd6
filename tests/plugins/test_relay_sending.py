"""One POST on a real socket: what is signed, what is refused, how long it may take, what of the answer is read."""

from __future__ import annotations

import asyncio
import json
import ssl
import subprocess
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import httpcore2
import pytest
from dispatch_relay.addresses import Address, Allowed
from dispatch_relay.delivery import LONGEST_PAUSE, Schedule, verdict
from dispatch_relay.errors import InvalidEndpoint, Undelivered
from dispatch_relay.message import RelayEvent, body_of, delivery_id, event_of
from dispatch_relay.network import resolve
from dispatch_relay.sender import READ_AT_MOST, Answer, Sender, retry_after
from dispatch_relay.signing import checked_secret, new_secret, signed_headers
from standardwebhooks import Webhook, WebhookVerificationError

from dispatch.ids import JobID

from .webhook_sink import Reply, sink

LOCAL = Allowed(["127.0.0.0/8"])
NOW = datetime(2026, 5, 1, 12, tzinfo=UTC)


def event(**data: Any) -> RelayEvent:
    return RelayEvent("job_1:2", "dispatch.job.completed", NOW, data)


async def send(sender: Sender, url: str, secret: str, **data: Any) -> Answer:
    body = await body_of(event(**data))
    signed = signed_headers("job_1:2", body, keys=[secret], now=datetime.now(UTC))
    return await sender.post(url, body, {"Content-Type": "application/json", **signed})


async def test_what_arrives_verifies_and_one_other_byte_would_not() -> None:
    secret = new_secret()
    async with sink(secret) as server:
        sender = Sender(LOCAL)
        answer = await send(sender, f"{server.url}/hook?x=%20y", secret, name="Zoë 😀 \u2028 </script>")
        await sender.close()
    [one] = server.received
    assert (answer.status, answer.body) == (200, "ok")
    assert one.verified
    assert one.path == "/hook?x=%20y"
    assert one.headers["host"] == f"127.0.0.1:{server.port}"
    assert one.body["data"]["name"] == "Zoë 😀 \u2028 </script>"
    body = await body_of(event(name="a"))
    signed = signed_headers("job_1:2", body, keys=[secret], now=datetime.now(UTC))
    Webhook(secret).verify(body, signed)
    with pytest.raises(WebhookVerificationError):
        Webhook(secret).verify(body + b" ", signed)
    with pytest.raises(WebhookVerificationError):
        Webhook(new_secret()).verify(body, signed)


def test_two_secrets_make_two_signatures_and_either_verifies() -> None:
    old, new = new_secret(), new_secret()
    signed = signed_headers("x", b"{}", keys=[new, old], now=datetime.now(UTC))
    assert signed["webhook-signature"].count("v1,") == 2
    for key in (old, new):
        assert Webhook(key).verify(b"{}", signed) == {}


@pytest.mark.parametrize("secret", ["", "whsec_", "whsec_short", "whsec_!!!!", "plain", "whsec_" + "A" * 200])
def test_what_is_no_secret_is_refused_without_being_shown(secret: str) -> None:
    with pytest.raises(InvalidEndpoint, match="openssl rand") as refused:
        checked_secret(secret)
    assert not secret or secret == "whsec_" or secret not in str(refused.value)


async def test_a_redirect_is_an_answer_and_nobody_follows_it() -> None:
    secret = new_secret()
    async with sink(secret) as target:
        behave = lambda _: Reply(302, {"Location": f"{target.url}/inner"})  # noqa: E731
        async with sink(secret, behave) as server:
            sender = Sender(LOCAL)
            assert (await send(sender, server.url, secret)).status == 302
            await sender.close()
        assert target.received == []


async def test_an_endpoint_that_hangs_is_given_up_after_the_time_limit() -> None:
    secret = new_secret()
    async with sink(secret, lambda _: Reply(hang=True)) as server:
        sender = Sender(LOCAL, timeout=0.2)
        with pytest.raises(Undelivered, match=r"took longer than 0\.2 s"):
            await send(sender, server.url, secret)
        await sender.close()


async def test_a_name_server_that_hangs_is_given_up_too() -> None:
    async def never(host: str, port: int) -> list[Address]:
        await asyncio.Event().wait()
        return []

    sender = Sender(Allowed(), timeout=0.1, resolver=never)
    with pytest.raises(Undelivered, match="longer than"):
        await sender.post("https://slow.example/", b"{}", {})


async def test_a_connection_that_breaks_off_is_a_failed_attempt() -> None:
    secret = new_secret()
    async with sink(secret, lambda _: Reply(reset=True)) as server:
        sender = Sender(LOCAL)
        with pytest.raises(Undelivered, match="broke off"):
            await send(sender, server.url, secret)
        await sender.close()
    with pytest.raises(Undelivered, match="could not be reached"):
        await send(sender, server.url, secret)
    await sender.close()


async def test_no_more_than_16_kb_of_an_answer_are_read() -> None:
    secret = new_secret()
    async with sink(secret, lambda _: Reply(body=b"x" * 5_000_000)) as server:
        sender = Sender(LOCAL)
        answer = await send(sender, server.url, secret)
        assert len(answer.body) == READ_AT_MOST
        assert (await send(sender, server.url, secret)).status == 200
        await sender.close()


async def test_an_answer_without_an_end_is_not_waited_for() -> None:
    secret = new_secret()
    async with sink(secret, lambda _: Reply(endless=True)) as server:
        sender = Sender(LOCAL, timeout=5.0)
        answer = await send(sender, server.url, secret)
        assert (answer.status, len(answer.body)) == (200, READ_AT_MOST)
        await sender.close()


async def test_a_name_without_an_address_is_a_failed_attempt() -> None:
    sender = Sender(Allowed())
    with pytest.raises(Undelivered, match=r"cannot be resolved|no address"):
        await sender.post("https://no-such-host.invalid/", b"{}", {})
    assert await resolve("127.0.0.1", 80) == [ip_address("127.0.0.1")]


async def test_a_second_address_is_tried_when_the_first_refuses() -> None:
    async def two(host: str, port: int) -> list[Address]:
        return [ip_address("127.0.0.2"), ip_address("127.0.0.1")]

    secret = new_secret()
    async with sink(secret) as server:
        sender = Sender(LOCAL, resolver=two)
        assert (await send(sender, f"http://two.example:{server.port}/", secret)).status == 200
        await sender.close()


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, Path]]:
    """A certificate for hooks.example that signs itself, and its key."""
    folder = tmp_path_factory.mktemp("tls")
    paths = folder / "cert.pem", folder / "key.pem"
    subprocess.run(
        [
            *(
                "openssl",
                "req",
                "-x509",
                "-newkey",
                "ec",
                "-pkeyopt",
                "ec_paramgen_curve:P-256",
                "-nodes",
                "-days",
                "2",
            ),
            *("-subj", "/CN=hooks.example", "-addext", "subjectAltName=DNS:hooks.example"),
            *("-out", str(paths[0]), "-keyout", str(paths[1])),
        ],
        check=True,
        capture_output=True,
    )
    yield paths


async def test_tls_asks_for_the_name_and_checks_it_although_an_address_is_called(
    certificate: tuple[Path, Path],
) -> None:
    asked: list[str | None] = []
    server_side = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server_side.load_cert_chain(*certificate)
    server_side.sni_callback = lambda _, name, __: asked.append(name)

    async def here(host: str, port: int) -> list[Address]:
        return [ip_address("127.0.0.1")]

    secret = new_secret()
    async with sink(secret, tls=server_side) as server:
        trusting = Sender(LOCAL, resolver=here, ssl_context=ssl.create_default_context(cafile=certificate[0]))
        assert (await send(trusting, f"https://hooks.example:{server.port}/", secret)).status == 200
        await trusting.close()
        assert asked == ["hooks.example"]
        assert server.received[0].headers["host"] == f"hooks.example:{server.port}"
        with pytest.raises(Undelivered, match=r"(?i)certificate|hostname"):
            await send(trusting, f"https://other.example:{server.port}/", secret)
        await trusting.close()
        usual = Sender(LOCAL, resolver=here)
        with pytest.raises(Undelivered, match=r"(?i)certificate"):
            await send(usual, f"https://hooks.example:{server.port}/", secret)
        await usual.close()
        assert len(server.received) == 1


async def test_proxies_of_the_environment_are_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    secret = new_secret()
    async with sink(secret) as proxy, sink(secret) as server:
        for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
            monkeypatch.setenv(name, proxy.url)
        sender = Sender(LOCAL)
        await send(sender, server.url, secret)
        await sender.close()
        assert (len(proxy.received), len(server.received)) == (0, 1)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("120", 120.0),
        (" 0 ", 0.0),
        ("Fri, 01 May 2026 12:01:00 GMT", 60.0),
        ("Fri, 01 May 2026 11:00:00 GMT", 0.0),
        ("99999999999999999999", 999999999.0),
        ("", None),
        ("soon", None),
        ("-5", None),
        ("1.5", None),
        ("²", None),
    ],
)
def test_retry_after_is_seconds_or_a_date(text: str, expected: float | None) -> None:
    assert retry_after(text, now=NOW) == expected


@pytest.mark.parametrize(
    ("status", "asked", "expected"),
    [
        (200, None, None),
        (204, 9.0, None),
        (299, None, None),
        (301, None, ("HTTP 301: moved on", None)),
        (400, 50.0, ("HTTP 400: moved on", None)),
        (500, None, ("HTTP 500: moved on", None)),
        (429, None, ("HTTP 429: moved on", None)),
        (429, 50.0, ("HTTP 429: moved on", 50.0)),
        (503, 3.0, ("HTTP 503: moved on", 5.0)),
        (503, 1e12, ("HTTP 503: moved on", LONGEST_PAUSE)),
    ],
)
def test_what_follows_from_an_answer(status: int, asked: float | None, expected: Any) -> None:
    assert verdict(Answer(status, "moved\r\n on", 0.1, asked), pause=5.0) == expected


def test_pauses_follow_the_schedule_and_are_up_to_a_fifth_longer() -> None:
    schedule = Schedule((timedelta(seconds=5), timedelta(minutes=5)))
    assert schedule.delay(1, lambda: 0.0) == timedelta(seconds=5)
    assert schedule.delay(2, lambda: 0.5) == timedelta(minutes=5.5)
    assert schedule.delay(9, lambda: 0.0) == timedelta(minutes=5)


def test_the_id_of_a_delivery_follows_from_event_and_endpoint() -> None:
    one = delivery_id(event(), "a")
    assert one == delivery_id(event(), "a") == JobID.parse(one)
    assert one.timestamp == NOW
    assert len({one, delivery_id(event(), "b"), delivery_id(RelayEvent("x", "t", NOW, {}), "a")}) == 3


def test_an_id_that_fits_no_header_is_replaced_by_one_that_does() -> None:
    def made(id_: str) -> str:
        return event_of(id=id_, feed_type="cron.fired", at=NOW, tenant="", data=b'{"entry_name": "x"}').id

    assert made("job_1:2") == "job_1:2"
    assert made("täglich:3") == made("täglich:3") != made("täglich:4")
    assert all(len(made(odd)) == 36 for odd in ("a.b:1", "x" * 200, "a b", "", "a\r\nb"))


async def test_data_that_do_not_fit_the_documented_model_are_sent_as_they_are() -> None:
    odd = event_of(id="x", feed_type="job.completed", at=NOW, tenant="", data=b'{"job_id": 5}')
    assert json.loads(await body_of(odd))["data"] == {"job_id": 5}
    fits = {"job_id": "j", "job_name": "n", "queue": "q", "elapsed_ms": 3, "secret_extra": 1}
    kept = event_of(id="x", feed_type="job.completed", at=NOW, tenant="", data=json.dumps(fits).encode())
    assert kept.data == {"job_id": "j", "job_name": "n", "queue": "q", "elapsed_ms": 3}


async def test_unix_sockets_are_no_way_out() -> None:
    from dispatch_relay.network import GuardedBackend

    with pytest.raises(httpcore2.ConnectError):
        await GuardedBackend(Allowed()).connect_unix_socket("/run/docker.sock")
