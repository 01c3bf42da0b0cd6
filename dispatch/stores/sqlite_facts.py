"""What there is to know about a SQLite store from outside: the library, the file, the disk."""

from __future__ import annotations

import shutil
import sqlite3
import stat
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote


@dataclass(frozen=True, slots=True)
class FileFacts:
    """A store's file as it lies on the disk."""

    journal_mode: str
    """"wal" as it should be; what SQLite complains about when it cannot read the file."""
    mode: int
    """Its permission bits."""
    size: int
    free: int
    """Bytes free on its disk."""


def file_facts(path: Path) -> FileFacts:
    """Looks at a file that is there."""
    try:
        with closing(sqlite3.connect(f"file:{quote(str(path.resolve()))}?mode=ro", uri=True)) as connection:
            journal_mode = str(connection.execute("PRAGMA journal_mode").fetchone()[0])
    except sqlite3.Error as error:
        journal_mode = f"unreadable: {error}"
    about = path.stat()
    return FileFacts(journal_mode, stat.S_IMODE(about.st_mode), about.st_size, shutil.disk_usage(path.parent).free)


def may_lose_a_reset(version: str) -> bool:
    """Whether this SQLite has the rare race between a writer and a checkpoint that resets the write-ahead log.

    >>> [may_lose_a_reset(version) for version in ("3.40.1", "3.44.6", "3.50.6", "3.50.7", "3.51.2", "3.51.3")]
    [True, False, True, False, True, False]
    """
    number = tuple(int(part) for part in version.split(".")[:3])
    mended = (3, 44, 6) <= number < (3, 45) or (3, 50, 7) <= number < (3, 51) or number >= (3, 51, 3)
    return number >= (3, 7) and not mended
