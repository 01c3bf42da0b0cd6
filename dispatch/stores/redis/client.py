"""Runs scripts on the server: a few connections, each call bounded in time, each reply belonging to its call."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING, Any

from dispatch.clock import Clock, micros
from dispatch.errors import DispatchError, StoreUnreachable
from dispatch.ids import WorkerID
from dispatch.stores.redis.address import Address
from dispatch.stores.redis.errors import drops_connection, store_error
from dispatch.stores.redis.scripts import Script, load
from dispatch.stores.redis.wakeups import RedisWakeups
from dispatch.stores.redis.wire import Call, Refusal, Reply, Wire

if TYPE_CHECKING:
    from dispatch.stores.redis.here import HereLinks


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
        self._idle: list[Wire] = []
        self._turns: asyncio.Semaphore | None = None
        self._here: HereLinks | None = None

    @property
    def opened(self) -> bool:
        return self._turns is not None

    async def open(self) -> None:
        """Makes the first connection, so that what is wrong shows at once."""
        self._turns = asyncio.Semaphore(self._connections)
        self._here = _here_links(self.address, self._timeout, self._connections)
        try:
            await self.command("PING")
        except BaseException:
            await self.close()
            raise

    async def close(self) -> None:
        """Ends every connection that is not in use; those end with their calls."""
        self._turns, self.ready = None, False
        idle, self._idle = self._idle, []
        for link in idle:
            link.end()
        here, self._here = self._here, None
        if here is not None:
            here.close()

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
        missing = [i for i, reply in enumerate(replies) if isinstance(reply, Refusal) and reply.code == "NOSCRIPT"]
        if missing:
            # the server has forgotten its scripts (a restart, SCRIPT FLUSH); those calls have done nothing
            await self.command("SCRIPT", "LOAD", script.source)
            for i, reply in zip(missing, await self._exchange([commands[i] for i in missing], together), strict=True):
                replies[i] = reply
        for reply in replies:
            if isinstance(reply, Refusal):
                raise self._told(reply)
        if script.wakes and not script.seldom:
            self._wakeups.bump()
        return replies

    @property
    def serves_here(self) -> bool:
        """Whether `run_here` may be called."""
        return self._here is not None and self.ready

    def run_here(self, name: str, *args: Any) -> Reply:
        """One script, in the calling thread, which waits for the reply."""
        script, here = load(name), self._here
        if here is None:
            raise self._not_open()
        # this client's own listener shall hear of it, too
        call = ("EVALSHA", script.sha, 2, self.prefix, f"{self.name}.here", self.now(), *args)
        try:
            (reply,) = here.exchange([call])
            if isinstance(reply, Refusal) and reply.code == "NOSCRIPT":
                _, reply = here.exchange([("SCRIPT", "LOAD", script.source), call])
        except DispatchError:
            raise
        except Exception as error:
            raise self._told(error) from error
        if isinstance(reply, Refusal):
            raise self._told(reply)
        return reply

    async def command(self, *args: Any) -> Reply:
        """A plain command."""
        (reply,) = await self._exchange([args], together=False)
        if isinstance(reply, Refusal):
            raise self._told(reply)
        return reply

    def _evalsha(self, script: Script, args: Sequence[Any]) -> Call:
        name = f"{self.name}.here" if script.seldom else self.name
        return ("EVALSHA", script.sha, 2, self.prefix, name, self.now(), *args)

    async def _exchange(self, commands: Sequence[Call], together: bool) -> list[Reply]:
        """Sends commands and reads a reply each; errors that Redis replies with are among the answers."""
        if self._turns is None:
            raise self._not_open()
        if together:
            commands = [("MULTI",), *commands, ("EXEC",)]
        turns, loop = self._turns, asyncio.get_running_loop()
        until = loop.time() + self._timeout
        try:
            link = await self._link(turns)
            broken = True
            try:
                replies = await link.exchange(commands, until - loop.time())
                broken = drops_connection(replies)
            finally:
                turns.release()
                if broken or turns is not self._turns:
                    link.end()
                else:
                    self._idle.append(link)
        except DispatchError:
            raise
        except Exception as error:
            raise self._told(error) from error
        return _outcome(replies) if together else replies

    async def _link(self, turns: asyncio.Semaphore) -> Wire:
        """A connection, and the turn to use it."""
        if not turns.locked() and (link := self._idle_link()):
            await turns.acquire()
            return link
        async with asyncio.timeout(self._timeout):
            await turns.acquire()
            try:
                return self._idle_link() or await self.connect()
            except BaseException:
                turns.release()
                raise

    def _idle_link(self) -> Wire | None:
        """A connection that nobody uses and the server has not closed."""
        while self._idle:
            link = self._idle.pop()
            if link.fresh():
                return link
            link.end()
        return None

    async def connect(self) -> Wire:
        """A new connection, ready for use."""
        async with asyncio.timeout(self._timeout):
            return await _connect(self.address, self._protocol, self._timeout)

    def _not_open(self) -> StoreUnreachable:
        return StoreUnreachable(
            f"{self.address.url}: this store is not open; call `await store.open()` first. Nothing was done"
        )

    def _told(self, error: Exception) -> Exception:
        """What Redis and the network complain about, as a store error."""
        return store_error(error, self.address.url) or error


async def _connect(address: Address, protocol: int, limit: float) -> Wire:
    """Made with hiredis where it is installed, else by redis-py; an OSError or a Refusal where it cannot be."""
    try:
        from dispatch.stores.redis import link
    except ImportError:
        from dispatch.stores.redis import driver

        return await driver.connect(address, protocol)
    return await link.connect(address, protocol, limit)


def _here_links(address: Address, timeout: float, keep: int) -> HereLinks | None:
    """Connections for threads; None where hiredis is not installed."""
    try:
        from dispatch.stores.redis.here import HereLinks
    except ImportError:
        return None
    return HereLinks(address, timeout=timeout, keep=keep)


def _outcome(replies: list[Reply]) -> list[Reply]:
    """The replies of a transaction's commands; where it was refused, its first error for each."""
    *queued, outcome = replies
    if isinstance(outcome, Refusal):
        refused = next(reply for reply in replies if isinstance(reply, Refusal))
        return [refused] * (len(queued) - 1)
    return list(outcome)
