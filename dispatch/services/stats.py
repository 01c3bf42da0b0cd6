"""How long jobs waited and ran, by name, from a bounded sample of those that ended."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from dispatch.entity import LARGEST_PAGE
from dispatch.jobs.model import TERMINAL, Job, JobState, ListOptions
from dispatch.scope import Scope
from dispatch.store import Store

SAMPLE = 5000
_SHORTEST_SPAN = 1.0


@dataclass(frozen=True, slots=True)
class Spread:
    """Seconds that half, 95 % and 99 % of the jobs stayed below; None without any."""

    p50: float | None = None
    p95: float | None = None
    p99: float | None = None


@dataclass(frozen=True, slots=True)
class NameStats:
    """What the sample says of the jobs of one name."""

    name: str
    completed: int
    failed: int
    cancelled: int
    failure_rate: float | None
    """Failed of those that completed or failed, 0…1."""
    per_minute: float | None
    """How many ended a minute over the time that the whole sample spans; None for a span below a second."""
    wait: Spread
    """From due to the start of the last attempt."""
    run: Spread
    """From that start to the end."""

    @property
    def count(self) -> int:
        return self.completed + self.failed + self.cancelled


@dataclass(frozen=True, slots=True)
class JobStats:
    """Names by how many of their jobs were sampled, and what the sample was."""

    names: Sequence[NameStats]
    sampled: int
    complete: bool
    """False: there are older ones, which were not looked at."""
    oldest_at: datetime | None
    newest_at: datetime | None
    """The first and the last end in the sample."""


async def read_stats(
    store: Store,
    *,
    names: Sequence[str] = (),
    since: datetime | None = None,
    limit: int = SAMPLE,
    scope: Scope | None = None,
) -> JobStats:
    """Looks at the `limit` newest ended jobs, of these names or of all, and counts those that ended after `since`."""
    options = ListOptions(states=tuple(TERMINAL), names=names, scope=scope)
    looked, found = 0, list[Job]()
    while looked < limit:
        page = await store.jobs.list(replace(options, limit=min(LARGEST_PAGE, limit - looked)))
        looked += len(page.items)
        found += [job for job in page.items if job.finished_at and (since is None or job.finished_at >= since)]
        if page.next_cursor is None:
            return stats_of(found, complete=True)
        options = replace(options, cursor=page.next_cursor)
    return stats_of(found, complete=False)


def stats_of(jobs: Sequence[Job], *, complete: bool) -> JobStats:
    """The statistics of these ended jobs."""
    ends = [job.finished_at for job in jobs if job.finished_at is not None]
    oldest, newest = min(ends, default=None), max(ends, default=None)
    span = (newest - oldest).total_seconds() if oldest and newest else 0.0
    by_name: dict[str, list[Job]] = {}
    for job in jobs:
        by_name.setdefault(job.name, []).append(job)
    rows = [_of_name(name, mine, span) for name, mine in by_name.items()]
    return JobStats(sorted(rows, key=lambda row: (-row.count, row.name)), len(jobs), complete, oldest, newest)


def spread(values: Iterable[float]) -> Spread:
    """The percentiles by nearest rank: each is one of the values."""
    ordered = sorted(values)
    if not ordered:
        return Spread()
    return Spread(*(ordered[max(0, math.ceil(part * len(ordered)) - 1)] for part in (0.5, 0.95, 0.99)))


def _of_name(name: str, jobs: Sequence[Job], span: float) -> NameStats:
    counts = {state: sum(job.state is state for job in jobs) for state in TERMINAL}
    ended = counts[JobState.COMPLETED] + counts[JobState.FAILED]
    started = [(job, job.started_at) for job in jobs if job.started_at is not None]
    return NameStats(
        name=name,
        completed=counts[JobState.COMPLETED],
        failed=counts[JobState.FAILED],
        cancelled=counts[JobState.CANCELLED],
        failure_rate=counts[JobState.FAILED] / ended if ended else None,
        per_minute=len(jobs) / span * 60 if span >= _SHORTEST_SPAN else None,
        wait=spread(max(0.0, (start - job.run_at).total_seconds()) for job, start in started),
        run=spread((job.finished_at - start).total_seconds() for job, start in started if job.finished_at),
    )
