"""Reads the append-only file of a Redis server while it grows: the changes of every script, whole or not at all."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

Command = list[bytes]


class AppendOnlyLog:
    """The commands that the server has written down; what one script or transaction has done comes as one portion."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.read = 0
        """Bytes."""

    def portions(self) -> Iterator[list[Command]]:
        """What has been written since the last call, as far as it is whole."""
        files = list(self._folder.glob("*.incr.aof"))
        if not files:
            return
        (file,) = files  # nobody rewrites it
        with file.open("rb") as opened:
            opened.seek(self.read)
            data = opened.read()
        start, portion = self.read, list[Command]()
        whole = True
        for command, end in _commands(data):
            match command[0].upper():
                case b"MULTI":
                    whole = False
                case b"EXEC":
                    whole = True
                case _:
                    portion.append(command)
            if whole:
                self.read = start + end
                yield portion
                portion = []


def _commands(data: bytes) -> Iterator[tuple[Command, int]]:
    """Each whole command, and where it ends; lines that begin with # are remarks of the server."""
    at = 0
    while at < len(data):
        line = data.find(b"\r\n", at)
        if line < 0:
            return
        if data[at : at + 1] == b"#":
            at = line + 2
            continue
        count, place = int(data[at + 1 : line]), line + 2
        command: Command = []
        while len(command) < count:
            line = data.find(b"\r\n", place)
            if line < 0:
                return
            begin = line + 2
            place = begin + int(data[place + 1 : line]) + 2
            if place > len(data):
                return
            command.append(data[begin : place - 2])
        at = place
        yield command, at
