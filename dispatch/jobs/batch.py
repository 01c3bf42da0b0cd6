"""The rows of many calls at once: where calls differ in their arguments only, all rows are made as the first one is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from dispatch.ids import JobID
from dispatch.jobs.alike import AlikeJobs
from dispatch.jobs.definition import Call
from dispatch.jobs.model import NewJob
from dispatch.scope import Scope


def new_jobs(
    calls: Sequence[Call[Any]], *, scope: Scope, idempotency_ttl: float, metadata: Mapping[str, Any]
) -> Sequence[NewJob]:
    """A row for each call, in order; see Call.new_job."""
    if len(calls) > 1 and _alike(calls):
        first = calls[0].new_job(scope=scope, idempotency_ttl=idempotency_ttl, metadata=metadata)
        if not _is_its_own(first):
            return AlikeJobs(first, [JobID.new() for _ in calls], [call.payload for call in calls])
    return [call.new_job(scope=scope, idempotency_ttl=idempotency_ttl, metadata=metadata) for call in calls]


def _alike(calls: Sequence[Call[Any]]) -> bool:
    """Whether they are calls of one definition with the same options."""
    definition, options, effective = calls[0].definition, calls[0].options, calls[0].effective
    return all(
        call.definition is definition and call.options is options and call.effective is effective for call in calls
    )


def _is_its_own(job: NewJob) -> bool:
    """Whether something else than the payload was made of the arguments, or could be changed in all rows at once."""
    return not (job.unique is None and job.idempotency is None and job.concurrency_key is None and job.backoff is None)
