"""What the store itself remembers of a run: every state change, kept by triggers, and the rows at the end."""

from __future__ import annotations

import json
import sqlite3
from dataclasses import dataclass, field
from pathlib import Path

_WRITE_DOWN = """
CREATE TABLE fault_moves (
  seq INTEGER PRIMARY KEY, job TEXT, old TEXT, new TEXT, old_worker TEXT, worker TEXT, old_epoch INTEGER, epoch INTEGER,
  old_failures INTEGER, failures INTEGER, old_crashes INTEGER, crashes INTEGER, at INTEGER);
CREATE TRIGGER fault_moved AFTER UPDATE ON jobs WHEN OLD.state IS NOT NEW.state OR OLD.epoch IS NOT NEW.epoch BEGIN
  INSERT INTO fault_moves (job, old, new, old_worker, worker, old_epoch, epoch, old_failures, failures, old_crashes,
    crashes, at)
  VALUES (NEW.id, OLD.state, NEW.state, OLD.worker_id, NEW.worker_id, OLD.epoch, NEW.epoch, OLD.failures, NEW.failures,
    OLD.crashes, NEW.crashes, NEW.updated_at);
END;
CREATE TRIGGER fault_deleted AFTER DELETE ON jobs BEGIN
  INSERT INTO fault_moves (job, old, new, old_worker, old_epoch, epoch, old_failures, failures, old_crashes, crashes,
    at)
  VALUES (OLD.id, OLD.state, 'deleted', OLD.worker_id, OLD.epoch, OLD.epoch, OLD.failures, OLD.failures, OLD.crashes,
    OLD.crashes, OLD.updated_at);
END;
"""
_WAITING = ("pending", "retrying")
TERMINAL = ("completed", "failed", "cancelled")


@dataclass(frozen=True, slots=True)
class Move:
    """One change of a job's state or epoch, written in the transaction that made it."""

    job: str
    old: str
    new: str
    old_worker: str | None
    worker: str | None
    old_epoch: int
    epoch: int
    old_failures: int = 0
    failures: int = 0
    old_crashes: int = 0
    crashes: int = 0
    at: int = 0
    """Microseconds, the store's clock."""

    @property
    def act(self) -> str:
        """Which verb this was: claim, complete, steal, retry, fail, cancel, release, revive, delete."""
        if self.new == "deleted":
            return "delete"
        if self.old in TERMINAL:
            return "revive"
        if self.new == "running":
            return "claim"
        if self.crashes > self.old_crashes:
            return "steal"
        if self.new in _WAITING:
            return "retry" if self.failures > self.old_failures else "release"
        return {"completed": "complete", "failed": "fail"}.get(self.new, "cancel")


@dataclass(frozen=True, slots=True)
class JobRow:
    """A job at the end."""

    id: str
    state: str
    serial: str
    failures: int = 0
    crashes: int = 0
    reason: str | None = None
    replay_of: str | None = None
    payload: str = ""


@dataclass(frozen=True, slots=True)
class LetterRow:
    """A dead letter at the end."""

    id: str
    job: str
    state: str
    reason: str = "worker_lost"
    payload: str = ""


@dataclass(frozen=True, slots=True)
class Dump:
    """All that the file holds once a run is over."""

    jobs: list[JobRow] = field(default_factory=list)
    letters: list[LetterRow] = field(default_factory=list)
    moves: list[Move] = field(default_factory=list)
    integrity: str = "ok"


def write_down(db: Path) -> None:
    """Makes the file remember every state change from now on."""
    connection = sqlite3.connect(db)
    try:
        connection.executescript(_WRITE_DOWN)
    finally:
        connection.close()


def dump(db: Path) -> Dump:
    """Reads everything, past the store's own code."""
    connection = sqlite3.connect(db)
    try:
        jobs = connection.execute(
            "SELECT id, state, failures, crashes, reason, replay_of, CAST(payload AS TEXT) FROM jobs"
        ).fetchall()
        letters = connection.execute("SELECT id, job_id, state, reason, CAST(payload AS TEXT) FROM dlq").fetchall()
        moves = connection.execute(
            "SELECT job, old, new, old_worker, worker, old_epoch, epoch, old_failures, failures, old_crashes, crashes, "
            "at FROM fault_moves ORDER BY seq"
        ).fetchall()
        (integrity,) = connection.execute("PRAGMA integrity_check").fetchone()
    finally:
        connection.close()
    return Dump(
        [
            JobRow(id_, state, str(json.loads(payload)["serial"]), failures, crashes, reason, replay_of, payload)
            for id_, state, failures, crashes, reason, replay_of, payload in jobs
        ],
        [LetterRow(*letter) for letter in letters],
        [Move(*move) for move in moves],
        integrity,
    )


def query(db: Path, sql: str, *params: object) -> list[tuple[object, ...]]:
    """One look at the file as it is now."""
    connection = sqlite3.connect(f"{db.as_uri()}?mode=ro", uri=True, timeout=10)
    try:
        return connection.execute(sql, params).fetchall()
    finally:
        connection.close()
