"""Connections and sessions as users have them, each with a table of the user's own, for jobs inside a transaction."""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from importlib import import_module
from typing import Any
from urllib.parse import urlsplit

TABLE = "CREATE TABLE IF NOT EXISTS orders (id INTEGER)"
INSERT = "INSERT INTO orders VALUES (1)"
COUNT = "SELECT count(*) FROM orders"

SYNC = ("sqlite3", "django-sqlite", "session-sqlite", "connection-sqlite")
ASYNC = ("aiosqlite", "async-session-sqlite")
SYNC_PG = ("psycopg", "django-postgres", "session-psycopg", "connection-psycopg")
ASYNC_PG = ("asyncpg", "asyncpg-pool", "psycopg-async", "async-session-asyncpg", "async-connection-psycopg")


class Undo(Exception):
    """Ends a transaction without a commit."""


@contextmanager
def transaction(kind: str, place: str) -> Iterator[Any]:
    """A transaction of synchronous code at `place` (a file or a URL) with an order in it; Undo rolls it back."""
    connection: Any
    if kind == "sqlite3":
        connection = sqlite3.connect(place)
        connection.row_factory = sqlite3.Row
        try:
            with connection:
                connection.execute(TABLE)
                connection.execute(INSERT)
                yield connection
        finally:
            connection.close()
    elif kind == "psycopg":
        import psycopg
        from psycopg.rows import dict_row

        with psycopg.connect(place, row_factory=dict_row) as connection:
            connection.execute(INSERT)
            yield connection
    elif kind.startswith("django"):
        with _django(place) as connection, import_module("django.db").transaction.atomic():
            with connection.cursor() as cursor:
                cursor.execute(INSERT)
            yield connection
    else:
        from sqlalchemy import create_engine
        from sqlalchemy.orm import Session

        engine = create_engine(_sqlalchemy_url(kind, place))
        try:
            if kind.startswith("session"):
                with Session(engine) as session, session.begin():
                    session.connection().exec_driver_sql(INSERT)
                    yield session
            else:
                with engine.begin() as connection:
                    connection.exec_driver_sql(INSERT)
                    yield connection
        finally:
            engine.dispose()


@asynccontextmanager
async def async_transaction(kind: str, place: str) -> AsyncIterator[Any]:
    """The same on an event loop."""
    connection: Any
    if kind == "aiosqlite":
        import aiosqlite

        async with aiosqlite.connect(place) as connection:
            await connection.execute(INSERT)
            yield connection
            await connection.commit()
    elif kind == "asyncpg":
        import json

        import asyncpg

        connection = await asyncpg.connect(place)
        await connection.set_type_codec("json", schema="pg_catalog", encoder=json.dumps, decoder=json.loads)
        try:
            async with connection.transaction():
                await connection.execute(INSERT)
                yield connection
        finally:
            await connection.close()
    elif kind == "asyncpg-pool":
        import asyncpg

        async with (
            asyncpg.create_pool(place, min_size=1, max_size=1) as pool,
            pool.acquire() as connection,
            connection.transaction(),
        ):
            await connection.execute(INSERT)
            yield connection
    elif kind == "psycopg-async":
        import psycopg

        async with await psycopg.AsyncConnection.connect(place) as connection:
            await connection.execute(INSERT)
            yield connection
    else:
        from sqlalchemy.ext.asyncio import AsyncSession, create_async_engine

        engine = create_async_engine(_sqlalchemy_url(kind, place))
        try:
            if kind.startswith("async-session"):
                async with AsyncSession(engine) as session, session.begin():
                    await (await session.connection()).exec_driver_sql(INSERT)
                    yield session
            else:
                async with engine.begin() as connection:
                    yield connection
                    await connection.exec_driver_sql(INSERT)
        finally:
            await engine.dispose()


def _sqlalchemy_url(kind: str, place: str) -> str:
    if kind.endswith("sqlite"):
        return f"sqlite{'+aiosqlite' if kind.startswith('async') else ''}:///{place}"
    driver = "asyncpg" if kind.endswith("asyncpg") else "psycopg"
    return place.replace("postgresql://", f"postgresql+{driver}://")


@contextmanager
def _django(place: str) -> Iterator[Any]:
    """Django's own `connection`, to that place."""
    # by name: it has no types
    django, settings, connections = (
        import_module("django"),
        import_module("django.conf").settings,
        import_module("django.db").connections,
    )

    if not settings.configured:
        settings.configure(DATABASES={"default": {}}, USE_TZ=True)
        django.setup()
    if place.startswith("postgresql"):
        parts = urlsplit(place)
        chosen: dict[str, Any] = {
            "ENGINE": "django.db.backends.postgresql",
            "NAME": parts.path[1:],
            "USER": parts.username,
            "HOST": parts.hostname,
            "PORT": parts.port,
        }
    else:
        chosen = {"ENGINE": "django.db.backends.sqlite3", "NAME": place}
    connections.close_all()
    del connections.settings  # the cached property, read anew below
    settings.DATABASES = {"default": chosen}
    connections._settings = settings.DATABASES
    if hasattr(connections._connections, "default"):
        delattr(connections._connections, "default")
    try:
        yield import_module("django.db").connection
    finally:
        connections.close_all()


def prepare(place: str) -> None:
    """Makes the user's table."""
    if place.startswith("postgresql"):
        import psycopg

        with psycopg.connect(place, autocommit=True) as server:
            server.execute("DROP TABLE IF EXISTS orders")
            server.execute("CREATE TABLE orders (id INTEGER)")
        return
    with sqlite3.connect(place) as file:
        file.execute(TABLE)
    file.close()


def orders(place: str) -> int:
    """How many orders were committed."""
    if place.startswith("postgresql"):
        import psycopg

        with psycopg.connect(place) as server:
            row = server.execute(COUNT).fetchone()
            return 0 if row is None else int(row[0])
    with sqlite3.connect(place) as file:
        count = int(file.execute(COUNT).fetchone()[0])
    file.close()
    return count
