"""What new work carries of the trace that it is asked for in, where no span of its own is made for that."""

from __future__ import annotations

from typing import Any

from dispatch.jobs.context import running_job
from dispatch.telemetry import carried, inject


def carried_on() -> dict[str, Any]:
    """The trace of the current span, else that of the job that is running here, as metadata."""
    metadata: dict[str, Any] = {}
    inject(metadata)
    within = running_job()
    if not metadata and within is not None:
        metadata.update(carried(within.job.metadata))
    return metadata
