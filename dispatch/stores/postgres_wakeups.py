"""Wake-ups on PostgreSQL: LISTEN on a connection of its own, NOTIFY after a commit, both hints that may get lost."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

from asyncpg import InterfaceError, PostgresError

from dispatch.backoff import ExponentialWithJitter
from dispatch.clock import boot_seconds
from dispatch.errors import StoreError
from dispatch.ids import new_public_id

_APART = 0.01
"""Seconds between two notifications of one process: whoever waits needs no more."""
_PROBE_EVERY = 5.0
_PROBE_WITHIN = 3.0
_TRIES = 3
_NEVER = float("-inf")
_TROUBLE = (OSError, PostgresError, InterfaceError, StoreError)


class PostgresWakeups:
    """The wakeups part of one store, and TellsAtOnce; used on one loop."""

    def __init__(
        self,
        channel: str,
        *,
        listen: bool,
        logger: logging.Logger | None = None,
        probe_every: float = _PROBE_EVERY,
        probe_within: float = _PROBE_WITHIN,
    ) -> None:
        self._channel = channel
        self._listen = listen
        self._logger = logger or logging.getLogger("dispatch.store")
        self._probe_every = probe_every
        self._probe_within = probe_within
        self._version = 0
        self._waiters: set[asyncio.Future[None]] = set()
        self._at_once: set[Callable[[], object]] = set()
        self._connect: Callable[[], Awaitable[Any]] | None = None
        self._notify: Callable[[], Awaitable[None]] | None = None
        self._listener: asyncio.Task[None] | None = None
        self._notifier: asyncio.Task[None] | None = None
        self._turn = _NEVER
        """When a write began that was to bring a notification."""
        self._owed = False
        """A write has happened since the last notification was sent."""
        self._told = False
        """That listening does not work was logged."""
        self.sender = ""
        """What its own notifications say, which bring it nothing new: it woke its waiters when it wrote."""

    def open(self, *, connect: Callable[[], Awaitable[Any]], notify: Callable[[], Awaitable[None]]) -> None:
        """Says how to reach the server; the listening begins with the first wait."""
        self._connect, self._notify = connect, notify
        self.sender = new_public_id()

    async def close(self) -> None:
        """Sends what is owed, stops listening, wakes who waits; idempotent."""
        self._connect = None
        notifier, self._notifier = self._notifier, None
        if notifier is not None:
            await asyncio.wait([notifier])
        self._notify = None
        listener, self._listener = self._listener, None
        if listener is not None:
            listener.cancel()
            await asyncio.wait([listener])
        self._raise()

    @property
    def version(self) -> int:
        """Rises whenever somebody may have changed the store."""
        return self._version

    async def wait(self, seen: int, timeout: float) -> int:
        """Waits until `version` differs from `seen`, at most `timeout` seconds; answers the version now."""
        if self._listener is None and self._listen and self._connect is not None:
            self._listener = asyncio.get_running_loop().create_task(self._keep_listening(), name="dispatch listener")
        if self._version != seen or timeout <= 0:
            return self._version
        waiter = asyncio.get_running_loop().create_future()
        self._waiters.add(waiter)
        try:
            await asyncio.wait([waiter], timeout=timeout)
        finally:
            self._waiters.discard(waiter)
        return self._version

    def take_turn(self) -> bool:
        """Whether a write that begins now may bring the next notification; `brought` is to follow once it is done."""
        now = boot_seconds()
        if self._notify is None or self._notifier is not None or now - self._turn < _APART:
            return False
        self._turn = now
        return True

    def brought(self, told: bool) -> None:
        """Says that a write which had the turn changed something, and whether a notification went with it."""
        if told:
            self._raise()
        else:
            self._turn = _NEVER
            self.bump()

    def bump(self) -> None:
        """Says that this process changed something: wakes its own waiters now, the others by the next notification."""
        self._raise()
        self._owed = True
        if self._notifier is None and self._notify is not None:
            self._notifier = asyncio.get_running_loop().create_task(self._notify_all(), name="dispatch notifier")

    def _hear(self, _connection: object, _pid: int, _channel: str, sender: object) -> None:
        if sender != self.sender:
            self._raise()

    def tell(self, changed: Callable[[], object]) -> Callable[[], object]:
        """Calls `changed` as soon as `version` rises, while somebody waits; answers what ends that."""
        self._at_once.add(changed)
        return partial(self._at_once.discard, changed)

    def _raise(self) -> None:
        self._version += 1
        for changed in tuple(self._at_once):
            changed()
        waiters, self._waiters = self._waiters, set()
        for waiter in waiters:
            if not waiter.done():
                waiter.set_result(None)

    async def _notify_all(self) -> None:
        """Sends one notification for all that was written since the last one, at most one every few milliseconds."""
        try:
            failures = 0
            early = self._turn + _APART - boot_seconds()
            if early > 0:
                await asyncio.sleep(early)
            while self._owed and self._notify is not None:
                self._owed = False
                try:
                    await self._notify()
                    failures = 0
                except _TROUBLE:
                    failures += 1
                    if failures == _TRIES:
                        break  # a hint: whoever waits looks by itself after its poll interval
                    self._owed = True
                if self._connect is None:
                    break
                await asyncio.sleep(_APART)
        finally:
            if self._notifier is asyncio.current_task():
                self._notifier = None

    async def _keep_listening(self) -> None:
        """Listens, and begins again with a new connection whenever the old one is lost or silent."""
        pauses = ExponentialWithJitter(base=0.1, max=5.0)
        failures = 0
        while self._connect is not None:
            try:
                connection = await self._connect()
            except (*_TROUBLE, TimeoutError):
                failures += 1
            else:
                try:
                    await self._listen_on(connection)
                    failures = 0
                except (*_TROUBLE, TimeoutError):
                    failures += 1
                finally:
                    connection.terminate()
            await asyncio.sleep(pauses.delay(max(1, failures)).total_seconds())

    async def _listen_on(self, connection: Any) -> None:
        """Returns when the connection does not bring what is sent to it any more."""
        heard = asyncio.Event()
        own = f"{self._channel}:{connection.get_server_pid()}"
        lost = asyncio.Event()

        def end(_: object) -> None:
            lost.set()
            heard.set()

        connection.add_termination_listener(end)
        await connection.add_listener(self._channel, self._hear)
        await connection.add_listener(own, lambda *_: heard.set())
        self._raise()  # whatever happened before was not heard
        while not lost.is_set():
            heard.clear()
            async with asyncio.timeout(self._probe_within):
                await connection.execute("SELECT pg_notify($1, '')", own)
            try:
                async with asyncio.timeout(self._probe_within):
                    await heard.wait()
            except TimeoutError:
                self._tell_deaf()
                return
            try:
                async with asyncio.timeout(self._probe_every):
                    await lost.wait()
            except TimeoutError:
                continue

    def _tell_deaf(self) -> None:
        if not self._told:
            self._told = True
            self._logger.warning(
                "notifications do not arrive (a transaction pooler in between?): workers find jobs by polling. "
                "Set listen = false in [postgres], or give workers a direct connection"
            )
