"""No webhook goes to an address that is not public, however it is written and whatever a name server says."""

from __future__ import annotations

import asyncio
import re
import socket
from ipaddress import ip_address
from typing import Any

import pytest
from dispatch_relay.addresses import Address, Allowed, denied
from dispatch_relay.endpoint import checked_url, must_be_allowed
from dispatch_relay.errors import AddressDenied, InvalidEndpoint, Undelivered
from dispatch_relay.sender import Sender
from dispatch_relay.settings import RelaySettings
from dispatch_relay.signing import new_secret
from pydantic import ValidationError

from .webhook_sink import sink

DENIED = (
    *("127.0.0.1", "127.1.2.3", "127.255.255.255", "0.0.0.0", "0.1.2.3", "10.0.0.1", "10.255.255.255"),
    *("172.16.0.1", "172.31.255.255", "192.168.0.1", "192.168.255.255", "169.254.0.1", "169.254.169.254"),
    *("100.64.0.1", "100.127.255.255", "192.0.0.1", "192.0.0.9", "192.0.0.170", "192.0.2.1", "198.18.0.1"),
    *("198.19.255.255", "198.51.100.7", "203.0.113.9", "192.88.99.1", "224.0.0.1", "239.255.255.255"),
    *("240.0.0.1", "255.255.255.255"),
    *("::", "::1", "::127.0.0.1", "::ffff:127.0.0.1", "::ffff:10.0.0.1", "::ffff:169.254.169.254"),
    *("64:ff9b::7f00:1", "64:ff9b::a00:1", "64:ff9b:1::1", "100::1", "2001::1", "2001:0:4136:e378::1"),
    *("2001:2::1", "2001:10::1", "2001:20::1", "2001:db8::1", "2002:7f00:1::1", "2002:a00:1::1", "3fff::1"),
    *("5f00::1", "fc00::1", "fd12:3456::1", "fe80::1", "febf::1", "fec0::1", "ff02::1", "ff0e::1", "4000::1"),
)
PUBLIC = ("1.1.1.1", "8.8.8.8", "172.15.0.1", "172.32.0.1", "192.167.1.1", "100.63.1.1", "2606:4700::1111", "2a00::1")

URLS = (
    *(f"http://[{address}]/hook" if ":" in address else f"http://{address}/hook" for address in DENIED),
    *("http://localhost/", "http://localhost:6379/", "http://127.1/", "http://127.0.1/", "http://2130706433/"),
    *("http://0x7f000001/", "http://0x7f.0x0.0x0.0x1/", "http://017700000001/", "http://0177.0.0.1/", "http://0/"),
    *("http://[::ffff:7f00:1]/", "http://[0:0:0:0:0:0:0:1]/", "http://[::ffff:a9fe:a9fe]/latest/meta-data/"),
    *("http://127.0.0.1:80@127.0.0.1/", "http://user:pass@localhost/", "http://LOCALHOST./", "http://127.0.0.1./"),
    *(
        "http://①②⑦.0.0.1/",
        "http://127。0。0。1/",
        "https://localhost/",
        "https://[::1]:8443/",
        "http://169.254.169.254/",
    ),
    *("file:///etc/passwd", "gopher://127.0.0.1:70/_", "ftp://127.0.0.1/", "unix:///run/x.sock", "//127.0.0.1/", ""),
    *("http://", "http:///x", "http://[::1", "http://127.0.0.1:99999/", "http://a b/", "javascript:alert(1)"),
)


