"""What plugins add to an enqueue and are told of it, and the limits of its size."""

from __future__ import annotations

import json
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from copy import deepcopy
from dataclasses import dataclass, replace
from typing import Any

from dispatch.errors import InvalidArguments, PayloadTooLarge
from dispatch.ids import JobID
from dispatch.jobs.alike import AlikeJobs
from dispatch.jobs.model import Enqueued, Job, NewJob
from dispatch.plugins import PluginManager

HOOKS = frozenset({"job_enqueuing", "job_enqueued", "job_cancelled"})
"""What plugins may hear of an enqueue."""
_logger = logging.getLogger("dispatch.plugins")


@dataclass(frozen=True, slots=True)
class Limits:
    """How large things from outside may be, in bytes."""

    payload: int = 256 * 1024
    metadata: int = 16 * 1024
    result: int = 1024 * 1024
    traceback: int = 16 * 1024


async def with_additions(job: NewJob, plugins: PluginManager, limits: Limits) -> NewJob:
    """The row with the metadata that plugins add to it (`job_enqueuing`).

    What a plugin adds that cannot be stored, or makes the metadata too large, is left out and logged: a plugin refuses
    no job.
    """
    with suppress(Exception):  # what cannot be copied is no JSON, which is refused in a moment
        job = replace(job, metadata=deepcopy(job.metadata))  # others of its batch share what a hook may change
    metadata = job.metadata
    for plugin, answer in await plugins.answers("job_enqueuing", job=job):
        wider = metadata
        fault: Exception | None = None
        try:
            wider = {**metadata, **answer}
            fault = _fault_of(job, wider, limits)
        except Exception as error:  # no mapping, or one that breaks
            fault = error
        if fault is None:
            metadata = wider
        else:
            plugins.complain(plugin, "job_enqueuing", f"what it adds is left out: {fault}")
    return job if metadata is job.metadata else replace(job, metadata=metadata)


def tell(plugins: PluginManager, jobs: Sequence[NewJob], answers: Sequence[Enqueued]) -> None:
    """Tells of those that were written (`job_enqueued`)."""
    if plugins.has("job_enqueued"):
        for job, answer in zip(jobs, answers, strict=True):
            if answer.created:
                plugins.background("job_enqueued", job=job)


async def tell_expired(
    plugins: PluginManager, read: Callable[[JobID], Awaitable[Job]], answers: Sequence[Enqueued]
) -> None:
    """Tells of those that were cancelled to make way (`job_cancelled`).

    By now the enqueue is done: one that cannot be read is left out and logged, lest the caller repeats it.
    """
    if not plugins.has("job_cancelled"):
        return
    for job_id in (job_id for answer in answers for job_id in answer.expired):
        try:
            job = await read(job_id)
        except Exception as error:
            text = "job_cancelled is not called for %s, which has expired: it cannot be read (%s: %s)"
            _logger.warning(text, job_id, type(error).__name__, error)
        else:
            plugins.background("job_cancelled", job=job)


def _fault_of(job: NewJob, metadata: Mapping[str, Any], limits: Limits) -> InvalidArguments | None:
    """Why metadata cannot be stored; None when it can."""
    try:
        taken = len(json.dumps(metadata, allow_nan=False))
    except (TypeError, ValueError, RecursionError) as error:
        return InvalidArguments(f"{job.name}: metadata cannot be stored as JSON: {error}")
    if taken <= limits.metadata:
        return None
    return PayloadTooLarge(
        f"{job.name}: metadata takes {taken:,} bytes, more than limits.metadata ({limits.metadata:,})"
    )


def check_sizes(jobs: Sequence[NewJob], limits: Limits) -> None:
    """As `check_size`, of each."""
    for job in (jobs.longest,) if type(jobs) is AlikeJobs else jobs:
        check_size(job, limits)


def check_size(job: NewJob, limits: Limits) -> None:
    """Raises PayloadTooLarge; InvalidArguments when the metadata is no JSON."""
    size = len(job.payload)
    if size > limits.payload:
        raise PayloadTooLarge(
            f"{job.name}: the arguments take {size:,} bytes as JSON, more than limits.payload "
            f"({limits.payload:,}). Store the data elsewhere and pass its name or id"
        )
    fault = _fault_of(job, job.metadata, limits) if job.metadata else None
    if fault is not None:
        raise fault
