"""Wake-ups on Redis: own writes tell at once, those of other clients by pub/sub; a new listener looks for itself."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dispatch.stores.redis.wire import Wire

_AGAIN = (0.1, 0.3, 1.0, 2.0)
"""Seconds before the next attempt to listen; the last repeats."""


class RedisWakeups:
    """The wakeups part of one store, and TellsAtOnce. Listening begins with the first wait, and goes on until the store
    is closed."""

    def __init__(self) -> None:
        self._version = 0
        self._waiters: set[asyncio.Future[None]] = set()
        self._told: set[Callable[[], object]] = set()
        self._listener: asyncio.Task[None] | None = None
        self._connect: Callable[[], Awaitable[Wire]] | None = None
        self._channel = b""
        self._own = b""

    def open(self, *, connect: Callable[[], Awaitable[Wire]], channel: str, own: str) -> None:
        """Makes ready to listen.

        Args:
            connect: makes the connection to listen on.
            channel: where other clients tell of theirs.
            own: what this client says there, so that it does not wake itself twice.
        """
        self._connect = connect
        self._channel, self._own = channel.encode(), own.encode()

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
        for changed in tuple(self._told):
            changed()
        waiters, self._waiters = self._waiters, set()
        for future in waiters:
            _end(future)

    def tell(self, changed: Callable[[], object]) -> Callable[[], object]:
        """Calls `changed` as soon as `version` rises, while somebody waits; answers what ends that."""
        self._told.add(changed)
        return partial(self._told.discard, changed)

    @property
    def version(self) -> int:
        """Rises whenever somebody may have changed the store."""
        return self._version

    async def wait(self, seen: int, timeout: float) -> int:
        """Waits until `version` differs from `seen`, at most `timeout` seconds; answers the version now."""
        if self._version != seen or timeout <= 0 or self._connect is None:
            return self._version
        loop = asyncio.get_running_loop()
        future = loop.create_future()
        self._waiters.add(future)
        if self._listener is None:
            self._listener = asyncio.create_task(self._listen(), name="dispatch-wakeups")
        timer = loop.call_later(timeout, _end, future)
        try:
            await future
        finally:
            timer.cancel()
            self._waiters.discard(future)
        return self._version

    async def _listen(self) -> None:
        failures = 0
        while True:
            link = None
            try:
                link = await self._subscribed()
                self.bump()  # what changed before the subscription began
                failures = 0
                await asyncio.wait([link.closed])
            except Exception:  # hints may fail: polling by the workers is the truth, and the next attempt catches up
                failures += 1
            finally:
                if link is not None:
                    link.end()
            await asyncio.sleep(_AGAIN[min(failures, len(_AGAIN) - 1)])

    async def _subscribed(self) -> Wire:
        assert self._connect is not None
        link = await self._connect()
        subscribed = asyncio.get_running_loop().create_future()

        def heard(message: Any) -> None:
            if message[:1] == [b"message"] and message[2] != self._own:
                self.bump()
            elif message[:1] == [b"subscribe"] and not subscribed.done():
                subscribed.set_result(None)

        try:
            link.subscribe(self._channel, heard)
            await asyncio.wait([subscribed, link.closed], return_when=asyncio.FIRST_COMPLETED)
        except BaseException:
            link.end()
            raise
        return link


def _end(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)
