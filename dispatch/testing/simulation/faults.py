"""What goes wrong in one world: how often, when, and what has gone wrong so far; all of it follows from the seed."""

from __future__ import annotations

import random
from dataclasses import dataclass

_CRASHES = 3
_TURNS = 80.0
"""Turns of a node at work between crashes, on average."""
_STALLED = 0.25
"""The share of worlds in which a node stands still for longer than a lease."""
_LOST = 0.03
_REPEATED = 0.03
_SLOW = 0.05
_QUICK_SECONDS = 0.005
_SLOW_SECONDS = 2.0


@dataclass(slots=True)
class Faults:
    """What happened in a world."""

    crashes: int = 0
    """Nodes lost, with all that they were at."""
    stalls: int = 0
    """Nodes that stood still for longer than their lease, and went on."""
    lost_requests: int = 0
    lost_replies: int = 0
    """Acts that the store did and the node did not hear of."""
    repeated: int = 0
    """Requests that reached the store twice."""

    def __add__(self, other: Faults) -> Faults:
        return Faults(
            self.crashes + other.crashes,
            self.stalls + other.stalls,
            self.lost_requests + other.lost_requests,
            self.lost_replies + other.lost_replies,
            self.repeated + other.repeated,
        )

    def __str__(self) -> str:
        return (
            f"{self.crashes} crashes, {self.stalls} stalls, {self.lost_requests} requests and {self.lost_replies} "
            f"replies lost, {self.repeated} repeated"
        )


class Fate:
    """Decides, one question after the other."""

    def __init__(self, seed: int) -> None:
        self._rng = random.Random(seed)
        self.seen = Faults()
        self._crashes = [self._rng.expovariate(1 / _TURNS) for _ in range(self._rng.randint(0, _CRASHES))]
        self._stall = self._rng.expovariate(1 / _TURNS) if self._rng.random() < _STALLED else None

    def order(self, things: list[object]) -> None:
        """Puts what is ready into the order in which it runs."""
        if len(things) > 1:
            self._rng.shuffle(things)

    def crash(self) -> bool:
        """Whether a node at work dies in this turn."""
        if not self._crashes:
            return False
        self._crashes[-1] -= 1
        if self._crashes[-1] > 0:
            return False
        self._crashes.pop()
        self.seen.crashes += 1
        return True

    def stall(self, lease: float) -> float | None:
        """How many seconds a node at work stands still from this turn on, if it does."""
        if self._stall is None:
            return None
        self._stall -= 1
        if self._stall > 0:
            return None
        self._stall = None
        self.seen.stalls += 1
        return lease * (1 + self._rng.random())

    def which(self, number: int) -> int:
        """One of so many."""
        return self._rng.randrange(number)

    def absence(self) -> float:
        """Seconds until a node that died is there again."""
        return 0.1 + 20.0 * self._rng.random()

    def delay(self) -> float:
        """Seconds that a message takes."""
        longest = _SLOW_SECONDS if self._rng.random() < _SLOW else _QUICK_SECONDS
        return longest * self._rng.random()

    def loses_request(self) -> bool:
        """Whether a request never arrives."""
        lost = self._rng.random() < _LOST
        self.seen.lost_requests += lost
        return lost

    def loses_reply(self) -> bool:
        """Whether the answer never arrives."""
        lost = self._rng.random() < _LOST
        self.seen.lost_replies += lost
        return lost

    def repeats(self) -> bool:
        """Whether a request arrives twice."""
        twice = self._rng.random() < _REPEATED
        self.seen.repeated += twice
        return twice
