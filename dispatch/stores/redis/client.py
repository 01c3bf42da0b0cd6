"""Runs scripts on the server: a few connections, each call bounded in time, each reply belonging to its call."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from dispatch.clock import Clock, micros
from dispatch.errors import DispatchError, MissingExtra, StoreUnreachable
from dispatch.ids import WorkerID
from dispatch.stores.redis.address import Address
from dispatch.stores.redis.errors import code_of, drops_connection, store_error
from dispatch.stores.redis.scripts import Script, load
from dispatch.stores.redis.wakeups import RedisWakeups

Reply = Any
Call = Sequence[Any]
"""A command and its arguments."""


class RedisClient:
    """Connections to one database, and one namespace in it.

    Args:
        clock: a test's clock; None: the server's.
        timeout: seconds that a call may take, and a connection may take to be made.
        connections: how many may be open at once; further calls wait for one.
    """

    def __init__(
        self,
        address: Address,
        *,
        namespace: str,
        clock: Clock | None,
        timeout: float,
        connections: int,
        protocol: int,
        wakeups: RedisWakeups,
        check_schema: Callable[[], Awaitable[None]],
    ) -> None:
        self.address = address
        self.prefix = f"{{{namespace}}}:"
        self.name = self.prefix + WorkerID.new()
        self._clock = clock
        self._timeout = timeout
        self._connections = connections
        self._protocol = protocol
        self._wakeups = wakeups
        self._check_schema = check_schema
        self.ready = False
        """The namespace has this library's schema."""
        self._idle: list[Any] = []
        self._turns: asyncio.Semaphore | None = None

    @property
    def opened(self) -> bool:
        return self._turns is not None

    async def open(self) -> None:
        """Makes the first connection, so that what is wrong shows at once."""
        _kinds()  # importing the driver takes a while, and no call's time is meant for that
        self._turns = asyncio.Semaphore(self._connections)
        try:
            await self.command("PING")
        except BaseException:
            await self.close()
            raise

    async def close(self) -> None:
        """Ends every connection that is not in use; those end with their calls."""
        self._turns, self.ready = None, False
        idle, self._idle = self._idle, []
        for connection in idle:
            await _end(connection)

    def now(self) -> str:
        """The first argument of every script: a test's time, or '' for the server's."""
        return "" if self._clock is None else str(micros(self._clock.now()))

    async def run(self, name: str, *args: Any) -> Reply:
        """One script."""
        (reply,) = await self.run_all(name, [args])
        return reply

    async def run_all(self, name: str, calls: Sequence[Sequence[Any]], *, together: bool = False) -> list[Reply]:
        """A script several times, sent at once; `together`: as one transaction. Raises the first error."""
        script = load(name)
        if not self.ready and name != "migrate":
            await self._check_schema()
        commands = [self._evalsha(script, args) for args in calls]
        replies = await self._exchange(commands, together)
        if any(isinstance(reply, Exception) and code_of(reply) == "NOSCRIPT" for reply in replies):
            # the server has forgotten its scripts (a restart, SCRIPT FLUSH); those calls have done nothing
            await self.command("SCRIPT", "LOAD", script.source)
            missing = [i for i, r in enumerate(replies) if isinstance(r, Exception) and code_of(r) == "NOSCRIPT"]
            for i, reply in zip(missing, await self._exchange([commands[i] for i in missing], together), strict=True):
                replies[i] = reply
        for reply in replies:
            if isinstance(reply, Exception):
                raise self._told(reply)
        if script.wakes:
            self._wakeups.bump()
        return replies

    async def command(self, *args: Any) -> Reply:
        """A plain command."""
        (reply,) = await self._exchange([args], together=False)
        if isinstance(reply, Exception):
            raise self._told(reply)
        return reply

    def _evalsha(self, script: Script, args: Sequence[Any]) -> Call:
        return ("EVALSHA", script.sha, 2, self.prefix, self.name, self.now(), *args)

    async def _exchange(self, commands: Sequence[Call], together: bool) -> list[Reply]:
        """Sends commands and reads a reply each; errors that Redis replies with are among the answers."""
        if self._turns is None:
            raise StoreUnreachable(
                f"{self.address.url}: this store is not open; call `await store.open()` first. Nothing was done"
            )
        if together:
            commands = [("MULTI",), *commands, ("EXEC",)]
        turns = self._turns
        with self.telling():
            async with asyncio.timeout(self._timeout), turns:
                connection = await self._free_connection()
                broken = True
                try:
                    await connection.send_packed_command(connection.pack_commands(commands), check_health=False)
                    replies = [await _read(connection) for _ in commands]
                    broken = any(isinstance(reply, Exception) and drops_connection(reply) for reply in replies)
                finally:
                    if broken or turns is not self._turns:
                        await _end(connection)
                    else:
                        self._idle.append(connection)
        return _outcome(replies) if together else replies

    async def _free_connection(self) -> Any:
        """An idle connection that the server has not closed, or a new one."""
        while self._idle:
            connection = self._idle.pop()
            if await _is_fresh(connection):
                return connection
            await _end(connection)
        return await self.connect()

    async def connect(self) -> Any:
        """A new connection, ready for use."""
        from redis.asyncio.retry import Retry
        from redis.backoff import NoBackoff

        connection = _kinds()[self.address.kind](
            **self.address.options,
            protocol=self._protocol,
            retry=Retry(NoBackoff(), 0),
            socket_timeout=None,
            socket_connect_timeout=self._timeout,
            **({} if self.address.kind == "unix" else {"socket_keepalive": True}),
        )
        try:
            await connection.connect()
        except BaseException:
            await _end(connection)
            raise
        return connection

    @contextmanager
    def telling(self) -> Iterator[None]:
        """Turns what Redis and the network complain about into store errors."""
        try:
            yield
        except DispatchError:
            raise
        except Exception as error:
            raise self._told(error) from error

    def _told(self, error: Exception) -> Exception:
        return store_error(error, self.address.url) or error


def _kinds() -> dict[str, Any]:
    """How connections of each kind are made."""
    try:
        from redis.asyncio.connection import Connection, SSLConnection, UnixDomainSocketConnection
    except ImportError as error:
        raise MissingExtra("a redis:// store needs the package redis: pip install 'dispatch-tasks[redis]'") from error
    return {"tcp": Connection, "tls": SSLConnection, "unix": UnixDomainSocketConnection}


async def _read(connection: Any) -> Reply:
    from redis.exceptions import ResponseError

    try:
        return await connection.read_response(disable_decoding=True)
    except ResponseError as error:
        return error


def _outcome(replies: list[Reply]) -> list[Reply]:
    """The replies of a transaction's commands; where it was refused, its first error for each."""
    *queued, outcome = replies
    if isinstance(outcome, Exception):
        refused = next(reply for reply in replies if isinstance(reply, Exception))
        return [refused] * (len(queued) - 1)
    return list(outcome)


async def _is_fresh(connection: Any) -> bool:
    """Whether the server has neither closed the idle connection nor said anything unasked."""
    try:
        return connection.is_connected and not await connection.can_read_destructive()
    except Exception:
        return False


async def _end(connection: Any) -> None:
    try:
        await connection.disconnect(nowait=True)
    except Exception:  # it is being thrown away because it failed already
        return
