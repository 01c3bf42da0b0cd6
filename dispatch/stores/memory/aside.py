"""Jobs out of the common way: quarantined ones, and those whose name no live worker serves."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime, timedelta

from dispatch.cluster.model import Worker, WorkerState
from dispatch.stores.memory.data import Data


def is_live(worker: Worker, now: datetime) -> bool:
    """Whether the worker is not retired and was heard of within its lease."""
    return worker.state is not WorkerState.DEAD and worker.last_seen + timedelta(seconds=worker.lease) > now


def quarantined(data: Data, queues: Collection[str], names: Collection[str], due_for: float, now: datetime) -> bool:
    """Whether such a quarantined job has been due for that long."""
    due_by = now - timedelta(seconds=due_for)
    return any(
        row.run_at <= due_by and row.name in names
        for name in queues
        if name in data.queues
        for row in data.queues[name].ready.quarantined.values()
    )


def set_aside(data: Data, due_for: float, limit: int, now: datetime) -> int:
    """Takes jobs that nobody serves from the heads of their lanes."""
    due_by = now - timedelta(seconds=due_for)
    served = {
        (queue, name)
        for worker in data.workers.values()
        if is_live(worker, now)
        for queue in worker.queues
        for name in worker.names
    }
    count = 0
    for queue in data.queues.values():
        ready = queue.ready
        unserved = [name for name in {**ready.due, **ready.scheduled} if (queue.name, name) not in served]
        ready.promote(unserved, now)
        for name in unserved:
            for heap in list(ready.due.get(name, {}).values()):
                while count < limit and (entry := heap.peek()) is not None and entry[4].run_at <= due_by:
                    row = entry[4]
                    heap.pop()
                    row.set_aside = True
                    row.updated_at = now
                    ready.add(row, now)
                    count += 1
    if count:
        data.signal.bump()
    return count
