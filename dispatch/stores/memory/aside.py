"""Jobs out of the common way: quarantined ones, and those whose name no live worker serves."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime, timedelta

from dispatch.cluster.model import Worker, WorkerState
from dispatch.ids import DLQID
from dispatch.jobs.model import JobState
from dispatch.stores.memory.claim import tenant_full
from dispatch.stores.memory.data import Data
from dispatch.stores.memory.finish import bury
from dispatch.workflows.model import RunState

_NO_HANDLER = "no_handler"


def is_live(worker: Worker, now: datetime) -> bool:
    """Whether the worker is not retired and was heard of within its lease."""
    return worker.state is not WorkerState.STOPPED and worker.last_seen + timedelta(seconds=worker.lease) >= now


def quarantined(data: Data, queues: Collection[str], names: Collection[str], due_for: float, now: datetime) -> bool:
    """Whether such a quarantined job has been due for that long and could be claimed now."""
    due_by = now - timedelta(seconds=due_for)
    return any(
        row.run_at <= due_by and row.name in names and not tenant_full(queue, row) and not data.concurrency.full(row)
        for name in queues
        if (queue := data.queues.get(name)) is not None and queue.ready.quarantined and queue.room(1, now)
        for row in queue.ready.quarantined.values()
    )


def set_aside(data: Data, due_for: float, limit: int, now: datetime) -> int:
    """Takes jobs that nobody serves out of their lanes, from the heads on."""
    due_by = now - timedelta(seconds=due_for)
    served = {
        (queue, name)
        for worker in data.workers.values()
        if is_live(worker, now)
        for queue in worker.queues
        for name in worker.names
    }
    count = 0
    keys: set[str | None] = set()
    for name in sorted(data.queues):
        ready = data.queues[name].ready
        unserved = [job_name for job_name in {**ready.due, **ready.scheduled} if (name, job_name) not in served]
        ready.promote(unserved, now)
        heaps = [heap for job_name in unserved for heap in ready.due.get(job_name, {}).values()]
        waiting = [row for heap in heaps for row in heap.rows() if row.run_at <= due_by]
        waiting.sort(key=lambda row: (row.lane, -row.priority, row.run_at, row.id))
        for row in waiting[: max(0, limit - count)]:
            ready.remove(row)
            row.set_aside = True
            row.updated_at = now
            ready.add(row, now)
            keys.add(row.concurrency_key)
            run = data.runs.driven_by(row)
            if run is not None:
                run.blocked = f"no live worker serves {row.name}"
                data.runs.to_state(run, RunState.BLOCKED, now)
            count += 1
    for key in keys:
        data.unblock(key, now)
    if count:
        data.signal.bump()
    return count


def bury_unserved(data: Data, due_for: float, limit: int, now: datetime) -> list[DLQID]:
    """Fails jobs that have been set aside for long, each with a dead letter."""
    due_by = now - timedelta(seconds=due_for)
    rows = [
        row
        for queue in data.queues.values()
        for by_id in queue.ready.aside.values()
        for row in by_id.values()
        if row.run_at <= due_by and data.runs.driven_by(row) is None
    ]
    rows.sort(key=lambda row: (row.run_at, row.id))
    entries = []
    for row in rows[: max(0, limit)]:
        data.withdraw(row)
        data.end(row, JobState.FAILED, _NO_HANDLER, now)
        entries.append(bury(data, row, _NO_HANDLER, now))
    if entries:
        data.signal.bump()
    return entries
