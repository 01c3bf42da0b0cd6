"""An endpoint: where webhooks go, which ones, and how they are signed."""

from __future__ import annotations

import math
import re
from collections.abc import Collection, Iterable
from datetime import datetime
from fnmatch import fnmatchcase
from typing import Any, Literal

import httpx2
from pydantic import BaseModel, ConfigDict
from typing_extensions import TypedDict

from dispatch.masking import MASK, mask_url, mask_value, masked
from dispatch.text import iso
from dispatch_relay.addresses import Allowed, certain, literal
from dispatch_relay.errors import AddressDenied, InvalidEndpoint
from dispatch_relay.events import DEFINITIONS, PREFIX

CONCURRENCY = 2
"""Deliveries to one endpoint at once, so that one that hangs leaves the other slots of the workers alone."""
NAME = re.compile(r"[A-Za-z0-9_.-]{1,64}")
_LONGEST_URL = 2048
_FASTEST = 1000.0
_SLOWEST = 1 / 3600
_UNITS = {"s": 1.0, "m": 60.0, "h": 3600.0}
_HEADER = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]{1,100}")
_LABEL = re.compile(r"(?!xn--$)[a-z0-9_-]{1,63}")
_LONGEST_HOST = 253
_LAST_PORT = 65535
_VALUE = re.compile(r"[\x20-\x7e]{0,4096}")
_OURS = frozenset({"host", "content-type", "content-length", "transfer-encoding", "connection", "expect", "te"})


class EndpointDocument(TypedDict):
    """An endpoint as people get to see it."""

    id: str
    name: str
    url: str
    events: list[str]
    tenant: str | None
    headers: dict[str, str]
    rate: float | None
    concurrency: int
    origin: str
    state: str
    disabled_at: str | None
    disabled_reason: str
    old_secret_until: str | None


class Secret(BaseModel):
    """A key that webhooks are signed with."""

    model_config = ConfigDict(frozen=True)

    value: str
    until: datetime | None = None
    """When a replaced one ceases to sign; None: the present one."""

    def __repr_args__(self) -> Iterable[tuple[str | None, Any]]:
        return [("value", MASK), ("until", self.until)]


class Endpoint(BaseModel):
    """One endpoint, as the store keeps it."""

    model_config = ConfigDict(frozen=True)

    name: str
    url: str
    secrets: list[Secret]
    """The present one first."""
    events: list[str]
    """Globs over event types, with or without their "dispatch."."""
    tenant: str | None = None
    """Only events of this tenant (`app_id/org_id`); None: of all."""
    headers: dict[str, str] = {}
    rate: float | None = None
    """Deliveries a second at most."""
    concurrency: int = CONCURRENCY
    origin: Literal["store", "config"] = "store"
    since: int = 0
    """The position of the feed after which it wants events."""
    asked_at: int = 0
    """The position at which it last asked for other events: what is missing before that was never promised."""
    disabled_at: datetime | None = None
    disabled_reason: str = ""

    def __repr_args__(self) -> Iterable[tuple[str | None, Any]]:
        return masked(self).items()

    @property
    def enabled(self) -> bool:
        """Whether webhooks go there."""
        return self.disabled_at is None

    def types(self, enabled: Collection[str]) -> list[str]:
        """The event types that it wants, among those that are enabled."""
        return [name for name in DEFINITIONS if name in enabled and matches(name, self.events)]

    def wants(self, event_type: str, tenant: str, position: int) -> bool:
        """Whether an event at that position of the feed is for it."""
        return (
            self.enabled
            and position > self.since
            and (self.tenant is None or self.tenant == tenant)
            and matches(event_type, self.events)
        )

    def keys(self, now: datetime) -> list[str]:
        """The secrets that sign now."""
        return [secret.value for secret in self.secrets if secret.until is None or secret.until > now]

    def document(self) -> EndpointDocument:
        """What people get to see: no secret, no value of a header that may be one."""
        return {
            "id": self.name,
            "name": self.name,
            "url": mask_url(self.url),
            "events": self.events,
            "tenant": self.tenant,
            "headers": {name: mask_value(name, value) for name, value in self.headers.items()},
            "rate": self.rate,
            "concurrency": self.concurrency,
            "origin": self.origin,
            "state": "enabled" if self.enabled else "disabled",
            "disabled_at": iso(self.disabled_at),
            "disabled_reason": self.disabled_reason,
            "old_secret_until": next((iso(s.until) for s in self.secrets if s.until is not None), None),
        }


def matches(event_type: str, globs: Iterable[str]) -> bool:
    """Whether one of the globs means the event type, with or without its prefix.

    >>> matches("dispatch.job.failed", ["job.*"])
    True
    """
    short = event_type.removeprefix(PREFIX)
    return any(fnmatchcase(event_type, glob) or fnmatchcase(short, glob) for glob in globs)


