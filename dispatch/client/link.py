"""One connection at a time to a server: it authenticates, matches answers to requests, and comes back when cut."""

from __future__ import annotations

import asyncio
import itertools
import logging
from collections.abc import Callable
from typing import Any

from dispatch.backoff import ExponentialWithJitter
from dispatch.client.errors import ConnectionLost, RequestTimeout, Unauthenticated, error_of
from dispatch.errors import DispatchError, InvalidArguments, MissingExtra
from dispatch.wire.codecs import CODECS, Codec, JSONCodec
from dispatch.wire.frames import Frame, FrameType

LARGEST = 16 * 1024 * 1024
_PAUSES = ExponentialWithJitter(base=0.2, max=10.0)


class Link:
    """Frames to and from a server.

    Args:
        url: `ws://host:port/dwp`; `http://host:port` means the same. token: an API key. format: "json" or "msgpack".
        reconnect: whether a lost connection is made again. timeout: seconds that connecting may take.
        on_event: gets the frames that nobody asked for. on_back: is called once a new connection stands.
        on_end: is called when there will be no further connection, with the reason.
    """

    def __init__(
        self,
        url: str,
        *,
        token: str,
        format: str,
        reconnect: bool,
        timeout: float,
        logger: logging.Logger,
        on_event: Callable[[Frame], None],
        on_back: Callable[[], None],
        on_end: Callable[[DispatchError], None],
    ) -> None:
        if format not in CODECS:
            raise InvalidArguments(f"format is {format!r}; there are json and msgpack")
        self.url = address_of(url)
        self._token = token
        self._format = format
        self._reconnect = reconnect
        self._timeout = timeout
        self._logger = logger
        self._on_event, self._on_back, self._on_end = on_event, on_back, on_end
        self._codec: Codec = JSONCodec(largest=LARGEST)
        self._socket: Any = None
        self._up = asyncio.Event()
        self._waiting: dict[str, asyncio.Future[Frame]] = {}
        self._numbers = itertools.count(1)
        self._reader: asyncio.Task[None] | None = None
        self._over: DispatchError | None = None

    async def open(self) -> None:
        """Connects and authenticates. Raises ConnectionLost, Unauthenticated, MissingExtra."""
        await self._connect()
        self._reader = asyncio.create_task(self._read(), name="dispatch client")

    async def close(self) -> None:
        """Says goodbye; idempotent. Whoever waits is told that the client was closed."""
        self._end(ConnectionLost("the client was closed"))
        reader, self._reader = self._reader, None
        if reader is not None:
            reader.cancel()
            await asyncio.wait([reader])
        socket, self._socket = self._socket, None
        if socket is not None:
            await socket.close()

    async def request(self, method: str, data: Any, *, timeout: float, repeatable: bool) -> Any:
        """The data of the answer.

        Args:
            timeout: seconds in all. repeatable: asking twice does no harm, so a lost connection is waited out.

        Raises ConnectionLost, RequestTimeout, and what the server refuses.
        """
        try:
            async with asyncio.timeout(timeout):
                while True:
                    try:
                        await self._wait_until_up()
                        return await self._ask(method, data)
                    except ConnectionLost:
                        if not (repeatable and self._reconnect) or self._over is not None:
                            raise
        except TimeoutError:
            raise RequestTimeout(
                f"{method}: no answer from {self.url} within {timeout:g} s; it may or may not have been done"
            ) from None

    async def grant(self, credits: int) -> None:
        """Lets the server send so many events more; a connection that is down begins with its own credits."""
        try:
            await self._send(Frame(type=FrameType.PING, credits=credits))
        except ConnectionLost:
            return

    async def _wait_until_up(self) -> None:
        if self._over is not None:
            raise self._over
        await self._up.wait()
        if self._over is not None:
            raise self._over

    async def _ask(self, method: str, data: Any) -> Any:
        number = str(next(self._numbers))
        answer: asyncio.Future[Frame] = asyncio.get_running_loop().create_future()
        self._waiting[number] = answer
        try:
            await self._send(Frame(type=FrameType.REQUEST, id=number, method=method, data=data))
            frame = await answer
        finally:
            self._waiting.pop(number, None)
        if frame.error is not None:
            raise error_of(frame.error.code, frame.error.message, frame.error.details)
        return frame.body

    async def _send(self, frame: Frame) -> None:
        data = self._codec.encode(frame)
        socket = self._socket
        try:
            if socket is None:
                raise ConnectionError
            await socket.send(data if self._codec.binary else data.decode())
        except Exception as error:
            if not _is_loss(error):
                raise
            raise ConnectionLost(f"the connection to {self.url} was lost before {frame.method} was sent") from None

    async def _connect(self) -> None:
        try:
            from websockets.asyncio.client import connect
        except ImportError as error:
            raise MissingExtra(
                f"the client needs {error.name}, which is not installed: pip install 'dispatch-tasks[client]'"
            ) from None
        self._codec = JSONCodec(largest=LARGEST)
        try:
            socket = await connect(
                self.url, compression=None, max_size=LARGEST, open_timeout=self._timeout, ping_interval=20, proxy=None
            )
        except Exception as error:
            if not _is_loss(error):
                raise
            raise ConnectionLost(f"{self.url} does not answer: {error or type(error).__name__}") from None
        try:
            async with asyncio.timeout(self._timeout):
                hello = {"token": self._token, "format": self._format}
                await socket.send(self._codec.encode(_request("auth", hello)).decode())
                answer = self._codec.decode(await socket.recv())
        except Exception as error:
            await socket.close()
            if not _is_loss(error):
                raise
            raise ConnectionLost(f"{self.url} went away during the handshake") from None
        if answer.error is not None:
            await socket.close()
            raise error_of(answer.error.code, answer.error.message, answer.error.details)
        self._codec = CODECS[self._format](largest=LARGEST)
        self._socket = socket
        self._up.set()

    async def _read(self) -> None:
        attempt = 0
        while True:
            if self._socket is not None:
                attempt = 0
                await self._read_until_cut()
                self._cut()
                if not self._reconnect:
                    self._end(ConnectionLost(f"the connection to {self.url} was lost"))
                    return
            attempt += 1
            await asyncio.sleep(_PAUSES.delay(attempt).total_seconds())
            try:
                await self._connect()
            except Unauthenticated as error:
                self._end(error)
                return
            except DispatchError as error:
                self._logger.info("not connected again yet (try %d): %s", attempt, error)
                continue
            self._logger.info("connected to %s again", self.url)
            self._on_back()

    async def _read_until_cut(self) -> None:
        while True:
            try:
                frame = self._codec.decode(await self._socket.recv())
            except Exception as error:
                self._logger.info("the connection to %s was cut: %r", self.url, error)
                return
            waiting = self._waiting.get(frame.correl_id)
            if frame.type in (FrameType.RESPONSE, FrameType.ERROR) and waiting is not None:
                if not waiting.done():
                    waiting.set_result(frame)
            elif frame.type == FrameType.EVENT:
                self._on_event(frame)

    def _cut(self) -> None:
        self._up.clear()
        self._socket = None
        self._give_up(ConnectionLost(f"the connection to {self.url} was lost before the answer came"))

    def _end(self, error: DispatchError) -> None:
        if self._over is None:
            self._over = error
            self._up.set()
            self._give_up(error)
            self._on_end(error)

    def _give_up(self, error: DispatchError) -> None:
        for waiting in self._waiting.values():
            if not waiting.done():
                waiting.set_exception(error)


def address_of(url: str) -> str:
    """The WebSocket of a server.

    >>> address_of("https://jobs.example.com"), address_of("ws://127.0.0.1:8484/dwp")
    ('wss://jobs.example.com/dwp', 'ws://127.0.0.1:8484/dwp')
    """
    scheme, separator, rest = url.partition("://")
    chosen = {"http": "ws", "https": "wss", "ws": "ws", "wss": "wss"}.get(scheme.lower())
    if not separator or chosen is None or not rest:
        raise InvalidArguments(f"{url!r} is no server's URL; give one such as http://127.0.0.1:8484")
    trimmed = rest.rstrip("/")
    return f"{chosen}://{trimmed}" if trimmed.endswith("/dwp") else f"{chosen}://{trimmed}/dwp"


def _request(method: str, data: Any) -> Frame:
    return Frame(type=FrameType.REQUEST, id="0", method=method, data=data)


def _is_loss(error: Exception) -> bool:
    from websockets.exceptions import WebSocketException

    return isinstance(error, OSError | TimeoutError | EOFError | WebSocketException)
