"""Would new code serve what an old version has enqueued? Looks at every waiting and running job of a store; the runs
are looked at by the engine, which can replay them."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from dispatch.errors import InvalidArguments
from dispatch.ids import JobID, RunID
from dispatch.jobs.definition import JobDefinition
from dispatch.jobs.model import CountOptions, Job, JobState, ListOptions
from dispatch.store import Store

_STATES = (JobState.PENDING, JobState.RETRYING, JobState.RUNNING)
_PAGE = 100
"""Payloads may be large."""
_SAMPLES = 3


class Problem(StrEnum):
    """What would become of a job or a workflow run under the new code."""

    REMOVED = "removed"
    """Its name, or the run's version, is not defined any more: nobody would run it."""
    INVALID = "invalid"
    """Its arguments do not fit the definition any more: it would become a dead letter."""
    UNSERVED = "unserved"
    """Its queue is none that the new code's workers serve unless they are told to."""
    BLOCKED = "blocked"
    """What the run has recorded does not fit the code: it would be set aside until code comes that fits."""
    RENAMED = "renamed"
    """A step that the run has done has another name now: it would be done again."""
    INSERTED = "inserted"
    """A step was added in the part that the run has behind it: it would act late."""
    DROPPED = "dropped"
    """A step that the run has done is gone: its record is left over, and an undo of it would not run."""
    FAILS = "fails"
    """The body raises before it comes to anything new."""


@dataclass(slots=True)
class Concern:
    """Jobs of one name, or runs of one workflow and version, that share a problem."""

    problem: Problem
    name: str
    """The job's; of runs `name@version`."""
    queue: str
    text: str
    """Of the first one met: what is wrong."""
    step: str = ""
    """Of runs: the step that it is about, if it is about one."""
    known: bool = False
    """The runs are blocked already, by older code: no reason to keep this code back."""
    waiting: int = 0
    running: int = 0
    sample: list[JobID | RunID] = field(default_factory=list)

    @property
    def danger(self) -> bool:
        """Whether it ends a deploy; a queue that nobody serves by default may be served by others, and a step that is
        gone was done."""
        return not self.known and self.problem not in (Problem.UNSERVED, Problem.DROPPED)

    def count(self, which: JobID | RunID, *, running: bool) -> None:
        """One more that has it."""
        if running:
            self.running += 1
        else:
            self.waiting += 1
        if len(self.sample) < _SAMPLES:
            self.sample.append(which)


def by_weight(concerns: Iterable[Concern]) -> list[Concern]:
    """Dangers first."""
    return sorted(concerns, key=lambda c: (not c.danger, c.problem, c.name, c.step, c.queue))


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
            return seen, by_weight(concerns.values())


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
    concern.count(job.id, running=job.state is JobState.RUNNING)
