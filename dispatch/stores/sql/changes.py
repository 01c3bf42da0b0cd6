"""Cancel and retry: what people ask of a job, whatever state it is in."""

from __future__ import annotations

from collections.abc import Sequence

from dispatch.entity import Reply
from dispatch.ids import JobID
from dispatch.jobs.model import WAITING, Changed, JobState
from dispatch.scope import Scope
from dispatch.stores.sql import concurrency, holders
from dispatch.stores.sql.plan import Do, Each, Lock, Plan, Rows, first
from dispatch.stores.sql.rows import job_of, scope_params
from dispatch.stores.sql.workflow_ends import cancel_waiting


def cancel(job_id: JobID, scope: Scope | None, reason: str, now: int) -> Plan[Changed]:
    """The plan of JobStore.cancel."""
    yield Lock("lock_job", {"id": str(job_id)})
    row = first((yield Rows("get_job", {"id": str(job_id), **scope_params(scope)})))
    if row is None:
        return Changed(Reply.MISSING)
    job = job_of(row)
    if job.kind == "workflow" and job.run_id is not None:
        return Changed(Reply.CONFLICT, job.state)
    params = {"id": str(job_id), "reason": reason, "now": now}
    if job.state is JobState.RUNNING:
        yield Do("request_cancel", params)
        return Changed(Reply.APPLIED, JobState.RUNNING)
    if job.state not in WAITING:
        return Changed(Reply.CONFLICT, job.state)
    yield from cancel_waiting(job, reason, now)
    return Changed(Reply.APPLIED, JobState.CANCELLED)


def cancel_some(job_ids: Sequence[JobID], scope: Scope | None, reason: str, now: int) -> Plan[dict[JobID, Changed]]:
    """As `cancel` of each of several different jobs."""
    answers: dict[JobID, Changed] = {}
    if scope is None:
        # nobody waits for these, and they hold nothing
        rows = [(str(job_id), reason, now) for job_id in job_ids]
        counts = yield Each("cancel_plain", ("id", "reason", "now"), rows)
        for job_id, count in zip(job_ids, counts, strict=True):
            if count:
                answers[job_id] = Changed(Reply.APPLIED, JobState.CANCELLED)
    for job_id in job_ids:
        if job_id not in answers:
            answers[job_id] = yield from cancel(job_id, scope, reason, now)
    return answers


def retry(job_id: JobID, scope: Scope | None, now: int) -> Plan[Changed]:
    """The plan of JobStore.retry."""
    yield Lock("lock_job", {"id": str(job_id)})
    yield Lock("lock_entries_of", {"job_id": str(job_id)})
    row = first((yield Rows("get_job", {"id": str(job_id), **scope_params(scope)})))
    if row is None:
        return Changed(Reply.MISSING)
    job = job_of(row)
    if job.kind == "workflow" and job.run_id is not None:
        return Changed(Reply.CONFLICT, job.state)
    if job.state is JobState.RETRYING:
        yield Do("hurry_retry", {"id": str(job_id), "now": now})
        if job.concurrency_key is not None:
            yield from concurrency.unblock({job.concurrency_key}, now)
        return Changed(Reply.APPLIED, JobState.RETRYING)
    replayed = first((yield Rows("latest_replay", {"job_id": str(job_id)}))) if job.state is JobState.FAILED else None
    if replayed is not None and replayed[0] is not None:
        return Changed(Reply.CONFLICT, job.state, JobID(replayed[0]))
    if job.state not in (JobState.FAILED, JobState.CANCELLED):
        return Changed(Reply.CONFLICT, job.state)
    twin = yield from holders.take_again(job_id, now)
    if twin is not None:
        return Changed(Reply.CONFLICT, job.state, holder=twin)
    yield Do("revive_job", {"id": str(job_id), "now": now})
    if job.concurrency_key is not None:
        yield Do("set_missing_key", {"id": str(job_id)})
    yield Do("close_dead_letters", {"job_id": str(job_id), "now": now})
    return Changed(Reply.APPLIED, JobState.PENDING)
