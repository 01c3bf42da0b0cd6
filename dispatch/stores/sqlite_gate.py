"""The gate before a SQLite file: one writer at a time over all processes, beats first, nobody starved."""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Callable
from contextlib import suppress
from weakref import WeakSet

from dispatch.errors import StoreBusy

_FIRST_PAUSE = 0.0002
_LONGEST_PAUSE = 0.001
_AWAITED, _ALONE = b"\1", b"\0"


_gates: WeakSet[Gate] = WeakSet()


class Gate:
    """Three lock files beside the database: `.gate` is held while writing, `.gate.turn` while waiting for it, and
    `.gate.beat` is shared by beats that wait, which ordinary writers then let pass.

    The turn makes two busy writers alternate, and the beat file tells every process exactly when somebody needs to go
    first, so no writer has to pause after each transaction just in case. One Gate serves one thread.

    Most writers are alone, and locking three files costs as much as a small insert does: the one byte in `.gate.turn`
    says whether anybody may be waiting, and while nobody is, the gate alone is asked for. (A mapped file would be read
    quicker, and kill all who map it when somebody empties it.)
    Whoever waits sets it at each try, so that it is soon set again if a writer that has just found nobody waiting
    clears it at that moment; a waiter that was killed leaves it set, which costs the next writer the long way, once.
    """

    def __init__(self, path: str, *, timeout: float, first: bool = False) -> None:
        self._path = path
        self._timeout = timeout
        self._first = first
        self._files: list[int] = []
        _gates.add(self)

    def open(self) -> None:
        """Opens (or creates, mode 0600) the lock files; OSError where that is impossible."""
        if self._files:
            return
        files: list[int] = []
        try:
            for suffix in (".gate", ".gate.turn", ".gate.beat"):
                file = os.open(self._path + suffix, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
                files.append(file)
            if not os.fstat(files[1]).st_size:
                os.pwrite(files[1], _ALONE, 0)  # now, since the disk may be full when somebody waits
        except BaseException:
            for file in files:
                os.close(file)
            raise
        self._files = files

    def close(self) -> None:
        """Gives up whatever is held."""
        files, self._files = self._files, []
        for file in files:
            os.close(file)

    def acquire(self, deadline: float | None = None) -> None:
        """Waits for the gate; StoreBusy after the timeout (or at the deadline, in monotonic seconds)."""
        self.open()
        gate, turn, beat = self._files
        if os.pread(turn, 1, 0) != _AWAITED and _try(gate):
            return
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
                self._say(_ALONE)
                return
            self._poll(lambda: _try(turn), until)
            self._poll(lambda: _free(beat) and _try(gate), until)
        finally:
            fcntl.flock(turn, fcntl.LOCK_UN)

    def release(self) -> None:
        """Lets the next one in."""
        if self._files:
            fcntl.flock(self._files[0], fcntl.LOCK_UN)

    def _say(self, what: bytes) -> None:
        with suppress(OSError):  # the file was emptied and the disk is full: who waits may have to wait a little longer
            os.pwrite(self._files[1], what, 0)

    def _poll(self, attempt: Callable[[], bool], until: float) -> None:
        pause = _FIRST_PAUSE
        while not attempt():
            self._say(_AWAITED)
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