def checked_name(name: str) -> str:
    """The name of an endpoint; InvalidEndpoint for what cannot be one."""
    if not NAME.fullmatch(name):
        raise InvalidEndpoint(f"{name!r} is no endpoint's name: 1 to 64 of letters, digits and _ . -")
    return name


def checked_events(globs: list[str]) -> list[str]:
    """Globs of which each means an event type; InvalidEndpoint names the one that does not."""
    if not globs:
        raise InvalidEndpoint('an endpoint without events is never called; "*" means all of them')
    for glob in globs:
        if not any(matches(name, [glob]) for name in DEFINITIONS):
            raise InvalidEndpoint(f"{glob!r} means no event type; there are {', '.join(DEFINITIONS)}")
    return globs


def checked_headers(headers: dict[str, str]) -> dict[str, str]:
    """Headers that may be sent along; InvalidEndpoint names the one that may not, but not its value."""
    for name, value in headers.items():
        if not _HEADER.fullmatch(name):
            raise InvalidEndpoint(f"{name!r} is no name of a header")
        if name.lower() in _OURS or name.lower().startswith("webhook-"):
            raise InvalidEndpoint(f"the header {name!r} is the relay's own")
        if not _VALUE.fullmatch(value):
            raise InvalidEndpoint(f"the value of the header {name!r} is not 0 to 4096 printable ASCII characters")
    return headers


def parsed_rate(rate: object) -> float | None:
    """Webhooks a second, from a number or text such as "10/s" and "30/m"; InvalidEndpoint for what is none.

    >>> parsed_rate("30/m")
    0.5
    """
    if rate is None:
        return None
    amount, _, unit = str(rate).partition("/")
    try:
        found = float(amount) / _UNITS[unit.strip() or "s"]
    except (ValueError, KeyError):
        found = math.nan
    if isinstance(rate, bool) or not _SLOWEST <= found <= _FASTEST:
        raise InvalidEndpoint(f'rate is {rate!r}; write webhooks a second or minute, such as "10/s" or "30/m"')
    return found


def checked_url(url: str, *, allow_http: bool) -> str:
    """A URL that webhooks can be sent to; InvalidEndpoint tells what is wrong. Says nothing of its address."""
    shown = mask_url(url)
    try:
        parsed = httpx2.URL(url)
    except (httpx2.InvalidURL, ValueError) as error:
        raise InvalidEndpoint(f"{shown!r} is no URL: {error}") from None
    if len(url) > _LONGEST_URL:
        raise InvalidEndpoint(f"the URL has {len(url)} characters; at most {_LONGEST_URL} are sent")
    if parsed.scheme not in ("https", "http") or not parsed.host:
        raise InvalidEndpoint(f"{shown!r} is no URL that webhooks can be sent to: write https://host/path")
    if parsed.scheme == "http" and not allow_http:
        raise InvalidEndpoint(f"{shown!r} is not https, so anybody on the way could read it; allow_http permits it")
    if parsed.userinfo:
        raise InvalidEndpoint(f"{shown!r} holds credentials; put them into a header, where they are masked")
    if parsed.fragment:
        raise InvalidEndpoint(f"{shown!r} ends in a #fragment, which is never sent; leave it out")
    if parsed.port is not None and not 0 < parsed.port <= _LAST_PORT:
        raise InvalidEndpoint(f"{shown!r}: there is no port {parsed.port}; write 1 to {_LAST_PORT}, or leave it out")
    host = parsed.raw_host.decode("ascii")
    if not _is_host(host):
        raise InvalidEndpoint(
            f"{shown!r}: {host!r} can be no host's name; that is 1 to 63 letters, digits, - and _ between dots, "
            f"{_LONGEST_HOST} characters in all"
        )
    return str(parsed)


def _is_host(host: str) -> bool:
    """Whether a host is an address or a name that a name server can be asked for, in the form that it is asked in.

    Wider than IDNA, which knows neither "my_service" nor the "r3---sn" that some are called.
    """
    name = host.removesuffix(".")
    labels = name.split(".")
    return literal(host) is not None or (len(name) <= _LONGEST_HOST and all(map(_LABEL.fullmatch, labels)))


def must_be_allowed(url: str, allowed: Allowed) -> str:
    """The URL, which was checked, unless it is certain by now that its host is none that webhooks may be sent to: an
    InvalidEndpoint, in the words that a delivery would fail with. Names are judged when they are called."""
    host = httpx2.URL(url).host
    try:
        allowed.check(host, certain(host))
    except AddressDenied as error:
        raise InvalidEndpoint(str(error)) from None
    return url


def disabled(endpoint: Endpoint, reason: str, *, at: datetime) -> Endpoint:
    """The endpoint, disabled; one that was so before stays as it was."""
    if not endpoint.enabled:
        return endpoint
    return endpoint.model_copy(update={"disabled_at": at, "disabled_reason": reason})
