"""Would new code serve what an old version has enqueued? Looks at every waiting and running job of a store."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from dispatch.errors import InvalidArguments
from dispatch.ids import JobID
from dispatch.jobs.definition import JobDefinition
from dispatch.jobs.model import CountOptions, Job, JobState, ListOptions
from dispatch.store import Store

_STATES = (JobState.PENDING, JobState.RETRYING, JobState.RUNNING)
_PAGE = 100
"""Payloads may be large."""
_SAMPLES = 3


class Problem(StrEnum):
    """What would become of a job under the new code."""

    REMOVED = "removed"
    """Its name is not defined any more: nobody would run it."""
    INVALID = "invalid"
    """Its arguments do not fit the definition any more: it would become a dead letter."""
    UNSERVED = "unserved"
    """Its queue is none that the new code's workers serve unless they are told to."""


@dataclass(slots=True)
class Concern:
    """Jobs of one name that share a problem."""

    problem: Problem
    name: str
    queue: str
    text: str
    """Of the first job met: what is wrong."""
    waiting: int = 0
    running: int = 0
    sample: list[JobID] = field(default_factory=list)

    @property
    def danger(self) -> bool:
        """Whether it ends a deploy; a queue that nobody serves by default may be served by others."""
        return self.problem is not Problem.UNSERVED


async def check_jobs(
    store: Store,
    definitions: Mapping[str, JobDefinition[..., Any]],
    *,
    queues: Collection[str],
    elsewhere: Collection[str] = (),
    tick: Callable[[int], None],
) -> tuple[int, list[Concern]]:
    """Reads the jobs page by page; answers how many there were, and the concerns, dangers first.

    Args:
        definitions: what the new code defines, by name.
        queues: what its workers serve unless told otherwise.
        elsewhere: names that other applications on the same store serve.
        tick: told how many more jobs were looked at.
    """
    concerns: dict[tuple[Problem, str, str], Concern] = {}
    seen = 0
    cursor: str | None = None
    while True:
        page = await store.jobs.list(ListOptions(states=_STATES, limit=_PAGE, cursor=cursor))
        for job in page.items:
            if job.name not in elsewhere:
                for problem, text in _problems(job, definitions.get(job.name), queues):
                    _count(concerns, problem, text, job)
        seen += len(page.items)
        tick(len(page.items))
        cursor = page.next_cursor
        if cursor is None:
            return seen, sorted(concerns.values(), key=lambda c: (not c.danger, c.problem, c.name, c.queue))


async def count_jobs(store: Store) -> int:
    """How many jobs `check_jobs` would look at."""
    counts = await store.jobs.count(CountOptions())
    return sum(counts[state] for state in _STATES)


def _problems(
    job: Job, definition: JobDefinition[..., Any] | None, queues: Collection[str]
) -> list[tuple[Problem, str]]:
    """What is wrong with one job."""
    if definition is None:
        return [(Problem.REMOVED, f"no job {job.name!r} is defined any more")]
    found = []
    try:
        definition.signature.load(job.payload)
    except InvalidArguments as error:
        found.append((Problem.INVALID, str(error)))
    if job.queue not in queues:
        found.append((Problem.UNSERVED, f"queue {job.queue!r} is served by no definition and no setting"))
    return found


def _count(concerns: dict[tuple[Problem, str, str], Concern], problem: Problem, text: str, job: Job) -> None:
    key = (problem, job.name, job.queue if problem is Problem.UNSERVED else "")
    concern = concerns.get(key)
    if concern is None:
        concern = concerns[key] = Concern(problem, job.name, job.queue, text)
    if job.state is JobState.RUNNING:
        concern.running += 1
    else:
        concern.waiting += 1
    if len(concern.sample) < _SAMPLES:
        concern.sample.append(job.id)
