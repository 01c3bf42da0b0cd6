"""The way out: a host is resolved once, all its addresses are judged, and one of these very addresses is called."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable, Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from ipaddress import ip_address
from typing import cast

import httpcore2

from dispatch_relay.addresses import Address, Allowed, literal

Resolver = Callable[[str, int], Awaitable[list[Address]]]
_LOOKUPS = 16
_lookups = ThreadPoolExecutor(_LOOKUPS, thread_name_prefix="dispatch relay lookup")
"""A name server that hangs keeps these threads, not those that other work of the process needs."""


async def resolve(host: str, port: int) -> list[Address]:
    """The addresses of a host, as the system knows them. Raises OSError when it has none."""
    loop = asyncio.get_running_loop()
    found = await loop.run_in_executor(_lookups, lambda: socket.getaddrinfo(host, port, type=socket.SOCK_STREAM))
    return list(dict.fromkeys(ip_address(str(entry[4][0]).partition("%")[0]) for entry in found))


class GuardedBackend(httpcore2.AsyncNetworkBackend):
    """Connects to what is allowed and to nothing else; TLS and Host go on to use the name.

    Args:
        allowed: judges the addresses of a host. resolver: finds them; asked once for each connection.
    """

    def __init__(self, allowed: Allowed, *, resolver: Resolver = resolve) -> None:
        self._allowed = allowed
        self._resolver = resolver
        self._backend = cast("httpcore2.AsyncNetworkBackend", httpcore2.AnyIOBackend())

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[httpcore2.SOCKET_OPTION] | None = None,
    ) -> httpcore2.AsyncNetworkStream:
        """A connection to one of the host's addresses. Raises AddressDenied, httpcore2.ConnectError, ConnectTimeout."""
        written = literal(host)
        try:
            addresses = [written] if written is not None else await self._resolver(host, port)
        except OSError as error:
            raise httpcore2.ConnectError(f"the name {host!r} cannot be resolved: {error}") from error
        if not addresses:
            raise httpcore2.ConnectError(f"the name {host!r} has no address")
        self._allowed.check(host, addresses)
        for address in addresses[:-1]:
            try:
                return await self._connect(address, port, timeout, local_address, socket_options)
            except (httpcore2.ConnectError, httpcore2.ConnectTimeout):
                continue
        return await self._connect(addresses[-1], port, timeout, local_address, socket_options)

    async def _connect(
        self,
        address: Address,
        port: int,
        timeout: float | None,
        local_address: str | None,
        socket_options: Iterable[httpcore2.SOCKET_OPTION] | None,
    ) -> httpcore2.AsyncNetworkStream:
        return await self._backend.connect_tcp(
            str(address), port, timeout=timeout, local_address=local_address, socket_options=socket_options
        )

    async def connect_unix_socket(
        self, path: str, timeout: float | None = None, socket_options: Iterable[httpcore2.SOCKET_OPTION] | None = None
    ) -> httpcore2.AsyncNetworkStream:
        """Refused: a webhook never goes to a socket of this machine."""
        raise httpcore2.ConnectError("webhooks are not sent to Unix sockets")

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)
