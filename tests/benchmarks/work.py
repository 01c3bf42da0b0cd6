"""The job that is measured: it notes that it began, and works no longer than it is told to."""

from __future__ import annotations

import os
import time

from dispatch import job

from . import marks, observing

if observing.OBSERVED in os.environ:
    observing.observe()

WORK = float(os.environ.get("BENCH_WORK", "0"))
"""Seconds of CPU that each job takes."""


@job(queue=os.environ.get("BENCH_QUEUE", "default"))
async def noop(sent: int = 0) -> None:
    """Notes its start; `sent` is the time of its enqueue (CLOCK_MONOTONIC, ns), 0 where nobody asks."""
    marks.note(sent)
    if WORK:
        until = time.perf_counter() + WORK
        while time.perf_counter() < until:
            pass
