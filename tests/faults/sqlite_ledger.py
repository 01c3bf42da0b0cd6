"""The ledger of a SQLite store: triggers in its file."""

from __future__ import annotations

import contextlib
import fcntl
import os
import sqlite3
import time
from collections.abc import Iterator
from pathlib import Path

from .sql_ledger import NOTE_CHANGE, NOTE_DELETION, SQLLedger

_WRITE_DOWN = f"""
CREATE TABLE fault_moves (
  seq INTEGER PRIMARY KEY, job TEXT, old TEXT, new TEXT, old_worker TEXT, worker TEXT, old_epoch INTEGER, epoch INTEGER,
  old_failures INTEGER, failures INTEGER, old_crashes INTEGER, crashes INTEGER, at INTEGER);
CREATE TRIGGER fault_moved AFTER UPDATE ON jobs WHEN OLD.state IS NOT NEW.state OR OLD.epoch IS NOT NEW.epoch BEGIN
  {NOTE_CHANGE}
END;
CREATE TRIGGER fault_deleted AFTER DELETE ON jobs BEGIN
  {NOTE_DELETION}
END;
"""


class SQLiteLedger(SQLLedger):
    """Looks at the file `db`."""

    _TEXT = "CAST({} AS TEXT)"
    namespace = "dispatch"

    def __init__(self, db: Path) -> None:
        self.db = db
        self.url = f"sqlite:///{db}"

    def write_down(self) -> None:
        """Makes the file remember every state change from now on."""
        with contextlib.closing(sqlite3.connect(self.db)) as connection:
            connection.executescript(_WRITE_DOWN)

    def query(self, sql: str, *params: object) -> list[tuple[object, ...]]:
        """One look at the file as it is now."""
        with contextlib.closing(sqlite3.connect(f"{self.db.as_uri()}?mode=ro", uri=True, timeout=10)) as connection:
            return connection.execute(sql, params).fetchall()

    def integrity(self) -> str:
        """What SQLite finds of its file: "ok"."""
        with contextlib.closing(sqlite3.connect(self.db)) as connection:
            return str(connection.execute("PRAGMA integrity_check").fetchone()[0])

    @contextlib.contextmanager
    def outage(self) -> Iterator[None]:
        """Nobody can write inside the block: this process holds SQLite's write lock."""
        connection = sqlite3.connect(self.db, isolation_level=None, timeout=30)
        try:
            connection.execute("BEGIN EXCLUSIVE")
            yield
            connection.execute("ROLLBACK")
        finally:
            connection.close()

    def held_up(self, patience: float = 0.5) -> bool:
        """Whether nobody gets through the gate before the file, in all that time: a stopped process holds it."""
        file = os.open(f"{self.db}.gate", os.O_RDWR | os.O_CREAT, 0o600)
        deadline = time.monotonic() + patience
        try:
            while time.monotonic() < deadline:
                try:
                    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except BlockingIOError:
                    time.sleep(0.0003)
                else:
                    return False
        finally:
            os.close(file)
        return True

    def close(self) -> None:
        """Nothing is kept open."""
