"""Connections for threads that run no event loop: a plain socket, with which a thread waits for its reply itself."""

from __future__ import annotations

import os
import select
import socket
import struct
import time
from collections import deque
from collections.abc import Sequence

import hiredis

from dispatch.stores.redis.address import Address, tls_context
from dispatch.stores.redis.errors import drops_connection
from dispatch.stores.redis.link import MORE, check, greeting, packed, parser
from dispatch.stores.redis.wire import Call, Reply

_AT_A_TIME = 1 << 16


class HereLinks:
    """Connections to one server, each used by one thread at a time; as many as threads ask at once.

    Args:
        timeout: seconds that an exchange may take, and making a connection.
        keep: how many stay open while nobody uses them.
    """

    def __init__(self, address: Address, *, timeout: float, keep: int) -> None:
        self._address = address
        self._timeout = timeout
        self._keep = keep
        self._idle: deque[_HereLink] = deque()
        self._process = os.getpid()

    def exchange(self, commands: Sequence[Call]) -> list[Reply]:
        """Sends commands and answers a reply for each, a Refusal where the server refused one."""
        data = packed(commands)
        link = self._free_link()
        try:
            replies = link.exchange(data, len(commands))
        except BaseException:
            link.end()
            raise
        if drops_connection(replies) or len(self._idle) >= self._keep:
            link.end()
        else:
            self._idle.append(link)
        return replies

    def close(self) -> None:
        """Ends the connections that nobody uses."""
        while self._idle:
            self._idle.pop().end()

    def _free_link(self) -> _HereLink:
        if self._process != os.getpid():
            # a fork's connections are its parent's, which goes on talking on them
            self._process, self._idle = os.getpid(), deque()
        while True:
            try:
                link = self._idle.pop()
            except IndexError:
                return _HereLink(self._address, self._timeout)
            if link.fresh:
                return link
            link.end()


class _HereLink:
    def __init__(self, address: Address, timeout: float) -> None:
        self._timeout = timeout
        self._parser = parser()
        self._socket = _connected(address, timeout)
        self._poll = select.poll()
        self._poll.register(self._socket.fileno(), select.POLLIN)
        try:
            said = greeting(address, 3)
            check(self.exchange(packed(said), len(said)))
        except BaseException:
            self.end()
            raise

    @property
    def fresh(self) -> bool:
        """Whether the server has neither closed the idle connection nor said anything unasked."""
        return not self._poll.poll(0)

    def exchange(self, data: bytes, wanted: int) -> list[Reply]:
        deadline = time.monotonic() + self._timeout
        replies: list[Reply] = []
        try:
            self._socket.sendall(data)
            while True:
                received = self._socket.recv(_AT_A_TIME)
                if not received:
                    raise ConnectionResetError("the server has closed the connection")
                self._parse(received, replies)
                if len(replies) >= wanted:
                    return replies
                if time.monotonic() > deadline:
                    raise TimeoutError
        except BlockingIOError:
            raise TimeoutError from None

    def _parse(self, data: bytes, replies: list[Reply]) -> None:
        try:
            self._parser.feed(data)
            while (reply := self._parser.gets()) is not MORE:
                if not isinstance(reply, hiredis.PushNotification):
                    replies.append(reply)
        except hiredis.HiredisError as error:
            raise ConnectionError(f"what answers there speaks another language than Redis ({error})") from error

    def end(self) -> None:
        self._socket.close()


def _connected(address: Address, timeout: float) -> socket.socket:
    options = address.options
    if address.kind == "unix":
        made = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            made.settimeout(timeout)
            made.connect(options["path"])
        except BaseException:
            made.close()
            raise
        return _patient(made, timeout)
    made = socket.create_connection((options["host"], options["port"]), timeout)
    try:
        made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        made.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        if address.kind == "tls":
            return tls_context(options).wrap_socket(made, server_hostname=options["host"])
    except BaseException:
        made.close()
        raise
    return _patient(made, timeout)


def _patient(made: socket.socket, timeout: float) -> socket.socket:
    """The kernel counts the seconds of each call: Python's own way asks it twice, whether it may and then to do it."""
    whole, rest = divmod(max(timeout, 0.001), 1)
    for option in (socket.SO_RCVTIMEO, socket.SO_SNDTIMEO):
        made.setsockopt(socket.SOL_SOCKET, option, struct.pack("@ll", int(whole), int(rest * 1_000_000)))
    made.settimeout(None)
    return made
