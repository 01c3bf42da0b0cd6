"""What an enqueue passes before it is written: the additions of plugins, and the limits of its size."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from dispatch.errors import InvalidArguments, PayloadTooLarge
from dispatch.jobs.model import NewJob
from dispatch.plugins import PluginManager


@dataclass(frozen=True, slots=True)
class Limits:
    """How large things from outside may be, in bytes."""

    payload: int = 256 * 1024
    metadata: int = 16 * 1024
    result: int = 1024 * 1024
    traceback: int = 16 * 1024


async def with_additions(job: NewJob, plugins: PluginManager) -> NewJob:
    """The row with the metadata that plugins add to it (`job_enqueuing`)."""
    additions: dict[str, Any] = {}
    for answer in await plugins.collect("job_enqueuing", job=job):
        if isinstance(answer, Mapping):
            additions.update(answer)
    return replace(job, metadata={**job.metadata, **additions}) if additions else job


def check_size(job: NewJob, limits: Limits) -> None:
    """Raises PayloadTooLarge; InvalidArguments when the metadata is no JSON."""
    size = len(job.payload)
    if size > limits.payload:
        raise PayloadTooLarge(
            f"{job.name}: the arguments take {size:,} bytes as JSON, more than limits.payload "
            f"({limits.payload:,}). Store the data elsewhere and pass its name or id"
        )
    if job.metadata:
        try:
            taken = len(json.dumps(job.metadata, allow_nan=False))
        except (TypeError, ValueError) as error:
            raise InvalidArguments(f"{job.name}: metadata cannot be stored as JSON: {error}") from None
        if taken > limits.metadata:
            raise PayloadTooLarge(
                f"{job.name}: metadata takes {taken:,} bytes, more than limits.metadata ({limits.metadata:,})"
            )
