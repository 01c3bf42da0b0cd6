"""Wake-ups on Redis: own writes tell at once, those of other clients by pub/sub; a count shows what was missed."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

_AGAIN = (0.1, 0.3, 1.0, 2.0)
"""Seconds before the next attempt to listen; the last repeats."""


class RedisWakeups:
    """The wakeups part of one store. Listening begins with the first wait, and goes on until the store is closed."""

    def __init__(self) -> None:
        self._version = 0
        self._changes: bytes | None = None
        self._waiters: set[asyncio.Future[None]] = set()
        self._listener: asyncio.Task[None] | None = None
        self._listening = asyncio.Event()
        self._connect: Callable[[], Awaitable[Any]] | None = None
        self._count: Callable[[], Awaitable[bytes | None]] | None = None
        self._channel = b""
        self._own = b""

    async def open(
        self,
        *,
        connect: Callable[[], Awaitable[Any]],
        count: Callable[[], Awaitable[bytes | None]],
        channel: str,
        own: str,
    ) -> None:
        """Notes how many changes there were so far.

        Args:
            connect: makes the connection to listen on.
            count: reads the number of changes.
            channel: where other clients tell of theirs.
            own: what this client says there, so that it does not wake itself twice.
        """
        self._connect, self._count = connect, count
        self._channel, self._own = channel.encode(), own.encode()
        self._changes = await count()
        self._listening = asyncio.Event()

    async def close(self) -> None:
        """Stops listening and wakes whoever waits."""
        self._connect = None
        listener, self._listener = self._listener, None
        if listener is not None:
            listener.cancel()
            await asyncio.wait([listener])
        self.bump()

    def bump(self) -> None:
        """Says that something changed."""
        self._version += 1
        waiters, self._waiters = self._waiters, set()
        for future in waiters:
            if not future.done():
                future.set_result(None)

    @property
    def version(self) -> int:
        """Rises whenever somebody may have changed the store."""
        return self._version

    async def wait(self, seen: int, timeout: float) -> int:
        """Waits until `version` differs from `seen`, at most `timeout` seconds; answers the version now."""
        if self._version != seen or timeout <= 0 or self._connect is None:
            return self._version
        future = asyncio.get_running_loop().create_future()
        self._waiters.add(future)
        if self._listener is None:
            self._listener = asyncio.create_task(self._listen(), name="dispatch-wakeups")
        try:
            await asyncio.wait([future], timeout=timeout)
        finally:
            self._waiters.discard(future)
        return self._version

    async def _listen(self) -> None:
        failures = 0
        while True:
            connection = None
            try:
                connection = await self._subscribed()
                await self._catch_up()
                failures = 0
                while True:
                    self._hear(await connection.read_response(disable_decoding=True, push_request=True))
            except Exception:  # hints may fail: polling by the workers is the truth, and the next attempt catches up
                await asyncio.sleep(_AGAIN[min(failures, len(_AGAIN) - 1)])
                failures += 1
            finally:
                if connection is not None:
                    await connection.disconnect(nowait=True)

    async def _subscribed(self) -> Any:
        assert self._connect is not None
        connection = await self._connect()
        await connection.send_command("SUBSCRIBE", self._channel, check_health=False)
        await connection.read_response(disable_decoding=True, push_request=True)
        return connection

    async def _catch_up(self) -> None:
        """What changed before the subscription began is told now."""
        assert self._count is not None
        changes = await self._count()
        if changes != self._changes:
            self._changes = changes
            self.bump()

    def _hear(self, message: Any) -> None:
        if isinstance(message, list) and message[:1] == [b"message"] and message[2] != self._own:
            self.bump()