@pytest.fixture
def called(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Every address that any socket of this process is told to connect to."""
    addresses: list[Any] = []
    loop_connect = asyncio.selector_events.BaseSelectorEventLoop._sock_connect  # type: ignore[attr-defined]

    class Watched(socket.socket):
        def connect(self, address: Any) -> None:
            addresses.append(address)
            super().connect(address)

        def connect_ex(self, address: Any) -> int:
            addresses.append(address)
            return super().connect_ex(address)

    def watched(self: Any, future: Any, sock: Any, address: Any) -> None:
        addresses.append(address)
        loop_connect(self, future, sock, address)

    monkeypatch.setattr(socket, "socket", Watched)
    monkeypatch.setattr(asyncio.selector_events.BaseSelectorEventLoop, "_sock_connect", watched)
    return addresses


async def post(sender: Sender, url: str) -> None:
    checked_url(url, allow_http=True)
    await sender.post(url, b"{}", {})


@pytest.mark.parametrize("address", DENIED)
def test_an_address_that_is_not_public_is_denied(address: str) -> None:
    assert denied(ip_address(address))


@pytest.mark.parametrize("address", [*PUBLIC, "::ffff:8.8.8.8"])
def test_a_public_address_is_not(address: str) -> None:
    assert denied(ip_address(address)) == ""


@pytest.mark.parametrize("url", URLS)
async def test_no_url_leads_to_a_socket_that_is_not_public(url: str, called: list[Any]) -> None:
    assert len(URLS) >= 60
    sender = Sender(Allowed(), timeout=5)
    with pytest.raises((Undelivered, InvalidEndpoint)):
        await post(sender, url)
    await sender.close()
    assert called == []


async def test_the_watch_over_sockets_sees_a_connection_that_is_made(called: list[Any]) -> None:
    secret = new_secret()
    async with sink(secret) as server:
        sender = Sender(Allowed(["127.0.0.0/8"]))
        answer = await sender.post(server.url, b"{}", {})
        await sender.close()
        assert answer.status == 200
        assert ("127.0.0.1", server.port) in called


class Rebinding:
    """A name server that gives another answer each time it is asked."""

    def __init__(self, *answers: list[str]) -> None:
        self.answers = list(answers)
        self.asked = 0

    async def __call__(self, host: str, port: int) -> list[Address]:
        self.asked += 1
        return [ip_address(text) for text in (self.answers.pop(0) if len(self.answers) > 1 else self.answers[0])]


async def test_one_denied_address_among_public_ones_is_enough(called: list[Any]) -> None:
    sender = Sender(Allowed(), resolver=Rebinding(["8.8.8.8", "127.0.0.1"]))
    with pytest.raises(Undelivered, match=r"127\.0\.0\.1 \(evil\.example\) is loopback"):
        await post(sender, "http://evil.example/")
    assert called == []


async def test_a_name_that_is_rebound_after_the_check_is_not_asked_again(
    called: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The address that was judged is the one that is called: nothing resolves the name a second time."""
    names = Rebinding(["93.184.215.14"], ["127.0.0.1"])
    resolved: list[Any] = []

    def getaddrinfo(host: Any, *args: Any, **kwargs: Any) -> Any:
        resolved.append(host)
        raise socket.gaierror("nobody should ask")

    refused: list[Any] = []

    async def connect(self: Any, *args: Any, **kwargs: Any) -> Any:
        refused.append((args, kwargs))
        raise OSError("the test stops here")

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    monkeypatch.setattr(asyncio.BaseEventLoop, "create_connection", connect)
    sender = Sender(Allowed(), resolver=names)
    with pytest.raises(Undelivered):
        await post(sender, "http://rebinding.example/")
    assert names.asked == 1
    assert all(host == "93.184.215.14" for host in resolved)
    assert "93.184.215.14" in str(refused) and "127.0.0.1" not in str(refused)
    with pytest.raises(Undelivered, match="loopback"):
        await post(sender, "http://rebinding.example/")


@pytest.mark.parametrize(
    ("allowed", "host", "address"),
    [
        ("hooks.internal", "hooks.internal", "10.0.0.7"),
        ("hooks.internal", "HOOKS.internal.", "10.0.0.7"),
        ("*.svc.cluster.local", "billing.svc.cluster.local", "10.3.0.1"),
        ("10.0.0.0/8", "any.example", "10.1.2.3"),
        ("10.1.2.3", "10.1.2.3", "10.1.2.3"),
        ("127.0.0.0/8", "x.example", "::ffff:127.0.0.1"),
        ("fd00::/8", "six.example", "fd12::1"),
        ("[fd12::1]", "six.example", "fd12::1"),
    ],
)
def test_what_the_operator_allows_is_allowed(allowed: str, host: str, address: str) -> None:
    Allowed([allowed]).check(host, [ip_address(address)])


@pytest.mark.parametrize(
    ("allowed", "host", "address"),
    [
        ("hooks.internal", "hooks.internal.evil.example", "10.0.0.7"),
        ("*.internal", "internal", "10.0.0.7"),
        ("10.0.0.0/8", "any.example", "192.168.0.1"),
        ("10.1.2.3", "any.example", "10.1.2.4"),
    ],
)
def test_and_nothing_beside_it(allowed: str, host: str, address: str) -> None:
    with pytest.raises(AddressDenied, match="allow_hosts"):
        Allowed([allowed]).check(host, [ip_address(address)])


SPELLED = (
    *("https://localhost/", "https://LOCALHOST:8443/hook", "https://127.1/", "https://0/", "https://2130706433/"),
    *("https://0x7f000001/", "https://10.0.0.7/", "https://169.254.169.254/", "https://[::1]/", "https://[fe80::1]/"),
    "https://[::ffff:10.0.0.1]/",
)
SPELLED_FOR_SOME = ("https://localhost./", "https://app.localhost/", "https://127.0.0.1./")
"""Not every system resolves these."""


@pytest.mark.parametrize("url", SPELLED)
async def test_what_a_delivery_would_be_denied_for_sure_is_refused_at_the_door_in_the_same_words(url: str) -> None:
    sender = Sender(Allowed(), timeout=5)
    with pytest.raises(Undelivered) as denied:
        await post(sender, url)
    await sender.close()
    with pytest.raises(InvalidEndpoint) as refused:
        must_be_allowed(checked_url(url, allow_http=False), Allowed())
    assert str(refused.value).partition(" is ")[2] == str(denied.value).partition(" is ")[2] != ""


@pytest.mark.parametrize(
    ("url", "told"),
    [
        ("https://example.com:0/", "there is no port 0; write 1 to 65535"),
        ("https://example.com:99999/", "there is no port 99999; write 1 to 65535"),
        ("https://example.com:-1/", "there is no port -1; write 1 to 65535"),
        ("https://exa mple.com", "'exa%20mple.com' can be no host's name"),
        ("https://127.0.0.1%00.example.com/", "'127.0.0.1%00.example.com' can be no host's name"),
        ("https://127.0.0.1%2eexample.com/", "'127.0.0.1%2eexample.com' can be no host's name"),
        ("https://a..b/", "'a..b' can be no host's name"),
        ("https://localhost../", "'localhost..' can be no host's name"),
        ("https://./", "'.' can be no host's name"),
        ("https://xn--/", "'xn--' can be no host's name"),
        (f"https://{'a' * 64}.com/", "1 to 63 letters, digits, - and _ between dots"),
        (f"https://{'a.' * 127}a/", "253 characters in all"),
    ],
    ids=lambda text: text[:40],
)
def test_a_host_or_port_that_nothing_can_be_sent_to_is_refused_in_words_that_tell_why(url: str, told: str) -> None:
    with pytest.raises(InvalidEndpoint, match=re.escape(told)):
        checked_url(url, allow_http=False)
    with pytest.raises(ValidationError, match=re.escape(told)):
        RelaySettings.model_validate({"endpoints": {"a": {"url": url, "secret": new_secret()}}})


@pytest.mark.parametrize(
    "url",
    [
        *("https://example.com.:8443/hook", "https://my_service:65535/", "https://r3---sn-4g5e.example.com:1/"),
        *(
            "https://xn--i-7iq.ws/",
            "https://xn--bcher-kva.example/",
            f"https://{'a' * 63}.com/",
            "https://[2a00::1]:1/",
        ),
        f"https://{'a.' * 126}a/",
    ],
    ids=lambda text: text[:40],
)
def test_every_host_that_a_name_server_may_know_is_taken_as_it_is(url: str) -> None:
    assert checked_url(url, allow_http=False) == url
    assert checked_url("https://bücher.example/", allow_http=False) == "https://xn--bcher-kva.example/"


@pytest.mark.parametrize("url", [*SPELLED, *SPELLED_FOR_SOME])
def test_the_configuration_refuses_it_too(url: str) -> None:
    with pytest.raises(ValidationError, match=r"endpoints\.a: .* webhooks go to public addresses only"):
        RelaySettings.model_validate({"endpoints": {"a": {"url": url, "secret": new_secret()}}})


@pytest.mark.parametrize(
    "url", ["https://example.com/", "https://internal.example/", "https://8.8.8.8/", "https://localhost.example/"]
)
def test_other_names_are_judged_when_they_are_called(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket, "getaddrinfo", lambda *args, **kwargs: pytest.fail("nobody should ask"))
    assert must_be_allowed(url, Allowed()) == url


@pytest.mark.parametrize("host", ["localhost", "127.0.0.0/8"])
def test_what_the_operator_allows_is_not_refused_at_the_door(host: str) -> None:
    allowed = Allowed([host, "::1"])
    assert must_be_allowed("https://localhost:8443/", allowed)
    endpoints = {"a": {"url": "https://localhost:8443/", "secret": new_secret()}}
    assert RelaySettings.model_validate({"allow_hosts": [host, "::1"], "endpoints": endpoints}).endpoints
