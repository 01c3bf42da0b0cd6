"""A few connections to PostgreSQL, taken one transaction at a time; one that failed in any way is thrown away."""

from __future__ import annotations

import asyncio
from bisect import insort
from collections.abc import Callable, Coroutine
from typing import Any

import asyncpg

from dispatch.errors import DispatchError, StoreUnreachable
from dispatch.stores.postgres_url import Place
from dispatch.stores.server_executor import Connection

_QUICK_GOODBYE = 1.0
_FROZEN = 4
SESSION = {
    # plans of prepared statements are made once: the walk through the ready index is right for every queue
    "plan_cache_mode": "force_generic_plan",
    "random_page_cost": "1.1",
    # every statement has its index; statistics of a table that was empty then would have it read whole once it is full
    "enable_seqscan": "off",
    "jit": "off",
}


def connector(
    place: Place, *, statement_cache_size: int, pooler: bool, connect_timeout: float, command_timeout: float, name: str
) -> Callable[[], Coroutine[Any, Any, Connection]]:
    """What opens a connection; behind a pooler nothing is asked of the session, which is shared."""
    options: dict[str, Any] = {
        **place.connect_options(),
        "timeout": connect_timeout,
        "statement_cache_size": 0 if pooler else statement_cache_size,
        "max_cached_statement_lifetime": 0,
        "max_cacheable_statement_size": 0,
        "server_settings": {"application_name": name},
    }
    if not pooler:
        limits = {
            "statement_timeout": f"{round(command_timeout * 1000)}ms",
            # a process that stands still between two statements must not make others wait for as long as they may
            "idle_in_transaction_session_timeout": f"{round(command_timeout * 1000 / _FROZEN)}ms",
        }
        options["server_settings"] |= SESSION | limits
    return lambda: asyncpg.connect(**options)


class OwnPool:
    """At most `size` connections; opened when they are first needed."""

    def __init__(self, connect: Callable[[], Coroutine[Any, Any, Connection]], *, size: int, shown: str) -> None:
        self._connect = connect
        self._shown = shown
        self._free = asyncio.Semaphore(size)
        self._idle: list[Connection] = []
        """In a fixed order, so that the work of few stays with few of the server's processes, whose caches are warm."""
        self._taken: set[Connection] = set()
        self._closed = False

    def connection(self) -> _Taking:
        """A connection for one transaction; it is kept unless the block was cut short or left it in a transaction."""
        return _Taking(self)

    async def listener(self) -> Connection:
        """A connection beside the others, for listening."""
        return await self._connect()

    async def take(self) -> Connection:
        """A connection that nobody else has until it is given back."""
        await self._free.acquire()
        try:
            connection = await self._any()
        except BaseException:
            self._free.release()
            raise
        self._taken.add(connection)
        return connection

    def give_back(self, connection: Connection, *, fit: bool) -> None:
        """Keeps the connection for others, or throws it away."""
        self._taken.discard(connection)
        if fit and not (self._closed or connection.is_closed() or connection.is_in_transaction()):
            insort(self._idle, connection, key=_process)
        else:
            connection.terminate()
        self._free.release()

    async def _any(self) -> Connection:
        if self._closed:
            raise StoreUnreachable(f"{self._shown}: the store is closed; open it (`async with`) before use")
        while self._idle:
            connection = self._idle.pop()
            if not connection.is_closed():
                return connection
        return await self._connect()

    def drop_idle(self) -> None:
        """Forgets the connections that nobody uses: where one was lost the others often are too."""
        idle, self._idle = self._idle, []
        for connection in idle:
            connection.terminate()

    async def close(self) -> None:
        """Ends every connection, those in use at once; idempotent."""
        self._closed = True
        for connection in list(self._taken):
            connection.terminate()
        idle, self._idle = self._idle, []
        for connection in idle:
            try:
                await connection.close(timeout=_QUICK_GOODBYE)
            except (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError):
                connection.terminate()


def _process(connection: Connection) -> int:
    number: int = connection.get_server_pid()
    return number


class _Taking:
    """The block that has a connection; a class, since a generator would cost every call as much as its plan does."""

    __slots__ = ("_connection", "_pool")

    def __init__(self, pool: OwnPool) -> None:
        self._pool = pool
        self._connection: Connection = None

    async def __aenter__(self) -> Connection:
        self._connection = await self._pool.take()
        return self._connection

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, _: object) -> None:
        # the plan or the server said no, which the connection survives
        fit = error is None or isinstance(error, DispatchError | asyncpg.PostgresError)
        self._pool.give_back(self._connection, fit=fit)
