"""How many jobs ended, and how long they waited and ran, over time: from a bounded sample of the newest."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from dispatch.entity import LARGEST_PAGE
from dispatch.jobs.model import TERMINAL, Job, JobState, ListOptions
from dispatch.scope import Scope
from dispatch.services.stats import Spread, spread
from dispatch.store import Store

SAMPLE = 3000


@dataclass(frozen=True, slots=True)
class Slice:
    """What ended within one part of the time."""

    at: datetime
    """Its beginning."""
    completed: int
    failed: int
    cancelled: int
    wait: Spread
    """Seconds from due to the start of the last attempt."""
    run: Spread
    """Seconds from that start to the end."""


@dataclass(frozen=True, slots=True)
class Series:
    """The parts of a time, oldest first, and what they rest on."""

    slices: Sequence[Slice]
    step: timedelta
    complete: bool
    """False: there are more jobs than were looked at, so that the older parts may tell too few."""


async def read_series(
    store: Store, *, since: datetime, until: datetime, parts: int, limit: int = SAMPLE, scope: Scope | None = None
) -> Series:
    """Looks at the `limit` newest ended jobs, and sorts those that ended between the two moments into `parts`."""
    options = ListOptions(states=tuple(TERMINAL), scope=scope)
    found, looked, complete = list[Job](), 0, False
    while looked < limit and not complete:
        page = await store.jobs.list(replace(options, limit=min(LARGEST_PAGE, limit - looked)))
        looked += len(page.items)
        found += page.items
        complete = page.next_cursor is None
        options = replace(options, cursor=page.next_cursor)
    return series_of(found, since=since, until=until, parts=parts, complete=complete)


def series_of(jobs: Sequence[Job], *, since: datetime, until: datetime, parts: int, complete: bool) -> Series:
    """The ended ones among these jobs, by when they ended."""
    step = (until - since) / parts
    sorted_in: list[list[Job]] = [[] for _ in range(parts)]
    for job in jobs:
        if job.finished_at is not None and since <= job.finished_at < until:
            sorted_in[min(parts - 1, (job.finished_at - since) // step)].append(job)
    return Series([_slice(since + step * at, mine) for at, mine in enumerate(sorted_in)], step, complete)


def _slice(at: datetime, jobs: Sequence[Job]) -> Slice:
    counts = {state: sum(job.state is state for job in jobs) for state in TERMINAL}
    begun = [(job, job.started_at) for job in jobs if job.started_at is not None]
    return Slice(
        at,
        counts[JobState.COMPLETED],
        counts[JobState.FAILED],
        counts[JobState.CANCELLED],
        wait=spread(max(0.0, (start - job.run_at).total_seconds()) for job, start in begun),
        run=spread((job.finished_at - start).total_seconds() for job, start in begun if job.finished_at),
    )
