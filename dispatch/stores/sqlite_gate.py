"""The gate before a SQLite file: one writer at a time over all processes, beats first, nobody starved."""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Callable
from weakref import WeakSet

from dispatch.errors import StoreBusy

_FIRST_PAUSE = 0.0002
_LONGEST_PAUSE = 0.001


_gates: WeakSet[Gate] = WeakSet()


class Gate:
    """Three lock files beside the database: `.gate` is held while writing, `.gate.turn` while waiting for it, and
    `.gate.beat` is shared by beats that wait, which ordinary writers then let pass.

    The turn makes two busy writers alternate, and the beat file tells every process exactly when somebody needs to go
    first, so no writer has to pause after each transaction just in case. One Gate serves one thread.
    """

    def __init__(self, path: str, *, timeout: float, first: bool = False) -> None:
        self._path = path
        self._timeout = timeout
        self._first = first
        self._files: list[int] = []
        _gates.add(self)

    def open(self) -> None:
        """Opens (or creates, mode 0600) the lock files; OSError where that is impossible."""
        if not self._files:
            for suffix in (".gate", ".gate.turn", ".gate.beat"):
                self._files.append(os.open(self._path + suffix, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))

    def close(self) -> None:
        """Gives up whatever is held."""
        files, self._files = self._files, []
        for file in files:
            os.close(file)

    def acquire(self, deadline: float | None = None) -> None:
        """Waits for the gate; StoreBusy after the timeout (or at the deadline, in monotonic seconds)."""
        self.open()
        gate, turn, beat = self._files
        until = time.monotonic() + self._timeout if deadline is None else deadline
        if self._first:
            try:
                self._poll(lambda: _try(beat, fcntl.LOCK_SH), until)
                self._poll(lambda: _try(gate), until)
            finally:
                fcntl.flock(beat, fcntl.LOCK_UN)
            return
        # Everything that was taken is given back even where a signal interrupts the calling thread between two lines:
        # giving back what was not taken does no harm.
        try:
            if _try(turn) and _free(beat) and _try(gate):
                return
            self._poll(lambda: _try(turn), until)
            self._poll(lambda: _free(beat) and _try(gate), until)
        finally:
            fcntl.flock(turn, fcntl.LOCK_UN)

    def release(self) -> None:
        """Lets the next one in."""
        if self._files:
            fcntl.flock(self._files[0], fcntl.LOCK_UN)

    def _poll(self, attempt: Callable[[], bool], until: float) -> None:
        pause = _FIRST_PAUSE
        while not attempt():
            if time.monotonic() >= until:
                raise StoreBusy(
                    f"{self._path}: other processes held the write gate for {self._timeout:g} s; nothing was written. "
                    f"Look for a stopped process (`fuser {self._path}.gate`), or raise busy_timeout"
                )
            time.sleep(pause)
            pause = min(pause * 1.5, _LONGEST_PAUSE)


def _try(file: int, kind: int = fcntl.LOCK_EX) -> bool:
    try:
        fcntl.flock(file, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _free(file: int) -> bool:
    """Whether nobody shares the file's lock at this moment."""
    if not _try(file):
        return False
    fcntl.flock(file, fcntl.LOCK_UN)
    return True


def _leave_all() -> None:
    """A forked process shares the locks of its parent: if it outlived a parent killed in the gate, it would keep it."""
    for gate in list(_gates):
        gate.close()


os.register_at_fork(after_in_child=_leave_all)
