"""One aiosqlite connection whose thread runs whole functions: a hop for each transaction, not for each statement."""

from __future__ import annotations

import asyncio
import os
import sqlite3
import threading
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, TypeVar, cast

import aiosqlite

from dispatch.errors import StoreUnreachable
from dispatch.stores import sqlite_forks

T = TypeVar("T")

CHECKPOINT_PAGES = 1000


class Occupied(Exception):
    """Others are before the caller, or nothing is open: the caller has to queue up on the connection's thread."""


class Connection:
    """Opens itself when it is first used, and again after it was thrown away. One function at a time runs on it."""

    def __init__(self, path: str, *, readonly: bool, busy_timeout: float, checkpoints: bool, synchronous: str) -> None:
        self._path = path
        self._readonly = readonly
        self._busy_timeout = busy_timeout
        self._checkpoints = checkpoints
        self._synchronous = synchronous
        self._aio: aiosqlite.Connection | None = None
        self._alone = threading.Lock()
        self._queued = 0
        """Functions on their way to the connection's thread, or on it."""

    async def run(self, function: Callable[[sqlite3.Connection], T]) -> T:
        """Runs the function on the connection's thread. Cancelled or not, the function runs to its end there."""
        if self._aio is None:
            raise StoreUnreachable(f"{self._path}: the store is closed; open it (`async with`) before use")
        self._queued += 1
        try:
            return await on_thread(self._aio, partial(self._run_alone, function))
        finally:
            self._queued -= 1

    def run_here(self, function: Callable[[sqlite3.Connection], T]) -> T:
        """Runs the function in the calling thread, which spares two changes of thread; Occupied where it must not.

        It does not overtake what is queued: a caller in a tight loop would starve the connection's own thread.
        """
        if self._queued or self._alone.locked():
            raise Occupied
        with self._alone:
            if self._aio is None:
                raise Occupied
            return function(self._aio._conn)

    def _run_alone(self, function: Callable[[sqlite3.Connection], T], raw: sqlite3.Connection) -> T:
        with self._alone:
            return function(raw)

    async def open(self) -> None:
        """Connects and sets the connection up; what SQLite complains about is raised as it is."""
        if self._aio is not None:
            return
        aio = await self._connect()
        try:
            await on_thread(aio, self._set_up)
        except BaseException:
            await self._disconnect(aio)
            raise
        self._aio = aio
        sqlite_forks.opened(self._path, self._alone)

    async def _connect(self) -> aiosqlite.Connection:
        aio = aiosqlite.connect(
            self._path,
            isolation_level=None,
            cached_statements=256,
            timeout=self._busy_timeout,
            check_same_thread=False,  # `_alone` keeps `run_here` and the connection's thread apart
        )
        # A program that forgets to close its store may still end: SQLite survives the loss of this thread.
        aio._thread.daemon = True
        try:
            return await aio
        except BaseException:
            # It has been told to stop; waited for, it does not answer to an event loop that is closed by then.
            if aio._thread.is_alive():
                await asyncio.to_thread(aio._thread.join)
            raise

    async def _disconnect(self, aio: aiosqlite.Connection) -> None:
        await aio.close()

    async def close(self) -> None:
        """Disconnects; idempotent."""
        aio, self._aio = self._aio, None
        if aio is not None:
            await on_thread(aio, partial(self._run_alone, lambda _: None))  # whoever is in `run_here` gets to its end
            await self._disconnect(aio)
            sqlite_forks.closed(self._alone)

    def _set_up(self, connection: sqlite3.Connection) -> None:
        for pragma in (
            f"busy_timeout = {round(self._busy_timeout * 1000)}",
            f"synchronous = {self._synchronous}",
            "temp_store = MEMORY",
            "cache_size = -32768",
            # SQLite's own checkpoint after a commit is PASSIVE and, on the one writer, happens under the gate: that is
            # where we want it, and only SQLite knows the log's length without a system call. Beats never pay for it.
            f"wal_autocheckpoint = {CHECKPOINT_PAGES if self._checkpoints else 0}",
            f"query_only = {int(self._readonly)}",
        ):
            connection.execute(f"PRAGMA {pragma}").fetchall()


async def on_thread(aio: aiosqlite.Connection, function: Callable[[sqlite3.Connection], T]) -> T:
    """The one place that leans on aiosqlite's insides: run any function on the connection's own thread."""
    execute = cast(Any, aio)._execute
    return cast(T, await execute(partial(function, aio._conn)))


def create_file(path: str) -> None:
    """Makes an empty file with mode 0600 where there is none; a missing directory is an error, not made."""
    folder = Path(path).parent
    if not folder.is_dir():
        raise StoreUnreachable(f"{path}: the directory {folder} does not exist; create it, or name another path")
    if Path(path).is_dir():
        raise StoreUnreachable(f"{path} is a directory; name a file in it")
    try:
        # Only a file that we made is opened and closed here: closing any descriptor of a database drops the locks that
        # SQLite holds on it in this process.
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR | os.O_CLOEXEC, 0o600))
    except FileExistsError:
        return
