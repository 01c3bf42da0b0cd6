"""Many new jobs that differ in id and payload only, as one sequence that makes a row when somebody looks at it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import fields
from typing import overload

from dispatch.ids import JobID
from dispatch.jobs.model import NewJob

_OF_ONE_JOB = ("id", "name", "payload", "metadata")
_DEFAULTS = {one.name: one.default for one in fields(NewJob) if one.name not in _OF_ONE_JOB}


class AlikeJobs(Sequence[NewJob]):
    """The rows of a large `enqueue_many`: most of who handles them needs the ids, the payloads and one row for all.

    Args:
        pattern: the row that all others are like; its own id and payload do not count.
        ids: the id of each job, in order.
        payloads: its arguments as JSON.
    """

    __slots__ = ("_said", "ids", "pattern", "payloads")

    def __init__(self, pattern: NewJob, ids: Sequence[JobID], payloads: Sequence[bytes]) -> None:
        self.pattern = pattern
        self.ids = ids
        self.payloads = payloads
        self._said = {name: value for name in _DEFAULTS if (value := getattr(pattern, name)) != _DEFAULTS[name]}

    @property
    def longest(self) -> NewJob:
        """The row with the longest payload."""
        sizes = [len(payload) for payload in self.payloads]
        return self[sizes.index(max(sizes))]

    def __len__(self) -> int:
        return len(self.ids)

    @overload
    def __getitem__(self, at: int) -> NewJob: ...

    @overload
    def __getitem__(self, at: slice) -> AlikeJobs: ...

    def __getitem__(self, at: int | slice) -> NewJob | AlikeJobs:
        if isinstance(at, slice):
            return AlikeJobs(self.pattern, self.ids[at], self.payloads[at])
        return self._row(self.ids[at], self.payloads[at])

    def __iter__(self) -> Iterator[NewJob]:
        return map(self._row, self.ids, self.payloads)

    def _row(self, job_id: JobID, payload: bytes) -> NewJob:
        return NewJob(job_id, self.pattern.name, payload, metadata={**self.pattern.metadata}, **self._said)


def patterns(jobs: Sequence[NewJob]) -> Sequence[NewJob]:
    """Rows that show all there is to know of `jobs` but for ids and payloads."""
    # each enqueue comes here, and to ask an abstract class for its instances takes a while
    return (jobs.pattern,) if type(jobs) is AlikeJobs else jobs


def ids_of(jobs: Sequence[NewJob]) -> Sequence[JobID]:
    """The ids of the jobs, in order."""
    return jobs.ids if isinstance(jobs, AlikeJobs) else [job.id for job in jobs]


def payloads_of(jobs: Sequence[NewJob]) -> Sequence[bytes]:
    """The payloads of the jobs, in order."""
    return jobs.payloads if isinstance(jobs, AlikeJobs) else [job.payload for job in jobs]
