"""Loses the worker on purpose, right where a step is recorded, to see that a run goes on as it should."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from dispatch.engine.runs.writer import RunWriter
from dispatch.errors import UsageError
from dispatch.ids import JobID
from dispatch.workflows.model import Record, Recorded


@dataclass(slots=True, eq=False)
class Crash:
    """A planned loss; `happened` counts."""

    step: str
    recorded: bool
    times: int
    happened: int = 0


_planned: list[Crash] = []


@contextmanager
def crash_after(step: str, *, recorded: bool = True, times: int = 1) -> Iterator[Crash]:
    """Inside the block, a memory app loses its worker once the named step (or wait, sleep, child …) has acted.

    Args:
        step: the name that it is recorded under; the undo of a step is called "charge~undo".
        recorded: False: the worker is lost before the step is recorded, so its effect happens again.
        times: how often; the run goes on at once, from its checkpoints.

    Raises:
        UsageError: at the end of the block, when no run got there.

    >>> with crash_after("charge", recorded=False):  # doctest: +SKIP
    ...     await app.run_until_idle()
    """
    crash = Crash(step, recorded, times)
    _planned.append(crash)
    try:
        yield crash
    finally:
        _planned.remove(crash)
    if not crash.happened:
        raise UsageError(f"crash_after({step!r}): no run has recorded a step of that name inside the block")


class CrashingWriter(RunWriter):
    """A worker's writer that loses the lease where a crash is planned; `lost` is what has to be given back."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.lost: list[tuple[JobID, int]] = []

    async def record(self, record: Record) -> Recorded | None:
        names = {checkpoint.name for checkpoint in record.checkpoints}
        crash = next((c for c in _planned if c.step in names and c.happened < c.times), None)
        if crash is None:
            return await super().record(record)
        crash.happened += 1
        if crash.recorded:
            await super().record(record)
        self.lost.append((record.driver, record.epoch))
        return None
