"""What a fork inherits of open SQLite files: nothing that makes it lose what it writes on connections of its own.

SQLite believes in the fork that it holds the locks of the connections that were open in its parent, which belong to the
parent alone. When that closed the file, the log was deleted under the fork, and with it what the fork had been told to
be stored. So each fork happens while no connection is at work, and with a lock of the open file's description, which
forks do inherit: with it nobody takes the file for one that nobody else has open.
"""

from __future__ import annotations

import fcntl
import os
import struct
import sys
import threading
from pathlib import Path

_PATIENCE = 5.0
"""Seconds that a fork waits for a connection to come to the end of what it does."""
_SHARED = 0x40000002, 510
"""What a connection locks of the file as long as it is open: start and length, from SQLite's file format."""
_MAPPED = 128, 1
"""The same of the -shm file."""

_forking = threading.Lock()
"""Held during a fork: threads that fork at once do not give back what the other has taken."""
_locks: dict[threading.Lock, str] = {}
_held: list[threading.Lock] = []
_kept: set[tuple[int, int]] = set()


def opened(path: str, lock: threading.Lock) -> None:
    """A connection to the file is open, which works only while somebody holds the lock."""
    _locks[lock] = path


def closed(lock: threading.Lock) -> None:
    """The connection is gone."""
    _locks.pop(lock, None)


def _before() -> None:
    _forking.acquire()
    for lock, path in list(_locks.items()):
        if lock.acquire(timeout=_PATIENCE):
            _held.append(lock)
        _keep(path)


def _after() -> None:
    while _held:
        _held.pop().release()
    _forking.release()


def _after_in_child() -> None:
    _after()
    _locks.clear()


def _keep(path: str) -> None:
    """Locks the file for this process and its forks, as long as one of them lives."""
    try:
        found = Path(path).stat()
        if (found.st_dev, found.st_ino) not in _kept:
            _kept.add((found.st_dev, found.st_ino))
            _share(path, *_SHARED)
            _share(path + "-shm", *_MAPPED)
    except OSError:
        return  # no such file any more, or one of a system without such locks


def _share(path: str, start: int, length: int) -> None:
    # never closed: that would drop the locks that SQLite holds on the file in this process
    file = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    fcntl.fcntl(file, fcntl.F_OFD_SETLK, struct.pack("hhqqi4x", fcntl.F_RDLCK, os.SEEK_SET, start, length, 0))


if sys.platform == "linux":
    os.register_at_fork(before=_before, after_in_parent=_after, after_in_child=_after_in_child)
