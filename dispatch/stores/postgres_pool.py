"""A few connections to PostgreSQL, taken one transaction at a time; one that failed in any way is thrown away."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
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
        self._taken: set[Connection] = set()
        self._closed = False

    @asynccontextmanager
    async def connection(self) -> AsyncIterator[Connection]:
        """A connection for one transaction; it is kept unless the block was cut short or left it in a transaction."""
        async with self._free:
            connection = await self._take()
            self._taken.add(connection)
            fit = False
            try:
                yield connection
                fit = True
            except (DispatchError, asyncpg.PostgresError):
                fit = True  # the plan or the server said no, which the connection survives
                raise
            finally:
                self._taken.discard(connection)
                if fit and not (self._closed or connection.is_closed() or connection.is_in_transaction()):
                    self._idle.append(connection)
                else:
                    connection.terminate()

    async def listener(self) -> Connection:
        """A connection beside the others, for listening."""
        return await self._connect()

    async def _take(self) -> Connection:
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
