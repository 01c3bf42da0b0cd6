"""Where claims of one process left off, for as long as what is dead before that place cannot be removed."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from typing import NamedTuple

from dispatch.clock import boot_seconds, micros
from dispatch.jobs.model import Job

_HEAVY = 2_000
"""Entries of the ready index that a claim may meet beyond a few for each job that it takes."""
_FEW = 4
_SHORTEST, _LONGEST = 0.05, 1.0
_SHARE = 10


class Place(NamedTuple):
    """The last job that was taken from a queue, in claim order."""

    lane: str
    priority: int
    run_at: int
    id: str


class Watermark:
    """Says from where to claim; None: from the beginning, which is where rows of a higher priority or an earlier time
    are found.

    A claim that meets far more entries than it takes jobs goes through what a transaction that is open somewhere keeps
    from being removed. The next ones then begin where it ended, until ten times its own duration has passed, so that
    looking from the beginning takes a tenth of the time, but one second at most.
    """

    def __init__(self, *, clock: Callable[[], float] = boot_seconds) -> None:
        self._clock = clock
        self._places: dict[str, Place] = {}
        self._until = float("-inf")
        self.turn = 0
        """Rises with each `forget`: what a claim met that began before is not to be noted."""

    def places(self, queues: Collection[str]) -> dict[str, Place]:
        """Where to go on in these queues; empty: claim from the beginning."""
        if not self._places or self._clock() >= self._until:
            return {}
        return {queue: self._places[queue] for queue in queues if queue in self._places}

    def looked(self, jobs: Iterable[Job], *, met: int, limit: int, took: float) -> None:
        """Notes a claim from the beginning: what it took of how many entries, in how many seconds."""
        if met > _HEAVY + _FEW * limit:
            self._places.clear()
            self.went_on(jobs)
            self._until = self._clock() + min(_LONGEST, max(_SHORTEST, _SHARE * took))

    def went_on(self, jobs: Iterable[Job]) -> None:
        """Notes what was taken last, in claim order."""
        for job in jobs:
            self._places[job.queue] = Place(job.lane, job.priority, micros(job.run_at), str(job.id))

    def forget(self) -> None:
        """The next claim begins at the beginning: something may stand there now, or a place had nothing more."""
        self.turn += 1
        self._until = float("-inf")
