"""What `dispatch top` remembers from look to look: depths for the sparklines, ends for the throughput."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from datetime import datetime
from itertools import pairwise
from typing import TYPE_CHECKING

from dispatch.jobs.model import CountOptions, JobState
from dispatch.services import Status

if TYPE_CHECKING:
    from dispatch_cli.admin import Admin

_WINDOW = 10.0
"""Seconds over which the throughput is averaged."""
_KEPT = 240


@dataclass(frozen=True, slots=True)
class Look:
    """One look at the store."""

    status: Status
    completed: int
    failed: int
    at: datetime
    """The time shown."""
    clock: float
    """Seconds of a clock that never jumps."""


@dataclass
class View:
    """The latest look and what came before it."""

    store: str
    looks: deque[Look] = field(default_factory=lambda: deque(maxlen=_KEPT))
    depths: dict[str, deque[int]] = field(default_factory=dict)
    ends: deque[float] = field(default_factory=lambda: deque(maxlen=_KEPT))
    """Jobs that completed or failed a second, look by look."""
    trouble: str = ""
    """Why the latest look failed; what is shown is older."""

    @property
    def latest(self) -> Look:
        return self.looks[-1]

    def add(self, look: Look) -> None:
        """Takes a look in."""
        self.looks.append(look)
        self.trouble = ""
        known = {info.config.name: info for info in look.status.queues}
        for name in self.depths.keys() - known.keys():
            del self.depths[name]
        for name, info in known.items():
            self.depths.setdefault(name, deque(maxlen=_KEPT)).append(info.pending + info.retrying)
        if len(self.looks) > 1:
            self.ends.append(sum(_rates([self.looks[-2], look])))

    @property
    def rates(self) -> tuple[float, float] | None:
        """Jobs that completed, and that failed for good, a second; None after a single look."""
        recent = [look for look in self.looks if self.latest.clock - look.clock <= _WINDOW]
        recent = recent if len(recent) > 1 else list(self.looks)[-2:]
        return _rates(recent) if len(recent) > 1 else None


async def look(app: Admin, *, at: datetime, clock: float) -> Look:
    """Asks for counts; lists only queues, workers and groups of dead letters."""
    status = await app.status(now=at)
    counts = await app.jobs.count(CountOptions())
    return Look(status, counts[JobState.COMPLETED], counts[JobState.FAILED], at, clock)


def _rates(looks: list[Look]) -> tuple[float, float]:
    """Rises only: what retention or a person removes takes nothing off the throughput."""
    span = max(looks[-1].clock - looks[0].clock, 1e-9)
    completed = sum(max(0, b.completed - a.completed) for a, b in pairwise(looks))
    failed = sum(max(0, b.failed - a.failed) for a, b in pairwise(looks))
    return completed / span, failed / span
