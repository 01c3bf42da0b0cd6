"""Hears of writes to a file without looking at it again and again: inotify, where the system has it."""

from __future__ import annotations

import os
import select
import sys
from typing import Protocol

_MODIFIED = 0x00000002
_ROOM = 4096


class Watch(Protocol):
    """Waits until somebody has written to a file."""

    def arm(self) -> bool:
        """Watches what bears the name now (doing so again changes nothing); whether that is possible."""
        ...

    def wait(self, seconds: float) -> bool:
        """Whether there was a write since the last call, or is one within that time."""
        ...

    def close(self) -> None:
        """Ends the watch; nothing else may be called any more."""
        ...


class FileWatch:
    """A Watch over all processes of this machine.

    It is a hint: writes through a network file system from elsewhere are not heard.
    """

    def __init__(self, path: str) -> None:
        """Raises OSError where the system cannot watch."""
        if sys.platform != "linux":
            raise OSError("inotify is a part of Linux")
        import ctypes

        self._path = os.fsencode(path)
        self._libc = ctypes.CDLL(None, use_errno=True)
        self._file = self._libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC)
        if self._file < 0:
            raise OSError(ctypes.get_errno(), "inotify_init1")
        self._poll = select.poll()
        self._poll.register(self._file, select.POLLIN)

    def arm(self) -> bool:
        """Watches what bears the name now (doing so again changes nothing); whether that is possible."""
        return bool(self._libc.inotify_add_watch(self._file, self._path, _MODIFIED) >= 0)

    def wait(self, seconds: float) -> bool:
        """Whether there was a write since the last call, or is one within that time."""
        if not self._poll.poll(seconds * 1000):
            return False
        try:
            while len(os.read(self._file, _ROOM)) > _ROOM // 2:
                continue
        except BlockingIOError:
            pass
        return True

    def close(self) -> None:
        """Ends the watch; nothing else may be called any more."""
        os.close(self._file)
