"""One POST: no redirects, no proxies, a time for everything, and no more of the answer than is worth reading."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from email.utils import parsedate_to_datetime

import httpcore2
import httpx2

from dispatch.clock import boot_seconds, utc_now
from dispatch_relay.addresses import Allowed
from dispatch_relay.errors import AddressDenied, Undelivered
from dispatch_relay.network import GuardedBackend, Resolver, resolve

TIMEOUT = 15.0
READ_AT_MOST = 16 * 1024
_CONNECTIONS = 200
_IDLE_FOR = 20.0
"""Seconds that a connection is kept for the endpoint's next webhook."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What an endpoint said."""

    status: int
    body: str
    """The beginning of it."""
    elapsed: float
    """Seconds from the first packet to the last one."""
    retry_after: float | None = None
    """Seconds that it asked for."""


class Sender:
    """The relay's HTTP client; belongs to one event loop.

    Args:
        allowed: which addresses may be called beside public ones. timeout: seconds for everything together.
        resolver: finds the addresses of names. ssl_context: whom to trust (default: the system's authorities).
    """

    def __init__(
        self,
        allowed: Allowed,
        *,
        timeout: float = TIMEOUT,
        resolver: Resolver = resolve,
        ssl_context: ssl.SSLContext | None = None,
    ) -> None:
        self._allowed = allowed
        self._timeout = timeout
        self._resolver = resolver
        self._ssl_context = ssl_context
        self._pool: httpcore2.AsyncConnectionPool | None = None

    async def post(self, url: str, body: bytes, headers: Mapping[str, str]) -> Answer:
        """Sends the bytes and answers what came back, whatever its status. Raises Undelivered when nothing did."""
        target = httpx2.URL(url)
        sent = {"Host": target.netloc.decode("ascii"), **headers}
        began = boot_seconds()
        try:
            async with asyncio.timeout(self._timeout):
                return await self._post(target, body, sent, began)
        except TimeoutError:
            raise Undelivered(f"{target.host} took longer than {self._timeout:g} s") from None
        except AddressDenied as error:
            raise Undelivered(str(error)) from error
        except (httpcore2.NetworkError, httpcore2.ProtocolError, httpcore2.TimeoutException, OSError) as error:
            what = str(error) or type(error).__name__
            raise Undelivered(f"{target.host} could not be reached, or broke off: {what}") from error

    async def close(self) -> None:
        """Closes its connections; the next webhook opens new ones."""
        pool, self._pool = self._pool, None
        if pool is not None:
            await pool.aclose()

    async def _post(self, target: httpx2.URL, body: bytes, headers: Mapping[str, str], began: float) -> Answer:
        url = httpcore2.URL(scheme=target.raw_scheme, host=target.raw_host, port=target.port, target=target.raw_path)
        async with self._open_pool().stream("POST", url, headers=list(headers.items()), content=body) as response:
            read = b""
            async for chunk in response.aiter_stream():
                read += chunk
                if len(read) >= READ_AT_MOST:
                    break
        said = {name.lower(): value for name, value in response.headers}
        return Answer(
            response.status,
            read[:READ_AT_MOST].decode(errors="replace"),
            boot_seconds() - began,
            retry_after(said.get(b"retry-after", b"").decode("latin-1"), now=utc_now()),
        )

    def _open_pool(self) -> httpcore2.AsyncConnectionPool:
        if self._pool is None:
            self._pool = httpcore2.AsyncConnectionPool(
                ssl_context=self._ssl_context,
                max_connections=_CONNECTIONS,
                keepalive_expiry=_IDLE_FOR,
                network_backend=GuardedBackend(self._allowed, resolver=self._resolver),
            )
        return self._pool


def retry_after(text: str, *, now: datetime) -> float | None:
    """Seconds that a Retry-After header asks for: a number, or a date; None when it says nothing that can be read.

    >>> retry_after("120", now=utc_now())
    120.0
    """
    text = text.strip()
    if text.isascii() and text.isdigit():
        return float(text[:9])
    try:
        until = parsedate_to_datetime(text)
    except (ValueError, TypeError):
        return None
    return None if until.tzinfo is None else max((until - now).total_seconds(), 0.0)
