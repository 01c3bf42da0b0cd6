"""A receiver of webhooks on a real socket: verifies each by the `standardwebhooks` package, misbehaves as asked."""

from __future__ import annotations

import asyncio
import json
import ssl
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from standardwebhooks import Webhook, WebhookVerificationError


@dataclass(frozen=True)
class Received:
    """One request."""

    path: str
    id: str
    body: dict[str, Any]
    headers: dict[str, str]
    verified: bool


@dataclass
class Reply:
    """What the sink does with a request."""

    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b"ok"
    hang: bool = False
    reset: bool = False
    endless: bool = False


Behaviour = Callable[[Received], Reply]


class Sink:
    """A server; `behave` decides on each request."""

    def __init__(self, secret: str, behave: Behaviour | None = None) -> None:
        self.secret = secret
        self.behave = behave or (lambda _: Reply())
        self.received: list[Received] = []
        self.peers: list[Any] = []
        self._changed = asyncio.Event()
        self._server: asyncio.Server | None = None
        self._hanging: set[asyncio.Task[Any]] = set()
        self.port = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def counts(self) -> Counter[str]:
        """Requests by webhook-id."""
        return Counter(one.id for one in self.received)

    async def reached(self, done: Callable[[], bool], timeout: float = 10.0) -> None:
        """Waits until `done()`, looked at after each request."""
        async with asyncio.timeout(timeout):
            while not done():
                self._changed.clear()
                await self._changed.wait()

    async def start(self, tls: ssl.SSLContext | None = None, port: int = 0) -> None:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", port, ssl=tls)
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        for task in self._hanging:
            task.cancel()
        if self._server is not None:
            self._server.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._hanging.add(task)
        try:
            self.peers.append(writer.get_extra_info("peername"))
            while await self._one(reader, writer):
                pass
        except (OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass
        finally:
            self._hanging.discard(task)
            writer.close()

    async def _one(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        path = head[0].split(" ")[1]
        headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in head[1:] if line)}
        body = await reader.readexactly(int(headers.get("content-length", "0")))
        try:
            Webhook(self.secret).verify(body, headers)
            verified = True
        except WebhookVerificationError:
            verified = False
        received = Received(path, headers.get("webhook-id", ""), json.loads(body), headers, verified)
        self.received.append(received)
        reply = self.behave(received)
        self._changed.set()
        if reply.hang:
            await asyncio.Event().wait()
        if reply.reset:
            writer.transport.abort()
            return False
        if reply.endless:
            writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
            while True:
                writer.write(b"x" * 1024)
                await writer.drain()
        said = {"Content-Length": str(len(reply.body)), **reply.headers}
        lines = "".join(f"{name}: {value}\r\n" for name, value in said.items())
        writer.write(f"HTTP/1.1 {reply.status} Whatever\r\n{lines}\r\n".encode() + reply.body)
        await writer.drain()
        return True


@asynccontextmanager
async def sink(secret: str, behave: Behaviour | None = None, tls: ssl.SSLContext | None = None) -> AsyncIterator[Sink]:
    made = Sink(secret, behave)
    await made.start(tls)
    try:
        yield made
    finally:
        await made.stop()
