"""Connections taken from an AsyncEngine of SQLAlchemy, in place of those that the stores open themselves."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any, NamedTuple, cast

import aiosqlite
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from dispatch.errors import DispatchError, StoreUnreachable
from dispatch.stores.mysql_errors import survives
from dispatch.stores.sqlite_connection import Connection, Occupied

_DEAD = 20
"""Lost connections that one call passes over."""


def twin(engine: AsyncEngine) -> AsyncEngine:
    """Another engine like it, with connections of its own: those of the first belong to one event loop."""
    return create_async_engine(engine.url, pool=engine.sync_engine.pool.recreate())


class HeldConnection(Connection):
    """A connection to a SQLite file that is kept out of the engine's pool while the store is open."""

    def __init__(self, path: str, *, engine: AsyncEngine, **options: Any) -> None:
        super().__init__(path, **options)
        self._engine = engine
        self._held: AsyncConnection | None = None

    def run_here(self, function: Callable[..., Any]) -> Any:
        """The engine's connections belong to their threads."""
        raise Occupied

    async def _connect(self) -> aiosqlite.Connection:
        held = await _taken(self._engine, self._path)
        try:
            raw = cast("aiosqlite.Connection", (await held.get_raw_connection()).driver_connection)
            await raw.execute("SELECT 1")
        except BaseException:
            await _thrown_away(held)
            raise
        self._held = held
        raw.isolation_level = None  # the executor says BEGIN and COMMIT itself
        return raw

    async def _disconnect(self, aio: aiosqlite.Connection) -> None:
        held, self._held = self._held, None
        if held is not None:
            await _thrown_away(held)  # it is set up for the store; whoever came next would be surprised


class Ways(NamedTuple):
    """How a driver's connection is asked and told what a pool needs; the driver itself need not be installed here."""

    is_closed: Callable[[Any], bool]
    is_in_transaction: Callable[[Any], bool]
    terminate: Callable[[Any], None]
    survives: Callable[[Exception], bool]
    """Whether it was the server that said no, so that the connection can be used again."""


ASYNCPG = Ways(
    is_closed=lambda raw: bool(raw.is_closed()),
    is_in_transaction=lambda raw: bool(raw.is_in_transaction()),
    terminate=lambda raw: raw.terminate(),
    survives=lambda error: getattr(error, "sqlstate", None) is not None,
)
ASYNCMY = Ways(
    is_closed=lambda raw: not raw.connected,
    is_in_transaction=lambda raw: bool(raw.get_transaction_status()),
    terminate=lambda raw: raw.close(),
    survives=survives,
)


class EnginePool:
    """Connections to a server, one transaction at a time; one that failed in any way is thrown away."""

    def __init__(self, engine: AsyncEngine, *, shown: str, ways: Ways) -> None:
        self._engine = engine
        self._shown = shown
        self._ways = ways
        self._closed = False
        self._taken: set[Any] = set()
        self._ear: tuple[AsyncEngine, AsyncConnection] | None = None

    @asynccontextmanager
    async def connection(self) -> AsyncIterator[Any]:
        """A connection for one transaction; it goes back unless the block was cut short or left it in a transaction."""
        held, raw = await self._alive()
        self._taken.add(raw)
        fit = False
        try:
            yield raw
            fit = True
        except DispatchError:
            fit = True
            raise
        except Exception as error:
            fit = self._ways.survives(error)
            raise
        finally:
            self._taken.discard(raw)
            if fit and not (self._closed or self._ways.is_closed(raw) or self._ways.is_in_transaction(raw)):
                await held.close()
            else:
                self._ways.terminate(raw)
                await _thrown_away(held)

    async def _alive(self) -> tuple[AsyncConnection, Any]:
        for _ in range(_DEAD):
            if self._closed:
                break
            held = await _taken(self._engine, self._shown)
            raw: Any = (await held.get_raw_connection()).driver_connection
            if not self._ways.is_closed(raw):
                return held, raw
            await _thrown_away(held)
        raise StoreUnreachable(f"{self._shown}: the store is closed, or each of its connections is lost")

    async def listener(self) -> Any:
        """A connection of another engine, for listening: it would keep one of the pool's from everybody else."""
        await self._stop_listening()
        engine = twin(self._engine)
        held = await _taken(engine, self._shown)
        self._ear = (engine, held)
        return (await held.get_raw_connection()).driver_connection

    async def _stop_listening(self) -> None:
        ear, self._ear = self._ear, None
        if ear is not None:
            engine, held = ear
            await _thrown_away(held)
            await engine.dispose()

    def drop_idle(self) -> None:
        """Nothing: the pool is the engine's, and a lost connection is seen when it is taken."""

    async def close(self) -> None:
        """Ends the connections in use; idempotent."""
        self._closed = True
        for raw in list(self._taken):
            self._ways.terminate(raw)
        await self._stop_listening()


async def _taken(engine: AsyncEngine, shown: str) -> AsyncConnection:
    """A connection of the engine's pool; what SQLAlchemy wraps comes out as the driver's own complaint."""
    try:
        return await engine.connect()
    except DBAPIError as error:
        cause = error.orig.__cause__ if error.orig is not None and error.orig.__cause__ is not None else error.orig
        raise cause if cause is not None else error from None
    except PoolTimeout as error:
        raise StoreUnreachable(
            f"{shown}: the engine's pool gave no connection ({error}). Raise its pool_size, or look for code that "
            "keeps connections"
        ) from None


async def _thrown_away(held: AsyncConnection) -> None:
    await held.invalidate()
    await held.close()
