"""A connection of our own: hiredis for the bytes, an asyncio protocol for the rest."""

from __future__ import annotations

import asyncio
import select
import socket
from collections.abc import Callable, Sequence
from typing import Any

import hiredis

from dispatch.errors import DataRejected
from dispatch.stores.redis.address import Address, tls_context
from dispatch.stores.redis.wire import Call, Refusal, Reply

MORE = object()
"""What the parser answers while a reply is not whole."""


class Link(asyncio.Protocol):
    """A Wire."""

    def __init__(self) -> None:
        self._parser = parser()
        self._transport: Any = None
        self._poll = select.poll()
        self._wanted = 0
        self._replies: list[Reply] = []
        self._answered: asyncio.Future[list[Reply]] | None = None
        self._heard: Callable[[Reply], None] | None = None
        self._until = 0.0
        self._alarm: asyncio.TimerHandle | None = None
        """Goes off now and then while there are exchanges: one for each would cost as much as a small one does."""
        self.closed: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    async def exchange(self, commands: Sequence[Call], limit: float) -> list[Reply]:
        data = packed(commands)
        if self.closed.done():
            raise ConnectionResetError("the server has closed the connection")
        loop = asyncio.get_running_loop()
        self._wanted, self._replies = len(commands), []
        self._answered = loop.create_future()
        self._until = loop.time() + limit
        if self._alarm is not None and self._until < self._alarm.when():
            self._alarm.cancel()
            self._alarm = None
        if self._alarm is None:
            self._alarm = loop.call_at(self._until, self._ring)
        self._transport.write(data)
        try:
            return await self._answered
        finally:
            self._answered = None

    def subscribe(self, channel: bytes, heard: Callable[[Reply], None]) -> None:
        self._heard = heard
        self._transport.write(packed([("SUBSCRIBE", channel)]))

    def fresh(self) -> bool:
        return not self.closed.done() and not self._poll.poll(0)

    def end(self) -> None:
        self._over(ConnectionResetError("the connection was closed"))
        if self._transport is not None:
            self._transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport
        sock: socket.socket = transport.get_extra_info("socket")
        if sock.family != socket.AF_UNIX:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        self._poll.register(sock.fileno(), select.POLLIN)

    def data_received(self, data: bytes) -> None:
        try:
            self._parser.feed(data)
            while (reply := self._parser.gets()) is not MORE:
                self._take(reply)
        except hiredis.HiredisError as error:
            self._over(ConnectionError(f"what answers there speaks another language than Redis ({error})"))
            self.end()

    def _take(self, reply: Reply) -> None:
        if self._heard is not None:
            self._heard(reply)
        elif isinstance(reply, hiredis.PushNotification):
            return
        elif self._wanted == 0:
            self.end()
        else:
            self._replies.append(reply)
            self._wanted -= 1
            if self._wanted == 0 and self._answered is not None and not self._answered.done():
                self._answered.set_result(self._replies)

    def connection_lost(self, exc: Exception | None) -> None:
        self._over(exc if isinstance(exc, OSError) else ConnectionResetError("the server has closed the connection"))

    def _ring(self) -> None:
        loop, self._alarm = asyncio.get_running_loop(), None
        if self._answered is None:
            return
        if loop.time() < self._until:
            self._alarm = loop.call_at(self._until, self._ring)
        else:
            self._over(TimeoutError("the server has not replied"))

    def _over(self, error: Exception) -> None:
        if self._alarm is not None:
            self._alarm.cancel()
        if not self.closed.done():
            self.closed.set_result(None)
        if self._answered is not None and not self._answered.done():
            self._answered.set_exception(error)


async def connect(address: Address, protocol: int, limit: float) -> Link:
    """A connection that is ready for use; an OSError or a Refusal where it cannot be."""
    loop, options = asyncio.get_running_loop(), address.options
    if address.kind == "unix":
        _, link = await loop.create_unix_connection(Link, options["path"])
    else:
        tls = tls_context(options) if address.kind == "tls" else None
        _, link = await loop.create_connection(Link, options["host"], options["port"], ssl=tls)
    try:
        check(await link.exchange(greeting(address, protocol), limit))
    except BaseException:
        link.end()
        raise
    return link


def greeting(address: Address, protocol: int) -> list[Call]:
    """What is said first on a connection."""
    options = address.options
    user, password = options.get("username"), options.get("password")
    login = [] if password is None else [user or "default", password]
    said: list[Call] = []
    if protocol == 3:
        said.append(("HELLO", "3", *(("AUTH", *login) if login else ())))
    elif login:
        said.append(("AUTH", *(login if user else login[1:])))
    return [*said, ("SELECT", options["db"])]


def check(replies: Sequence[Reply]) -> None:
    """Raises the first error among the replies."""
    for reply in replies:
        if isinstance(reply, Refusal):
            raise reply


def packed(commands: Sequence[Call]) -> bytes:
    """Commands as they are sent."""
    try:
        return b"".join([hiredis.pack_command(tuple(command)) for command in commands])
    except (TypeError, UnicodeError, OverflowError) as error:
        raise DataRejected(
            f"a value cannot be stored ({type(error).__name__}: {error}); nothing was written"
        ) from error


def parser() -> Any:
    """What takes bytes and gives replies, MORE while one is not whole."""
    return hiredis.Reader(replyError=Refusal, notEnoughData=MORE)
