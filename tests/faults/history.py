"""What the store itself remembers of a run, whatever store it is: every state change, and the rows at the end."""

from __future__ import annotations

from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Protocol

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


class Ledger(Protocol):
    """A store seen past its own code: it writes every state change down and shows what is there."""

    url: str
    """Where the actors find the store."""
    namespace: str

    def write_down(self) -> None:
        """Makes the store remember every state change from now on."""

    def dump(self) -> Dump:
        """Reads everything."""

    def unfinished(self) -> int:
        """How many jobs have not reached a terminal state."""

    def robbed(self, worker: str) -> set[str]:
        """Jobs that were stolen from a worker."""

    def held_up(self) -> bool:
        """Whether a process that stands still keeps all others from writing."""

    def outage(self) -> AbstractContextManager[None]:
        """Nobody can write inside the block."""

    def close(self) -> None:
        """Lets go of the store."""
