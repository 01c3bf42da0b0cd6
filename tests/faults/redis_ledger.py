"""The ledger of a Redis store: what the server's own append-only file says, and what can be done to the server."""

from __future__ import annotations

import contextlib
import json
import signal
import time
from collections.abc import Callable, Iterator
from typing import Any

import redis
from servers.redis import RedisServer

from .history import Dump, JobRow, LetterRow, Move
from .redis_log import AppendOnlyLog, Command

Row = dict[str, bytes]

ALWAYS = ("--appendonly", "yes", "--appendfsync", "always", "--auto-aof-rewrite-percentage", "0")
"""How a server is started that loses nothing it has answered, and whose log holds everything from the beginning."""
_STATES = {
    "P": "pending",
    "R": "running",
    "T": "retrying",
    "C": "completed",
    "F": "failed",
    "X": "cancelled",
}
_LETTERS = {"O": "open", "P": "replayed", "D": "discarded", "R": "retried"}
_OPEN = frozenset({"P", "R", "T"})
_TOLD = ("st", "w", "e", "f", "x")
"""The fields whose change is a move."""
_PATIENCE = 30.0


class RedisLedger:
    """Looks at one namespace of a server that belongs to the run and was started with ALWAYS."""

    def __init__(self, server: RedisServer, *, audit: Callable[[str, str], None], namespace: str = "faults") -> None:
        self.server = server
        self.namespace = namespace
        self.url = server.url
        self._audit = audit
        self._log = AppendOnlyLog(server.folder / "appendonlydir")
        self._prefix = f"{{{namespace}}}:".encode()
        self._rows: dict[bytes, Row] = {}
        self._moves: list[Move] = []
        self._unfinished: set[bytes] = set()

    def write_down(self) -> None:
        """The server does so by itself."""
        self._read()
        assert self._log.read, "the server was not started with ALWAYS"

    def unfinished(self) -> int:
        """How many jobs have not reached a terminal state."""
        self._read()
        return len(self._unfinished)

    def robbed(self, worker: str) -> set[str]:
        """Jobs that were stolen from a worker."""
        self._read()
        return {move.job for move in self._moves if move.old_worker == worker and move.crashes > move.old_crashes}

    def dump(self) -> Dump:
        """Reads everything; the moves are those of the log, the rows those of the server."""
        self._read()
        rows = self._stored(b"j:")
        jobs = [_job_row(key, row) for key, row in rows.items()]
        letters = [_letter_row(key, row) for key, row in self._stored(b"x:").items()]
        return Dump(jobs, letters, self._moves, self._integrity(rows))

    def held_up(self) -> bool:
        """No process keeps the others from writing by standing still."""
        return False

    @contextlib.contextmanager
    def outage(self) -> Iterator[None]:
        """The server is away inside the block; it is killed."""
        self.server.stop(signal.SIGKILL)
        yield
        self.server.start()

    @contextlib.contextmanager
    def full(self) -> Iterator[None]:
        """The server has no memory left inside the block."""
        self._called("CONFIG", "SET", "maxmemory", "1mb")
        yield
        self._called("CONFIG", "SET", "maxmemory", "0")

    def cut_connections(self) -> int:
        """Ends the connections of all actors; answers how many."""
        return int(self._called("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes"))

    def close(self) -> None:
        """Nothing is kept open."""

    def _called(self, *command: str) -> Any:
        """A command; again where the server is away."""
        deadline = time.monotonic() + _PATIENCE
        while True:
            client = self.server.admin
            try:
                return client.execute_command(*command)
            except redis.ConnectionError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.05)
            finally:
                client.close()

    def _read(self) -> None:
        for portion in self._log.portions():
            self._follow(portion)

    def _follow(self, portion: list[Command]) -> None:
        """Does to our rows what a script has done to the server's, and notes which have moved."""
        before: dict[bytes, Row] = {}
        for command in portion:
            name, key = command[0].upper(), command[1] if len(command) > 1 else b""
            keys = command[1:] if name in (b"DEL", b"UNLINK") else [key]
            for one in keys:
                place = one.removeprefix(self._prefix)
                if place[:2] != b"j:" or one == place:
                    continue
                row = self._rows.setdefault(place[2:], {})
                before.setdefault(place[2:], dict(row))
                _apply(name, command[2:], row)
        for job, old in before.items():
            row = self._rows[job]
            self._note(job, old, row)
            if not row:
                del self._rows[job]

    def _note(self, job: bytes, old: Row, row: Row) -> None:
        if row.get("st", b"").decode() in _OPEN:
            self._unfinished.add(job)
        else:
            self._unfinished.discard(job)
        if not old or (old["st"], old.get("e")) == (row.get("st"), row.get("e")):
            return
        self._moves.append(
            Move(
                job.decode(),
                _STATES[old["st"].decode()],
                _STATES[row["st"].decode()] if row else "deleted",
                _text(old, "w"),
                _text(row, "w"),
                _number(old, "e"),
                _number(row or old, "e"),
                _number(old, "f"),
                _number(row or old, "f"),
                _number(old, "x"),
                _number(row or old, "x"),
                _number(row or old, "u"),
            )
        )

    def _stored(self, family: bytes) -> dict[bytes, Row]:
        """The server's rows of a family, by id."""
        client: Any = self.server.admin
        with contextlib.closing(client), client.pipeline(transaction=False) as asking:
            keys = sorted(client.scan_iter(match=self._prefix + family + b"*", count=1000))
            for key in keys:
                asking.hgetall(key)
            rows = asking.execute()
        ids = (key.removeprefix(self._prefix + family) for key in keys)
        return {id_: {name.decode(): value for name, value in row.items()} for id_, row in zip(ids, rows, strict=True)}

    def _integrity(self, rows: dict[bytes, Row]) -> str:
        """Whether the rows are what the log makes of them, and every index what the rows say: "ok"."""
        for key, stored in rows.items():
            followed = self._rows.get(key, {})
            if {name: stored.get(name) for name in _TOLD} != {name: followed.get(name) for name in _TOLD}:
                return f"{key.decode()} is {stored}, and the log makes it {followed}"
        try:
            self._audit(self.url, self.namespace)
        except AssertionError as error:
            return str(error)
        return "ok"


def _apply(name: bytes, arguments: list[bytes], row: Row) -> None:
    if name in (b"HSET", b"HMSET"):
        row.update((arguments[at].decode(), arguments[at + 1]) for at in range(0, len(arguments), 2))
    elif name == b"HSETNX":
        row.setdefault(arguments[0].decode(), arguments[1])
    elif name == b"HDEL":
        for field in arguments:
            row.pop(field.decode(), None)
    elif name in (b"DEL", b"UNLINK"):
        row.clear()
    else:
        raise AssertionError(f"{name!r} changes a job's row, and the ledger does not know how")


def _text(row: Row, field: str) -> str | None:
    return row[field].decode() if field in row else None


def _number(row: Row, field: str) -> int:
    return int(row.get(field, b"0"))


def _job_row(key: bytes, row: Row) -> JobRow:
    payload = row["p"].decode()
    return JobRow(
        key.decode(),
        _STATES[row["st"].decode()],
        str(json.loads(payload)["serial"]),
        _number(row, "f"),
        _number(row, "x"),
        _text(row, "rs"),
        _text(row, "rp"),
        payload,
    )


def _letter_row(key: bytes, row: Row) -> LetterRow:
    state, reason = _LETTERS[row["st"].decode()], row["rs"].decode()
    return LetterRow(key.decode(), row["j"].decode(), state, reason, row["p"].decode())
