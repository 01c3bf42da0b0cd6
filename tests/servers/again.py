"""Places where a store has made its tables already: emptied or copied in a few milliseconds instead of made anew.

What a test does with such a place is its own: by the time another test gets it, it holds what a new store holds.
"""

from __future__ import annotations

import asyncio
import atexit
import shutil
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from pathlib import Path
from typing import Any

import psycopg
from psycopg import sql

from dispatch.stores.scripts import migration_scripts
from dispatch.stores.sqlite import SQLiteStore
from servers.postgres import new_namespace, postgres_url

_PATIENCE = 5.0
_lent: list[str] = []
_free: list[str] = []


def lent_namespace() -> str:
    """A schema on the server of this process that is empty or not there yet, for the rest of the test."""
    while _free:
        namespace = _free.pop()
        if _schemas().empty(namespace):
            break
    else:
        namespace = new_namespace()
    _lent.append(namespace)
    return namespace


def give_back() -> None:
    """Says that the test is over and its stores are closed."""
    _free.extend(_lent)
    _lent.clear()


def made_file(file: Path) -> Path:
    """Puts the file of a new SQLite store there."""
    shutil.copy(_template(), file)
    return file


class Schemas:
    """A connection that empties schemas, and one schema that shows what is in a new one."""

    def __init__(self, url: str) -> None:
        self._connection = psycopg.connect(url, autocommit=True)
        self._new = new_namespace()
        for script in migration_scripts(url, self._new).values():
            self._connection.execute(script.encode())
        names = "SELECT relname FROM pg_class WHERE relnamespace = %s::regnamespace AND relkind = %s ORDER BY 1"
        self._tables, self._sequences = (
            [name for (name,) in self._connection.execute(names, (self._new, kind))] for kind in ("r", "S")
        )
        rows = sql.SQL("SELECT EXISTS (SELECT FROM {})")
        self._filled = [name for name in self._tables if self._one(rows.format(sql.Identifier(self._new, name)))]

    def empty(self, namespace: str) -> bool:
        """Whether the schema is now like a new one: not when a session still works there, or its tables are others."""
        try:
            with self._connection.transaction():
                self._connection.execute(f"SET LOCAL lock_timeout = {round(_PATIENCE * 1000)}")
                self._connection.execute(self._statements(namespace).as_bytes(self._connection))
                return self._is_left(namespace)
        except psycopg.Error:
            return False

    def close(self) -> None:
        """Disconnects."""
        self._connection.close()

    def _statements(self, namespace: str) -> sql.Composed:
        """Everything in one round trip; the lock keeps out who would write beside it."""
        tables = [sql.Identifier(namespace, name) for name in self._tables]
        filled = [(sql.Identifier(namespace, name), sql.Identifier(self._new, name)) for name in self._filled]
        sequences = [sql.Literal(f"{namespace}.{name}") for name in self._sequences]
        return sql.SQL("; ").join(
            [
                sql.SQL("LOCK TABLE {}").format(sql.SQL(", ").join(tables)),
                *(sql.SQL("DELETE FROM {}").format(there) for there in tables),
                *(sql.SQL("INSERT INTO {} SELECT * FROM {}").format(there, new) for there, new in filled),
                *(sql.SQL("SELECT setval({}, 1, false)").format(name) for name in sequences),
            ]
        )

    def _is_left(self, namespace: str) -> bool:
        """Whether no store has a session there, once those that are ending have ended."""
        sessions = "SELECT count(*) FROM pg_stat_activity WHERE application_name = %s"
        deadline = time.monotonic() + _PATIENCE
        while self._one(sessions, f"dispatch {namespace}"):
            if time.monotonic() > deadline:
                return False
            time.sleep(0.005)
            self._connection.execute("SELECT pg_stat_clear_snapshot()")
        return True

    def _one(self, question: sql.Composed | str, *values: object) -> Any:
        found = self._connection.execute(question, values).fetchone()
        assert found is not None
        return found[0]


@cache
def _schemas() -> Schemas:
    made = Schemas(postgres_url())
    atexit.register(made.close)
    return made


@cache
def _template() -> Path:
    folder = Path(tempfile.mkdtemp(prefix="dsq"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    file = folder / "store.db"

    async def make() -> None:
        store = SQLiteStore(file)
        await store.open()
        await store.close()

    with ThreadPoolExecutor(1) as beside:  # the caller may be in a loop
        beside.submit(asyncio.run, make()).result()
    return file
