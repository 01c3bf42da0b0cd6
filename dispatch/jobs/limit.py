"""`Limit`: at most so many jobs with the same key run at once, or runs are open, over the whole fleet."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from dispatch.entity import MOST, shown
from dispatch.errors import InvalidArguments
from dispatch.jobs.base import NAME

KeyRule = str | int | UUID | Callable[..., object]


@dataclass(frozen=True, slots=True, kw_only=True)
class Limit:
    """What `@job(concurrency=...)`, `@workflow(concurrency=...)` and `.options(concurrency=...)` take.

    Jobs count while they run; runs of a workflow from their first start to their end, also while they sleep or wait.

    Args:
        max: how many jobs or runs of one key there may be at once, from 1 to a billion. What the latest enqueue of a
            key says counts for all of its jobs, those that wait already too.
        key: a function of the job's arguments, named or placed as they are, or a value; without one all calls of the
            job share one key.
        name: jobs (or workflows) that give the same name share their keys; otherwise each has its own. Tenants never
            share, nor do jobs with workflows.

    Raises:
        InvalidArguments: `max` is no such number, `key` is empty, `name` cannot be a name.

    >>> Limit(key=lambda batch: batch.customer, max=2)  # doctest: +ELLIPSIS
    Limit(max=2, key=<function <lambda> at ...>, name=None)
    """

    max: int
    key: KeyRule | None = None
    name: str | None = None

    def __post_init__(self) -> None:
        if isinstance(self.max, bool) or not isinstance(self.max, int) or not 1 <= self.max <= MOST:
            raise InvalidArguments(f"concurrency: max is {shown(self.max)}; it is a whole number from 1 to {MOST:,}")
        if self.key == "" or not (self.key is None or callable(self.key) or isinstance(self.key, str | int | UUID)):
            raise InvalidArguments(
                f"concurrency: key is {shown(self.key)}; give a function of the arguments, a text, a number, or "
                "leave it out"
            )
        if self.name is not None and not (isinstance(self.name, str) and NAME.fullmatch(self.name)):
            raise InvalidArguments(
                f"concurrency: {shown(self.name)} is no name: 1 to 128 of letters, digits and _ . : -"
            )

    @classmethod
    def of(cls, given: object) -> Limit:
        """A Limit as it is, or one that was announced as a document; InvalidArguments for anything else."""
        if isinstance(given, Limit):
            return given
        if isinstance(given, Mapping) and given.keys() <= {"max", "key", "name"} and "max" in given:
            return cls(**given)
        raise InvalidArguments(
            f"concurrency is {given!r}; give Limit(max=2), or Limit(key=lambda customer: customer, max=2)"
        )

    def document(self) -> dict[str, Any] | None:
        """What can be announced of it: None when its key is a function, which only its module has."""
        if callable(self.key):
            return None
        return {"max": self.max, "key": str(self.key) if isinstance(self.key, UUID) else self.key, "name": self.name}
