"""Rows that go: one by an operator's word, many because they are old. Looks are reads, so that a store with nothing old
in it is not written to."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from heapq import merge
from itertools import islice
from typing import Any

from dispatch.entity import Reply
from dispatch.ids import JobID
from dispatch.jobs.model import WAITING, JobState
from dispatch.scope import Scope
from dispatch.stores.sql.plan import Do, Executor, Lock, Plan, Rows, first
from dispatch.stores.sql.rows import job_of, scope_params
from dispatch.stores.sql.workflow_ends import cancel_waiting

_AT_ONCE = 4 * 1024 * 1024
"""Bytes of payloads and results that one transaction gives up: freeing a large value reads all of its pages."""


def delete(job_id: JobID, scope: Scope | None, now: int, *, states: Collection[JobState] | None = None) -> Plan[Reply]:
    """The plan of JobStore.delete."""
    yield Lock("lock_job", {"id": str(job_id)})
    row = first((yield Rows("get_job", {"id": str(job_id), **scope_params(scope)})))
    if row is None:
        return Reply.MISSING
    job = job_of(row)
    if job.state is JobState.RUNNING or (job.kind == "workflow" and job.run_id is not None):
        return Reply.CONFLICT
    if states is not None and job.state not in states:
        return Reply.CONFLICT
    if job.state in WAITING:
        yield from cancel_waiting(job, "deleted", now)
    yield Do("delete_attempts", {"id": str(job_id)})
    yield Do("delete_job", {"id": str(job_id)})
    return Reply.APPLIED


def count(before: Mapping[JobState, int], limit: int) -> Plan[int]:
    """How many jobs ended before the time of their outcome, up to `limit`."""
    total = 0
    for state, moment in before.items():
        params = {"state": state.value, "before": moment, "limit": limit - total}
        total += (yield Rows("count_ended_jobs", params))[0][0]
    return total


def prune(before: Mapping[JobState, int], limit: int) -> Plan[int]:
    """The plan of JobStore.prune."""
    found = []
    for state, moment in before.items():
        found.append((yield Rows("ended_jobs", {"state": state.value, "before": moment, "limit": limit})))
    seqs: list[int] = []
    room = _AT_ONCE
    for _, seq, size in islice(merge(*found), limit):
        room -= size
        if seqs and room < 0:
            break
        seqs.append(seq)
    if seqs:
        params = {"seqs": json.dumps(seqs)}
        yield Do("forget_attempts", params)
        yield Do("forget_jobs", params)
    return len(seqs)


async def prune_old(
    executor: Executor, count: str, delete: str, params: Mapping[str, Any], *, limit: int, dry_run: bool
) -> int:
    """Runs the statement `count`, and `delete` unless there is nothing or it is a dry run."""

    def look() -> Plan[int]:
        rows = yield Rows(count, {**params, "limit": limit if dry_run else 1})
        found: int = rows[0][0]
        return found

    def act() -> Plan[int]:
        deleted: int = yield Do(delete, {**params, "limit": limit})
        return deleted

    if limit <= 0:
        return 0
    found = await executor.run(look, write=False, single=True)
    return found if dry_run or not found else await executor.run(act, durable=False, wake=False, single=True)
