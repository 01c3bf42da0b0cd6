"""Frames between a worker and its subprocess: two lengths, a JSON header, and a body of bytes as they are."""

from __future__ import annotations

import asyncio
import json
import os
import socket
import struct
import threading
from typing import Any

LARGEST_FRAME = 64 * 1024 * 1024
_LENGTHS = struct.Struct("!II")

Header = dict[str, Any]


class FrameTooLarge(ValueError):
    """A header and its body together exceed LARGEST_FRAME."""


def pack(header: Header, body: bytes = b"") -> bytes:
    """One frame; FrameTooLarge when it is over the cap."""
    head = json.dumps(header, separators=(",", ":")).encode()
    if len(head) + len(body) > LARGEST_FRAME:
        raise FrameTooLarge(
            f"{len(head) + len(body):,} bytes do not fit a frame to or from a worker subprocess ({LARGEST_FRAME:,})"
        )
    return _LENGTHS.pack(len(head), len(body)) + head + body


async def read_frame(reader: asyncio.StreamReader) -> tuple[Header, bytes]:
    """The next frame; EOFError when the other side is gone, ValueError when it sent no frame."""
    try:
        head, body = _sizes(await reader.readexactly(_LENGTHS.size))
        return json.loads(await reader.readexactly(head)), await reader.readexactly(body)
    except (asyncio.IncompleteReadError, OSError) as error:
        raise EOFError("the connection has ended") from error


class Channel:
    """The subprocess's blocking end: one thread receives, any thread sends."""

    def __init__(self, descriptor: int) -> None:
        self._socket = socket.socket(fileno=descriptor)
        self._socket.setblocking(True)
        self._socket.set_inheritable(False)
        self._lock = threading.Lock()
        self._left = False
        os.register_at_fork(after_in_child=self._leave)

    def send(self, header: Header, body: bytes = b"") -> None:
        """Sends a frame; OSError when the worker is gone. A fork of the subprocess sends nothing."""
        frame = pack(header, body)
        if self._left:
            return
        with self._lock:
            self._socket.sendall(frame)

    def receive(self) -> tuple[Header, bytes] | None:
        """The next frame; None when the worker has closed its end or is gone."""
        lengths = self._exactly(_LENGTHS.size)
        if lengths is None:
            return None
        head_size, body_size = _sizes(lengths)
        head, body = self._exactly(head_size), self._exactly(body_size)
        if head is None or body is None:
            return None
        return json.loads(head), body

    def _exactly(self, size: int) -> bytes | None:
        data = bytearray(size)
        view = memoryview(data)
        while view:
            try:
                count = self._socket.recv_into(view)
            except OSError:
                return None
            if not count:
                return None
            view = view[count:]
        return bytes(data)

    def _leave(self) -> None:
        """A process that a handler forked must not keep the connection open after its parent's death."""
        self._left = True
        self._socket.close()


def _sizes(lengths: bytes) -> tuple[int, int]:
    head, body = _LENGTHS.unpack(lengths)
    if head + body > LARGEST_FRAME:
        raise ValueError(f"a frame of {head + body:,} bytes was announced; something else wrote to the connection")
    return head, body
