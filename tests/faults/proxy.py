"""A TCP proxy before PostgreSQL that cuts a connection after the server has committed and before its reply arrives."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections import Counter
from types import TracebackType
from typing import Self

_IDLE = b"Z\0\0\0\x05I"
"""ReadyForQuery outside a transaction: what came before it is committed."""
_WAYS = {"finish": b"UPDATE ", "claim": b"SELECT "}
"""What the reply to one ends with: the tag of a statement for plain completions, or for claims."""
_LEAST = {"finish": 0, "claim": 800}
"""Bytes of such a reply; a claim's is that long when it holds jobs."""
_END = 64


class CuttingProxy:
    """Forwards everything to a port until it is told to cut; `cuts` counts what was cut."""

    def __init__(self, port: int) -> None:
        self._server_port = port
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
        assert what in _WAYS
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
            try:
                both = {
                    asyncio.ensure_future(self._up(reader, up_writer)),
                    asyncio.ensure_future(self._down(up_reader, writer)),
                }
                try:
                    await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
                finally:
                    for half in both:
                        half.cancel()
                    await asyncio.gather(*both, return_exceptions=True)
            finally:
                up_writer.transport.abort()

    async def _up(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(1 << 16):
            writer.write(data)
            await writer.drain()

    async def _down(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        size, claims, before = 0, 0, b""
        while data := await reader.read(1 << 16):
            size += len(data)
            end = (before + data)[-_END:]
            if end.endswith(_IDLE):
                way = next((way for way in _WAYS if _WAYS[way] in end and size > _LEAST[way]), None)
                claims += way == "claim"
                # a worker that has not claimed yet may be starting, and ends when it cannot reach its store
                if way in self._armed and claims:
                    self._armed.discard(way)
                    self.cuts[way] += 1
                    return
            if end[-6:-1] == _IDLE[:-1]:
                size = 0
            before = data[-_END:]
            writer.write(data)
            await writer.drain()
