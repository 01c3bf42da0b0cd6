"""What the ledgers of SQL stores share: the table of moves and how it is read."""

from __future__ import annotations

import json
from abc import ABC, abstractmethod

from .history import Dump, JobRow, LetterRow, Move

COLUMNS = "job, old, new, old_worker, worker, old_epoch, epoch, old_failures, failures, old_crashes, crashes, at"
_CHANGED = (
    "NEW.id, OLD.state, NEW.state, OLD.worker_id, NEW.worker_id, OLD.epoch, NEW.epoch, OLD.failures, NEW.failures, "
    "OLD.crashes, NEW.crashes, NEW.updated_at"
)
_DELETED = (
    "OLD.id, OLD.state, 'deleted', OLD.worker_id, NULL, OLD.epoch, OLD.epoch, OLD.failures, OLD.failures, "
    "OLD.crashes, OLD.crashes, OLD.updated_at"
)
NOTE_CHANGE = f"INSERT INTO fault_moves ({COLUMNS}) VALUES ({_CHANGED});"
NOTE_DELETION = f"INSERT INTO fault_moves ({COLUMNS}) VALUES ({_DELETED});"


class SQLLedger(ABC):
    """A ledger whose store can be asked with SQL."""

    _TEXT: str
    """How bytes are read as text."""

    @abstractmethod
    def query(self, sql: str, *params: object) -> list[tuple[object, ...]]:
        """One look at the tables, with ? for parameters."""

    @abstractmethod
    def integrity(self) -> str:
        """What the database finds of its own state: "ok"."""

    def unfinished(self) -> int:
        """How many jobs have not reached a terminal state."""
        (row,) = self.query("SELECT count(*) FROM jobs WHERE state IN ('pending', 'running', 'retrying')")
        return int(str(row[0]))

    def robbed(self, worker: str) -> set[str]:
        """Jobs that were stolen from a worker."""
        rows = self.query("SELECT job FROM fault_moves WHERE old_worker = ? AND crashes > old_crashes", worker)
        return {str(job) for (job,) in rows}

    def dump(self) -> Dump:
        """Reads everything, past the store's own code."""
        payload = self._TEXT.format("payload")
        jobs = self.query(f"SELECT id, state, failures, crashes, reason, replay_of, {payload} FROM jobs")
        letters = self.query(f"SELECT id, job_id, state, reason, {payload} FROM dlq")
        moves = self.query(f"SELECT {COLUMNS} FROM fault_moves ORDER BY seq")
        return Dump(
            [_job_row(*row) for row in jobs],
            [LetterRow(*letter) for letter in letters],  # type: ignore[arg-type]
            [Move(*move) for move in moves],  # type: ignore[arg-type]
            self.integrity(),
        )


def _job_row(id_: str, state: str, failures: int, crashes: int, reason: str, replay_of: str, payload: str) -> JobRow:
    return JobRow(id_, state, str(json.loads(payload)["serial"]), failures, crashes, reason, replay_of, payload)
