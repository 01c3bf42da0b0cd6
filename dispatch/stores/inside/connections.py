"""Which driver a connection belongs to, found without importing any, and the raw connection inside of what wraps it."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from typing import Any, Literal, NamedTuple

from dispatch.errors import NotTransactional

Driver = Literal["sqlite3", "aiosqlite", "asyncpg", "psycopg", "psycopg async", "asyncmy"]
Hook = Callable[[Callable[[], None]], None]
"""Has a function called once the caller's transaction is over."""

_SQLALCHEMY_ASYNC = {
    "sqlalchemy.ext.asyncio.session.AsyncSession",
    "sqlalchemy.ext.asyncio.scoping.async_scoped_session",
    "sqlalchemy.ext.asyncio.engine.AsyncConnection",
}
_RAW: dict[str, Driver] = {
    "aiosqlite.core.Connection": "aiosqlite",
    "asyncpg.connection.Connection": "asyncpg",
    "asyncpg.pool.PoolConnectionProxy": "asyncpg",
    "psycopg.Connection": "psycopg",
    "psycopg.AsyncConnection": "psycopg async",
    "asyncmy.connection.Connection": "asyncmy",
}
_TAKEN = (
    "asyncpg, psycopg (3), asyncmy, sqlite3 and aiosqlite connections, Django's `connection`, and SQLAlchemy's "
    "Session, Connection, AsyncSession and AsyncConnection over those drivers"
)


class Inside(NamedTuple):
    """A raw connection."""

    driver: Driver
    connection: Any
    hook: Hook | None
    """None: whoever waits for the job has to look by itself."""

    @property
    def blocking(self) -> bool:
        """Whether it is used from the caller's own thread, without an event loop."""
        return self.driver in ("sqlite3", "psycopg")


async def inside(connection: object) -> Inside:
    """The raw connection in anything that may be given as `connection`. Raises NotTransactional."""
    kinds = _kinds(connection)
    if not kinds & _SQLALCHEMY_ASYNC:
        return inside_here(connection)
    found: Any = connection
    hook = None
    if "sqlalchemy.ext.asyncio.scoping.async_scoped_session" in kinds:
        found = found()
    if "sqlalchemy.ext.asyncio.engine.AsyncConnection" not in kinds:
        hook = _session_hook(found.sync_session)
        found = await found.connection()
    await found.exec_driver_sql("SELECT 1")  # begins the transaction, which the raw connection does not by itself
    raw = (await found.get_raw_connection()).driver_connection
    return Inside(_driver(raw, connection), raw, hook)


def inside_here(connection: object) -> Inside:
    """As `inside`, for whoever runs no event loop; what needs one is refused."""
    kinds = _kinds(connection)
    if kinds & _SQLALCHEMY_ASYNC:
        raise NotTransactional(_for_loops(connection))
    found: Any = connection
    if "django.utils.connection.ConnectionProxy" in kinds:
        found = found._connections[found._alias]
        kinds = _kinds(found)
    if "django.db.backends.base.base.BaseDatabaseWrapper" in kinds:
        found.ensure_connection()
        return Inside(_driver(found.connection, connection), found.connection, found.on_commit)
    hook = None
    if "sqlalchemy.orm.scoping.scoped_session" in kinds:
        found = found()
        kinds = _kinds(found)
    if "sqlalchemy.orm.session.Session" in kinds:
        hook = _session_hook(found)
        found = found.connection()
        kinds = _kinds(found)
    if "sqlalchemy.engine.base.Connection" in kinds:
        found.exec_driver_sql("SELECT 1")
        raw = found.connection.driver_connection
        return Inside(_driver(raw, connection), raw, hook)
    return Inside(_driver(found, connection), found, None)


def refuse_async(found: Inside, connection: object) -> None:
    """NotTransactional for a raw connection that only an event loop can use."""
    if not found.blocking:
        raise NotTransactional(_for_loops(connection))


def _kinds(connection: object) -> set[str]:
    """The full names of its class and of those it derives from."""
    return {f"{kind.__module__}.{kind.__qualname__}" for kind in type(connection).__mro__}


def _driver(raw: object, given: object) -> Driver:
    if isinstance(raw, sqlite3.Connection):
        return "sqlite3"
    for name in _kinds(raw):
        if name in _RAW:
            return _RAW[name]
    shown = f"a {type(given).__module__}.{type(given).__qualname__}"
    if raw is not given:
        shown += f" over a {type(raw).__module__}.{type(raw).__qualname__}"
    raise NotTransactional(f"connection is {shown}; what can be given is: {_TAKEN}")


def _for_loops(connection: object) -> str:
    return (
        f"connection is a {type(connection).__qualname__}, which belongs to an event loop: "
        "use `await ….options(connection=…).enqueue(…)` there, without .sync"
    )


def _session_hook(session: Any) -> Hook:
    """Told at the end of the session's outermost transaction, once however many jobs it brought."""
    from sqlalchemy import event

    key = "dispatch: told at the end"

    def ended(_: Any, transaction: Any) -> None:
        if transaction.parent is None:
            waiting: set[Callable[[], None]] = session.info[key]
            session.info[key] = set()
            for tell in waiting:
                tell()

    def hook(tell: Callable[[], None]) -> None:
        if key not in session.info:
            session.info[key] = set()
            event.listen(session, "after_transaction_end", ended)
        session.info[key].add(tell)

    return hook
