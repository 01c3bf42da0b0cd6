"""A plan: a generator that yields statements by name, is sent their answers, and returns what the verb answers."""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping, Sequence
from typing import Any, NamedTuple, Protocol, TypeVar

T = TypeVar("T")


class Do(NamedTuple):
    """One statement that writes; answers how many rows it changed."""

    name: str
    params: Mapping[str, Any]


class Rows(NamedTuple):
    """One query; answers its rows as tuples."""

    name: str
    params: Mapping[str, Any]


class Each(NamedTuple):
    """One statement for each row of parameters; answers how many rows each of them changed."""

    name: str
    columns: tuple[str, ...]
    rows: Sequence[tuple[Any, ...]]


class Many(NamedTuple):
    """As Each where nobody needs to know which row changed what; answers the sum."""

    name: str
    columns: tuple[str, ...]
    rows: Sequence[tuple[Any, ...]]


class Lock(NamedTuple):
    """One statement that makes others wait until this plan has ended; a store with one writer skips it.

    Answers rows where the plan asks for them, none where it was skipped. The order is the same everywhere: queues, jobs
    (by id), dead letters, unique keys; who must take a job after its key does not wait for it but starts again.
    """

    name: str
    params: Mapping[str, Any]


Step = Do | Rows | Each | Many | Lock
Plan = Generator[Step, Any, T]


class Executor(Protocol):
    """Drives plans against one database."""

    async def run(
        self,
        plan: Callable[[], Plan[T]],
        *,
        write: bool = True,
        durable: bool = True,
        wake: bool = True,
        late: bool = True,
        single: bool = False,
    ) -> T:
        """Runs the whole plan as one transaction (`write`) or on one snapshot, and answers what it returns.

        The plan may be started again from its beginning when the database asks for a retry.
        durable=False: the commit need not wait for the disk. wake=False: nobody waits for what this write does.
        late=False: not made once the caller has stopped waiting for it (cancelled, timed out) before it began.
        single: the plan is one statement, which needs no transaction around it.
        """
        ...

    def now(self) -> int:
        """The store's clock, in microseconds since 1970."""
        ...


def first(rows: list[tuple[Any, ...]]) -> tuple[Any, ...] | None:
    """The only row of an answer, or None."""
    return rows[0] if rows else None
