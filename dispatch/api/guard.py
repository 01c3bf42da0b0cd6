"""Who asks, and whether they may: keys, sessions and tickets to identities; same origin; what a route needs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from http.cookies import CookieError, SimpleCookie
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from starlette.datastructures import Headers

from dispatch.access import SCOPES, Identity
from dispatch.api.problems import Problem
from dispatch.services.attempts import Failures

if TYPE_CHECKING:
    from starlette.types import Scope as ConnectionScope

    from dispatch import Dispatch
    from dispatch.scope import Scope
    from dispatch.streams import Subscription

SECURE_COOKIE, PLAIN_COOKIE = "__Host-dispatch", "dispatch_session"
"""Browsers take the first over TLS only; the second serves plain HTTP on this machine."""
ANYBODY = "anybody"
"""Instead of a scope: no key is asked for."""
HOLDER = "holder"
"""Instead of a scope: any valid key will do."""
_LOCAL = ("localhost", "127.0.0.1", "::1")


@dataclass(frozen=True, slots=True)
class Rule:
    """What a route, or a method of the wire protocol, asks of whoever calls it."""

    scope: str
    """One of `dispatch.access.SCOPES`, HOLDER or ANYBODY."""
    shared: bool = False
    """It concerns what all tenants share, so a key that is bound to one may not."""
    changes: bool = False
    """It writes, so it is refused on a server that only shows."""

    def __post_init__(self) -> None:
        if self.scope not in (*SCOPES, HOLDER, ANYBODY):
            raise ValueError(f"{self.scope!r} is no scope")


@dataclass(frozen=True, slots=True)
class Ask:
    """A request that was let in, as the routes see it."""

    app: Dispatch
    identity: Identity
    request_id: str
    by_session: bool = False
    """A person in a browser, not a program with a key."""
    token: str = ""
    """The session's, when there is one."""
    secure: bool = False
    """It came over TLS."""
    streams: set[Subscription] = field(default_factory=set, repr=False)
    """Those that are open on this server."""
    measure: Callable[[], bytes] | None = field(default=None, repr=False)
    """Answers what the app has measured; None: nothing was measured."""
    read_only: bool = False
    """The server only shows."""
    pages: bool = False
    """There is a dashboard at /."""

    @property
    def scope(self) -> Scope | None:
        """The tenant whose things are seen; None: every tenant's."""
        return self.identity.within


class Guard:
    """Decides who is let in.

    Args:
        app: whose keys and sessions count.
        allowed_hosts: names it may be called by, besides those of this machine; "*" for any.
        read_only: whether what changes something is refused.
        measure: answers the app's measurements as Prometheus reads them. failures: how often an address may fail.
    """

    def __init__(
        self,
        app: Dispatch,
        *,
        allowed_hosts: tuple[str, ...] = (),
        read_only: bool = False,
        measure: Callable[[], bytes] | None = None,
        failures: Failures | None = None,
    ) -> None:
        self.app = app
        self._hosts = {host.lower() for host in (*_LOCAL, *allowed_hosts)}
        self.read_only = read_only
        self.failures = failures or Failures()
        self.measure = measure
        self.pages = False
        """Whether there is a dashboard at /."""
        self.streams: set[Subscription] = set()
        """Event streams that are open."""

    def check_host(self, headers: Headers) -> None:
        """Raises Problem (400) unless the server may be called by that name: DNS rebinding ends here."""
        host = headers.get("host", "")
        if "*" not in self._hosts and name_of(host) not in self._hosts:
            raise Problem(
                400, "unknown_host", "this server does not answer to that name; [server] allowed_hosts lists others"
            )

    async def identify(
        self, connection: ConnectionScope, *, ticket: str | None = None, expected_origin: bool = False
    ) -> tuple[Identity, str]:
        """Who asks, and the token of their session ("" for keys and tickets).

        Args:
            connection: the ASGI scope. ticket: a one-use ticket, where one may stand in the URL.
            expected_origin: whether a session counts only from pages of this very server.

        Raises Problem (401, 403, 429).
        """
        address = str((connection.get("client") or ("unknown",))[0])
        wait = self.failures.wait(address)
        if wait:
            raise Problem(
                429, "too_many_failures", "too many failed attempts", headers={"Retry-After": str(int(wait) + 1)}
            )
        headers = Headers(scope=connection)
        bearer, session = bearer_of(headers), session_of(headers, secure=is_secure(connection))
        found: Identity | None = None
        if ticket is not None:
            found = await self.app.logins.redeem(ticket, "stream")
        elif bearer is not None:
            found = await self.app.keys.authenticate(bearer)
        elif session is not None:
            found = await self.app.logins.session(session)
        if found is None:
            if ticket is not None or bearer is not None or session is not None:
                self.failures.failed(address)
            raise Problem(
                401, "unauthenticated", "show a valid API key: Authorization: Bearer dk_…",
                headers={"WWW-Authenticate": "Bearer"},
            )  # fmt: skip
        by_session = ticket is None and bearer is None
        if by_session and expected_origin and not same_origin(headers):
            raise Problem(403, "cross_site", "a session counts only on requests from this server's own pages")
        return found, (session or "") if by_session else ""

    def authorise(self, identity: Identity, rule: Rule | None) -> None:
        """Raises Problem (403) unless the identity may do what the rule guards; without a rule nobody may."""
        if rule is None:
            raise Problem(403, "forbidden", "nobody was given this route")
        if rule.scope not in (HOLDER, ANYBODY) and not identity.may(rule.scope):
            raise Problem(403, "forbidden", f"this key lacks the scope {rule.scope}")
        if rule.shared and identity.bound:
            raise Problem(403, "forbidden", "this concerns all tenants, and this key belongs to one")
        if rule.changes and self.read_only:
            raise Problem(403, "read_only", "this server only shows; [server] read_only says so")


def name_of(host: str) -> str:
    """The name in a Host header, without its port.

    >>> name_of("Jobs.example.com:8484"), name_of("[::1]:8484"), name_of("a:b:c")
    ('jobs.example.com', '::1', '')
    """
    if host.startswith("["):
        inside, bracket, rest = host[1:].partition("]")
        return inside.lower() if bracket and (not rest or rest.startswith(":")) else ""
    name, _, port = host.partition(":")
    return name.lower().removesuffix(".") if port.isdigit() or not port else ""


def is_secure(connection: ConnectionScope) -> bool:
    """Whether it came over TLS."""
    return connection.get("scheme") in ("https", "wss")


def bearer_of(headers: Headers) -> str | None:
    """The token of an Authorization header; "" for a header of another kind."""
    value = headers.get("authorization")
    if value is None:
        return None
    scheme, _, token = value.partition(" ")
    return token.strip() if scheme.lower() == "bearer" else ""


def session_of(headers: Headers, *, secure: bool) -> str | None:
    """The token of a session's cookie; over TLS only the one that no other host can have set."""
    try:
        jar = SimpleCookie(headers.get("cookie", ""))
    except CookieError:
        return None
    found = jar.get(SECURE_COOKIE) or (None if secure else jar.get(PLAIN_COOKIE))
    return found.value if found is not None else None


def same_origin(headers: Headers) -> bool:
    """Whether a browser says that a page of this server made the request."""
    site, origin = headers.get("sec-fetch-site"), headers.get("origin")
    if site is not None and site != "same-origin":
        return False
    if origin is None:
        return site is not None
    try:
        return urlsplit(origin).netloc.lower() == headers.get("host", "").lower() != ""
    except ValueError:
        return False
