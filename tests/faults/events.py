"""The log that every actor of a run appends to: one JSON line an event, one write a line."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from typing import Any

Event = dict[str, Any]


class EventLog:
    """Appends events; usable from any thread of any process, because an O_APPEND write is one step."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self._file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)

    def add(self, kind: str, **fields: Any) -> None:
        """Appends one event; `at` is the wall clock in microseconds (as the store's), `mono` the monotonic one."""
        event = {"kind": kind, "at": time.time_ns() // 1000, "mono": time.monotonic(), "by": os.getpid(), **fields}
        line = json.dumps(event, default=str).encode() + b"\n"
        written = os.write(self._file, line)
        if written != len(line):
            raise OSError(f"the event log took {written} of {len(line)} bytes")

    def close(self) -> None:
        os.close(self._file)


class Tail:
    """Reads a log that still grows."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._offset = 0
        self.events: list[Event] = []

    def poll(self) -> list[Event]:
        """What has been appended since the last call; it is also kept in `events`."""
        try:
            with self._path.open("rb") as file:
                file.seek(self._offset)
                data = file.read()
        except FileNotFoundError:
            return []
        whole = data[: data.rfind(b"\n") + 1]
        self._offset += len(whole)
        new = [json.loads(line) for line in whole.splitlines()]
        self.events += new
        return new
