"""What the measured jobs leave behind: a few numbers in a mapped file of each worker process, no system call a job."""

from __future__ import annotations

import mmap
import os
import struct
import time
from pathlib import Path
from typing import NamedTuple

FOLDER = "BENCH_MARKS"
_COUNT, _FIRST, _LAST, _WAITS = range(4)
MOST_WAITS = 10_000
_SIZE = 8 * (_WAITS + MOST_WAITS)


class Marks(NamedTuple):
    """Over all worker processes; times are CLOCK_MONOTONIC, in ns."""

    started: int
    first: int
    last: int
    waits: list[float]
    """From enqueue to start, in ms, of the jobs that were enqueued with their time."""


class _Mine:
    def __init__(self) -> None:
        self._pid = 0
        self._view: memoryview[int]
        self._waits = 0

    def note(self, sent: int) -> None:
        """A job begins that was sent at that time (0: nobody asks how long it waited)."""
        now = time.monotonic_ns()
        if self._pid != os.getpid():
            self._open()
        view = self._view
        if not view[_COUNT]:
            view[_FIRST] = now
        view[_LAST] = now
        if sent and self._waits < MOST_WAITS:
            view[_WAITS + self._waits] = now - sent
            self._waits += 1
        view[_COUNT] += 1

    def _open(self) -> None:
        self._pid = os.getpid()
        with (Path(os.environ[FOLDER]) / str(self._pid)).open("w+b") as file:
            file.truncate(_SIZE)
            self._view = memoryview(mmap.mmap(file.fileno(), _SIZE)).cast("q")


note = _Mine().note


def read(folder: Path) -> Marks:
    """What the processes of this folder have done so far."""
    started, first, last = 0, 0, 0
    waits: list[float] = []
    for file in folder.iterdir():
        numbers = struct.unpack(f"{_SIZE // 8}q", file.read_bytes().ljust(_SIZE, b"\0"))
        if numbers[_COUNT]:
            started += numbers[_COUNT]
            first = min(first or numbers[_FIRST], numbers[_FIRST])
            last = max(last, numbers[_LAST])
            waits += [wait / 1e6 for wait in numbers[_WAITS:] if wait]
    return Marks(started, first, last, sorted(waits))
