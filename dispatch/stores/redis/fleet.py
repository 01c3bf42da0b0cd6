"""Workers as the server keeps them."""

from __future__ import annotations

import json
from collections.abc import Sequence

from dispatch.clock import from_micros
from dispatch.cluster.model import ENDED, Worker, seen
from dispatch.ids import WorkerID
from dispatch.stores.redis.rows import SECOND, table


def workers_of(reply: Sequence[bytes | Sequence[bytes]]) -> list[Worker]:
    """The workers in a reply of workers.lua; one silent for longer than its lease counts as dead."""
    now, *rows = reply
    assert isinstance(now, bytes)
    return [_worker(row, int(now)) for row in rows if not isinstance(row, bytes)]


def served_by(reply: Sequence[bytes | Sequence[bytes]]) -> set[tuple[str, str]]:
    """Every queue and name that a live worker among them serves."""
    return {
        (queue, name)
        for worker in workers_of(reply)
        if worker.state not in ENDED
        for queue in worker.queues
        for name in worker.names
    }


def _worker(flat: Sequence[bytes], now: int) -> Worker:
    row = table(flat)
    last_seen, lease = int(row[b"seen"]), int(row[b"lease"])
    return Worker(
        id=WorkerID(row[b"id"].decode()),
        created_at=from_micros(int(row[b"c"])),
        updated_at=from_micros(int(row[b"u"])),
        hostname=row[b"host"].decode(),
        pid=int(row[b"pid"]),
        state=seen(row[b"st"].decode(), silent=last_seen + lease < now),
        queues=tuple(json.loads(row[b"queues"])),
        names=tuple(json.loads(row[b"names"])),
        concurrency=int(row[b"slots"]),
        last_seen=from_micros(last_seen),
        lease=lease / SECOND,
        version=row[b"version"].decode(),
        labels=json.loads(row[b"labels"]),
        running=int(row.get(b"run", b"0")),
        drain_requested=b"drain" in row,
    )
