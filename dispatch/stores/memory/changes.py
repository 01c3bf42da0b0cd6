"""What people do to jobs: cancel, retry, and replay of a dead letter."""

from __future__ import annotations

from datetime import datetime

from dispatch.dlq.model import DLQEntry, DLQState, Replayed
from dispatch.entity import Reply
from dispatch.ids import DLQID, JobID
from dispatch.jobs.model import Changed, JobState
from dispatch.scope import Scope
from dispatch.stores.memory.data import Data
from dispatch.stores.memory.expiry import live_twin
from dispatch.stores.memory.feed import tell_job
from dispatch.stores.memory.finish import cancel_job
from dispatch.stores.memory.rows import Row, checked_text, copy_json, in_scope, is_driver

_MISSING = Changed(Reply.MISSING)


def cancel(data: Data, job_id: JobID, scope: Scope | None, reason: str, now: datetime) -> Changed:
    """Ends a waiting job, or asks for the end of a running one."""
    checked_text(reason, f"the reason for cancelling {job_id}")
    row = data.rows.get(job_id)
    if row is None or not in_scope(row.scope, scope):
        return _MISSING
    if data.runs.driven_by(row) is not None:
        return Changed(Reply.CONFLICT, row.state)
    if row.state.terminal:
        return Changed(Reply.CONFLICT, row.state)
    cancel_job(data, row, reason, now)
    data.signal.bump()
    return Changed(Reply.APPLIED, row.state)


def retry(data: Data, job_id: JobID, scope: Scope | None, now: datetime) -> Changed:
    """Makes an ended job wait again as if new, or a retrying one due now."""
    row = data.rows.get(job_id)
    if row is None or not in_scope(row.scope, scope):
        return _MISSING
    if data.runs.driven_by(row) is not None:
        return Changed(Reply.CONFLICT, row.state)
    if row.state is JobState.RETRYING:
        data.hurry(row, now)
    elif (replayed := _replayed_as(data, row)) is not None:
        return Changed(Reply.CONFLICT, row.state, replayed)
    elif row.state not in (JobState.FAILED, JobState.CANCELLED):
        return Changed(Reply.CONFLICT, row.state)
    elif (twin := live_twin(data, row.unique_key, now)) is not None:
        return Changed(Reply.CONFLICT, row.state, holder=twin)
    else:
        start_over(data, row, now)
    data.signal.bump()
    return Changed(Reply.APPLIED, row.state)


def replay(
    data: Data, entry_id: DLQID, new_id: JobID, scope: Scope | None, payload: bytes | None, now: datetime
) -> Replayed:
    """Makes the one new job of a dead letter."""
    entry = data.letters.get(entry_id)
    if entry is None or not in_scope(entry.scope, scope):
        return Replayed(Reply.MISSING)
    if entry.state is not DLQState.OPEN:
        reply = Reply.APPLIED if entry.replayed_as == new_id else Reply.CONFLICT
        return Replayed(reply, entry.replayed_as, entry.state)
    if data.origins[entry_id].kind == "workflow":
        return Replayed(Reply.CONFLICT, None, entry.state)
    twin = new_id if new_id in data.rows else live_twin(data, entry.unique_key, now)
    if twin is not None:
        return Replayed(Reply.CONFLICT, twin, entry.state)
    row = _row_of_letter(data, entry, new_id, now)
    row.payload = row.payload if payload is None else payload
    data.insert(row, now)
    data.keys.take(row)
    entry.state = DLQState.REPLAYED
    entry.replayed_as = new_id
    entry.updated_at = now
    data.signal.bump()
    return Replayed(Reply.APPLIED, new_id, entry.state)


def _replayed_as(data: Data, row: Row) -> JobID | None:
    """What was made of the dead letter of a failed job."""
    entry = data.letters.get(row.letter) if row.letter is not None else None
    return entry.replayed_as if entry is not None and row.state is JobState.FAILED else None


def start_over(data: Data, row: Row, now: datetime) -> None:
    entry = data.letters.get(row.letter) if row.letter is not None else None
    if entry is not None and entry.state is DLQState.OPEN:
        entry.state = DLQState.RETRIED
        entry.updated_at = now
    row.failures = row.crashes = 0
    if row.worker_id is not None:  # it ended by a transition, which must not look repeated once the row is alive again
        row.last = None
    row.letter = None
    row.expires_at = row.finished_at = row.reason = row.result = None
    row.cancel_requested = False
    row.cancel_reason = None
    data.keys.take(row)
    if row.concurrency_key is not None and is_driver(row):
        row.started_at = None
    data.concurrency.join(row)
    data.wait(row, now, now)
    tell_job(data.stream, "job.enqueued", row, now)


def _row_of_letter(data: Data, entry: DLQEntry, new_id: JobID, now: datetime) -> Row:
    origin = data.origins[entry.id]
    return Row(
        id=new_id,
        created_at=now,
        updated_at=now,
        name=entry.job_name,
        queue=entry.queue,
        state=JobState.PENDING,
        payload=entry.payload,
        run_at=now,
        kind=origin.kind,
        lane=origin.lane,
        priority=entry.priority,
        max_retries=entry.max_retries,
        timeout=entry.timeout,
        backoff=copy_json(entry.backoff),
        keep_result=entry.keep_result,
        unique_key=entry.unique_key,
        effect_key=entry.effect_key,
        metadata=copy_json(entry.metadata),
        tags=entry.tags,
        scope=entry.scope,
        replay_of=entry.id,
        lane_given=True,
        unique_until=origin.unique_until,
        concurrency_key=entry.concurrency_key,
        concurrency_max=entry.concurrency_max,
    )
