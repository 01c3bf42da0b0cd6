"""The job that is measured: it does nothing but note that it began."""

from __future__ import annotations

import os

from dispatch import job

from . import marks


@job(queue=os.environ.get("BENCH_QUEUE", "default"))
async def noop(sent: int = 0) -> None:
    """Notes its start; `sent` is the time of its enqueue (CLOCK_MONOTONIC, ns), 0 where nobody asks."""
    marks.note(sent)
