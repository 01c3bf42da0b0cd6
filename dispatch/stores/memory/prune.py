"""Rows that go: one by an operator's word, many because they ended long ago."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from datetime import datetime, timedelta
from heapq import merge
from itertools import islice, takewhile

from dispatch.entity import Reply
from dispatch.ids import JobID
from dispatch.jobs.model import WAITING, JobState
from dispatch.scope import Scope
from dispatch.stores.memory.data import Data
from dispatch.stores.memory.rows import Row, in_scope


def delete(
    data: Data,
    job_id: JobID,
    scope: Scope | None,
    now: datetime,
    *,
    states: Collection[JobState] | None = None,
) -> Reply:
    """Removes a job that does not run; a waiting one is cancelled on the way."""
    row = data.rows.get(job_id)
    if row is None or not in_scope(row.scope, scope):
        return Reply.MISSING
    if row.state is JobState.RUNNING or data.runs.driven_by(row) is not None:
        return Reply.CONFLICT
    if states is not None and row.state not in states:
        return Reply.CONFLICT
    if row.state in WAITING:
        data.withdraw(row)
        data.end(row, JobState.CANCELLED, "deleted", now)
    data.forget([row])
    data.signal.bump()
    return Reply.APPLIED


def prune(data: Data, ages: Mapping[JobState, float | None], limit: int, dry_run: bool, now: datetime) -> int:
    """Removes the rows that ended longest ago, each state's by its own age."""
    data.sort_ended()
    walks = [_ended_before(data, state, now - timedelta(seconds=age)) for state, age in ages.items() if age is not None]
    old = list(islice(merge(*walks, key=_age), max(0, limit)))
    if not dry_run:
        data.forget(old)
    return len(old)


def _ended_before(data: Data, state: JobState, moment: datetime) -> Iterator[Row]:
    old = takewhile(lambda row: _age(row) < moment, data.ended[state].values())
    return (row for row in old if not _awaited(data, row))


def _awaited(data: Data, row: Row) -> bool:
    """Whether the job is a step of a run that has not ended."""
    run = data.runs.rows.get(row.run_id) if row.run_id is not None else None
    return run is not None and not run.state.terminal


def _age(row: Row) -> datetime:
    assert row.finished_at is not None
    return row.finished_at
