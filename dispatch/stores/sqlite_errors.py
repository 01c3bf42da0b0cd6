"""Maps what SQLite complains about to the store errors, each saying what happened to which file and what to do next."""

from __future__ import annotations

import errno
import sqlite3

from dispatch.errors import (
    DataRejected,
    StoreBusy,
    StoreCorrupt,
    StoreError,
    StoreFull,
    StoreReadOnly,
    StoreUnreachable,
)

_DATA = (sqlite3.DataError, sqlite3.IntegrityError, sqlite3.InterfaceError, OverflowError, UnicodeError, TypeError)

_NO_ROOM = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_BUSY = {"SQLITE_BUSY", "SQLITE_LOCKED"}
_CORRUPT = {"SQLITE_CORRUPT", "SQLITE_NOTADB", "SQLITE_FORMAT"}


def _primary(error: BaseException) -> str:
    """The primary result code, such as SQLITE_BUSY of SQLITE_BUSY_SNAPSHOT."""
    return "_".join((getattr(error, "sqlite_errorname", None) or "").split("_")[:2])


def is_busy(error: BaseException) -> bool:
    """Whether another connection's lock was in the way."""
    return isinstance(error, sqlite3.OperationalError) and _primary(error) in _BUSY


def no_room(path: str, why: str) -> StoreFull:
    """The error of a disk that is full."""
    return StoreFull(f"{path}: no room left ({why}); nothing was written. Free space on its disk")


def store_error(error: BaseException, path: str) -> StoreError | None:
    """The store error that stands for `error`; None when it is none of SQLite's and none of the data's."""
    code = _primary(error)
    if code in _BUSY:
        return StoreBusy(
            f"{path}: another connection kept the database locked for too long; nothing was written. "
            "Look for a long transaction in another program, or raise busy_timeout"
        )
    if code == "SQLITE_READONLY" or isinstance(error, PermissionError):
        return StoreReadOnly(
            f"{path}: the file cannot be written ({error}); nothing was written. "
            "Check owner and mode of the file and its directory"
        )
    if code == "SQLITE_FULL" or (isinstance(error, OSError) and error.errno in _NO_ROOM):
        return no_room(path, str(error))
    if code in _CORRUPT:
        return StoreCorrupt(
            f"{path}: not a readable SQLite database ({error}). Restore a backup, or move the file away to start empty"
        )
    if code == "SQLITE_CANTOPEN":
        return StoreUnreachable(f"{path}: cannot be opened ({error}). Check that path, directory and mode are right")
    if code == "SQLITE_IOERR":
        return StoreUnreachable(
            f"{path}: the disk failed ({error}). Look whether there is room on it and within the quota, whether files "
            "may grow (`ulimit -f`), and at the system log"
        )
    if isinstance(error, _DATA) or code in {"SQLITE_TOOBIG", "SQLITE_CONSTRAINT", "SQLITE_MISMATCH"}:
        return DataRejected(
            f"{path}: a value cannot be stored ({type(error).__name__}: {error}); nothing of that write was stored"
        )
    if isinstance(error, sqlite3.ProgrammingError) and "binding" in str(error).lower():
        return DataRejected(f"{path}: a value cannot be stored ({error}); nothing of that write was stored")
    if isinstance(error, sqlite3.OperationalError) and "decode to UTF-8" in str(error):
        return StoreCorrupt(f"{path}: a text column holds bytes that are no text ({error}); find and repair that row")
    if isinstance(error, sqlite3.Error | OSError):
        return StoreUnreachable(f"{path}: SQLite could not do it ({type(error).__name__}: {error})")
    return None
