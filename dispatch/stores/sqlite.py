"""The SQLite store: a file, shared by any number of processes on one machine."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from dispatch.clock import Clock, SystemClock
from dispatch.errors import ConfigError
from dispatch.store import SchemaStatus
from dispatch.stores import sqlite_schema
from dispatch.stores.sql.parts import SQLParts, part
from dispatch.stores.sqlite_connection import Connection
from dispatch.stores.sqlite_errors import no_room
from dispatch.stores.sqlite_executor import SQLiteExecutor
from dispatch.stores.sqlite_jobs import SQLiteJobs
from dispatch.stores.sqlite_wakeups import SQLiteWakeups

if TYPE_CHECKING:
    from dispatch.stores.sqlite_stream import SQLiteStream

_MIGRATE = ("auto", "empty", "never")
_SYNCHRONOUS = ("NORMAL", "FULL", "EXTRA")
_NEEDED = 1_000_000
"""Bytes free on the disk below which a commit is not to be counted on."""


class SQLiteStore(SQLParts[SQLiteExecutor]):
    """A store in the file at `path`.

    Args:
        path: the file; created with mode 0600 if it is missing, its directory is not.
        clock: what the store takes for now.
        migrate: "auto" creates and migrates on open; "empty" creates but refuses an older schema; "never" leaves both
            to `migrate()`.
        synchronous: "FULL" (an acknowledged write survives a power failure), "EXTRA", or "NORMAL" (survives a crash of
            the process, not of the machine).
        busy_timeout: seconds to wait for other writers before StoreBusy.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        clock: Clock | None = None,
        migrate: str = "auto",
        synchronous: str = "FULL",
        busy_timeout: float = 5.0,
        _beats: bool = False,
        _connection: Callable[..., Connection] = Connection,
    ) -> None:
        if migrate not in _MIGRATE:
            raise ConfigError(f"migrate = {migrate!r}: a SQLite store takes {', '.join(map(repr, _MIGRATE))}")
        if synchronous.upper() not in _SYNCHRONOUS:
            raise ConfigError(f"synchronous = {synchronous!r}: choose one of {', '.join(_SYNCHRONOUS)}")
        self._path = os.fspath(path)
        self._clock = clock or SystemClock()
        self._migrate = migrate
        self._synchronous = synchronous.upper()
        self._busy_timeout = busy_timeout
        self._opened = False
        real = str(Path(self._path).resolve())
        self.wakeups = SQLiteWakeups(real)
        super().__init__(
            SQLiteExecutor(
                real,
                clock=self._clock,
                synchronous=self._synchronous,
                busy_timeout=busy_timeout,
                beats=_beats,
                wakeups=self.wakeups,
                connection=_connection,
            )
        )
        self.jobs = SQLiteJobs(self._executor)

    @part
    def stream(self) -> SQLiteStream:
        from dispatch.stores.sqlite_stream import SQLiteStream

        return SQLiteStream(self._executor)

    @property
    def url(self) -> str:
        """Where the data is."""
        return f"sqlite:///{self._path}"

    async def open(self) -> None:
        """Connects; creates or migrates the file unless `migrate` is "never"."""
        if self._opened:
            return
        await self._executor.open()
        try:
            found = await self._executor.schema()
            sqlite_schema.refuse_newer(found, self._path)
            if found.pending and (self._migrate == "auto" or (self._migrate == "empty" and not found.current)):
                await self._executor.migrate()
            elif self._migrate == "empty":
                sqlite_schema.refuse_older(found, self._path)
            self.wakeups.open()
        except BaseException:
            await self._executor.close()
            raise
        self._opened = True

    async def close(self) -> None:
        """Disconnects; idempotent."""
        self._opened = False
        self.wakeups.close()
        await self._executor.close()

    async def ping(self) -> None:
        """Answers when the file can be read; raises a StoreError otherwise."""
        await self._executor.schema()

    async def check_writes(self) -> None:
        """StoreFull when its disk has no room left for a write."""
        free = shutil.disk_usage(Path(self._executor.path).parent).free
        if free < _NEEDED:
            raise no_room(self._path, f"{free:,} bytes free")

    async def migrate(self) -> list[str]:
        """Applies what is pending; answers the names applied."""
        return await self._executor.migrate()

    async def schema(self) -> SchemaStatus:
        """The state of the schema."""
        return await self._executor.schema()

    def sibling(self) -> SQLiteStore:
        """A second, unopened store on the same file, whose writes go before those of its siblings."""
        return SQLiteStore(
            self._executor.path,  # not the path as given: the working directory may be another by now
            clock=self._clock,
            migrate="never",
            synchronous=self._synchronous,
            busy_timeout=self._busy_timeout,
            _beats=True,
        )


def library_version() -> str:
    """The version of the SQLite library that this Python uses."""
    return sqlite_schema.LIBRARY
