"""A TCP proxy before a server that cuts a connection after the server has committed and before its reply arrives."""

from __future__ import annotations

import asyncio
import contextlib
import re
import threading
from collections import Counter, deque
from collections.abc import Callable
from types import TracebackType
from typing import Any, ClassVar, Protocol, Self

import hiredis

from dispatch.stores.redis.scripts import load

WAYS = frozenset({"finish", "claim"})
_WORKER = re.compile(rb"wkr_[0-9a-z]{26}")


class Ear(Protocol):
    """Understands one connection."""

    def asked(self, data: bytes) -> None:
        """Hears what a client sends."""

    def answered(self, data: bytes) -> str | None:
        """Hears what the server sends; answers of what this is the end: "finish", "claim" (of some jobs) or neither."""


class CuttingProxy:
    """Forwards everything to a port until it is told to cut; `cuts` counts what was cut."""

    def __init__(self, port: int, ear: Callable[[], Ear]) -> None:
        self._server_port = port
        self._ear = ear
        self.tell: Callable[[str], None] = lambda worker: None
        """Told of each cut, with the worker that will not hear."""
        self.port = 0
        self.cuts: Counter[str] = Counter()
        self._armed: set[str] = set()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="cutting proxy", daemon=True)
        self._tasks: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server | None = None

    def __enter__(self) -> Self:
        self._thread.start()
        listening = asyncio.start_server(self._serve, "127.0.0.1", 0)
        self._server = asyncio.run_coroutine_threadsafe(listening, self._loop).result(10)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        asyncio.run_coroutine_threadsafe(self._end(), self._loop).result(10)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()

    def cut_next(self, what: str) -> None:
        """Cuts the connection of the next finish or claim that is committed."""
        assert what in WAYS
        self._loop.call_soon_threadsafe(self._armed.add, what)

    async def _end(self) -> None:
        assert self._server is not None
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        with contextlib.suppress(OSError), contextlib.closing(writer.transport):
            up_reader, up_writer = await asyncio.open_connection("127.0.0.1", self._server_port)
            ear, speakers = self._ear(), list[str]()
            try:
                both = {
                    asyncio.ensure_future(self._up(reader, up_writer, ear, speakers)),
                    asyncio.ensure_future(self._down(up_reader, writer, ear, speakers)),
                }
                try:
                    await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
                finally:
                    for half in both:
                        half.cancel()
                    await asyncio.gather(*both, return_exceptions=True)
            finally:
                up_writer.transport.abort()

    async def _up(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, ear: Ear, speakers: list[str]
    ) -> None:
        while data := await reader.read(1 << 16):
            ear.asked(data)
            speakers[:] = [name.decode() for name in _WORKER.findall(data)[-1:]] or speakers
            writer.write(data)
            await writer.drain()

    async def _down(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, ear: Ear, speakers: list[str]
    ) -> None:
        claims = 0
        while data := await reader.read(1 << 16):
            way = ear.answered(data)
            claims += way == "claim"
            # a worker that has not claimed yet may be starting, and ends when it cannot reach its store
            if way in self._armed and claims:
                self._armed.discard(way)
                self.cuts[way] += 1
                for worker in speakers:
                    self.tell(worker)
                return
            writer.write(data)
            await writer.drain()


class PostgresEar:
    """Goes by the tag of the statement before ReadyForQuery outside a transaction: what came before it is committed."""

    _IDLE = b"Z\0\0\0\x05I"
    _TAGS: ClassVar = {"finish": b"UPDATE ", "claim": b"SELECT "}
    _LEAST: ClassVar = {"finish": 0, "claim": 800}
    """Bytes of such a reply; a claim's is that long when it holds jobs."""
    _END = 64

    def __init__(self) -> None:
        self._size = 0
        self._before = b""

    def asked(self, data: bytes) -> None:
        """The replies say enough."""

    def answered(self, data: bytes) -> str | None:
        self._size += len(data)
        size, end = self._size, (self._before + data)[-self._END :]
        self._before = data[-self._END :]
        if end[-6:-1] == self._IDLE[:-1]:
            self._size = 0
        if not end.endswith(self._IDLE):
            return None
        return next((way for way, tag in self._TAGS.items() if tag in end and size > self._LEAST[way]), None)


class RedisEar:
    """Matches replies to the scripts that were asked for."""

    def __init__(self) -> None:
        self._asked = hiredis.Reader()
        self._answers = hiredis.Reader(replyError=str)
        self._scripts: deque[str] = deque()
        self._names = {load(way).sha.encode(): way for way in WAYS}

    def asked(self, data: bytes) -> None:
        self._asked.feed(data)
        while (command := self._asked.gets()) is not False:
            self._scripts.append(self._names.get(command[1], "") if command[0] == b"EVALSHA" else "")

    def answered(self, data: bytes) -> str | None:
        self._answers.feed(data)
        ways = []
        while (reply := self._answers.gets()) is not False:
            if not isinstance(reply, hiredis.PushNotification):
                ways.append(_way(self._scripts.popleft(), reply))
        return next(filter(None, ways), None)


def _way(script: str, reply: Any) -> str | None:
    """What was committed, if anything."""
    if script == "finish" and isinstance(reply, list | int):
        return script
    if script == "claim" and isinstance(reply, list) and reply[0]:
        return script
    return None
