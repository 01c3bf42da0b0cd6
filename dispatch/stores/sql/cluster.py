"""The fleet part of a SQL store: workers, announced definitions, leadership."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from dispatch.clock import from_micros
from dispatch.cluster.model import RETIRED, Announcement, Leadership, NewWorker, Worker, WorkerState, seen
from dispatch.entity import Reply
from dispatch.ids import WorkerID
from dispatch.jobs.model import QUARANTINE_FROM
from dispatch.stores.sql.plan import Do, Executor, Lock, Many, Plan, Rows, first
from dispatch.stores.sql.prune import prune_old
from dispatch.stores.sql.rows import SECOND, names_text, span

if TYPE_CHECKING:
    from builtins import list as List

_ANNOUNCE = ("name", "kind", "version", "queue", "schema", "options")


class SQLCluster:
    """ClusterStore over any SQL executor."""

    def __init__(self, executor: Executor) -> None:
        self._executor = executor

    async def register(self, worker: NewWorker) -> int:
        return await self._executor.run(lambda: _register(worker, self._executor.now()))

    async def beat(self, worker_id: WorkerID, *, running: int) -> Reply:
        def plan() -> Plan[Reply]:
            params = {"id": str(worker_id), "running": running, "now": self._executor.now()}
            return Reply.APPLIED if (yield Do("beat_worker", params)) else Reply.MISSING

        return await self._executor.run(plan, durable=False, wake=False, single=True)

    async def update(self, worker_id: WorkerID, state: WorkerState) -> Reply:
        def plan() -> Plan[Reply]:
            params = {"id": str(worker_id), "state": state.value, "now": self._executor.now()}
            return (yield from _changed("set_worker_state", params))

        return await self._executor.run(plan, durable=False)

    async def drain(self, worker_id: WorkerID) -> Reply:
        def plan() -> Plan[Reply]:
            return (yield from _changed("drain_worker", {"id": str(worker_id), "now": self._executor.now()}))

        return await self._executor.run(plan)

    async def drain_requested(self, worker_id: WorkerID) -> bool:
        def plan() -> Plan[bool]:
            row = first((yield Rows("drain_requested", {"id": str(worker_id)})))
            return bool(row and row[0])

        return await self._executor.run(plan, write=False, single=True)

    async def retire(self, worker_id: WorkerID) -> Reply:
        def plan() -> Plan[Reply]:
            params = {"id": str(worker_id), "state": RETIRED, "now": self._executor.now()}
            yield Do("set_worker_state", params)
            return Reply.APPLIED if (yield Rows("worker_state", params)) else Reply.MISSING

        return await self._executor.run(plan)

    async def prune(self, *, older_than: float, limit: int = 1000, dry_run: bool = False) -> int:
        now = self._executor.now()
        params = {"before": now - span(older_than), "now": now}
        return await prune_old(
            self._executor, "count_old_workers", "prune_workers", params, limit=limit, dry_run=dry_run
        )

    async def get(self, worker_id: WorkerID) -> Worker | None:
        def plan() -> Plan[Worker | None]:
            row = first((yield Rows("get_worker", {"id": str(worker_id)})))
            return None if row is None else worker_of(row, self._executor.now())

        return await self._executor.run(plan, write=False, single=True)

    async def list(self, *, live: bool = False) -> List[Worker]:
        def plan() -> Plan[List[Worker]]:
            now = self._executor.now()
            rows = yield Rows("list_workers", {"live": int(live), "now": now})
            return [worker_of(row, now) for row in rows]

        return await self._executor.run(plan, write=False, single=True)

    async def announce(self, definitions: Sequence[Announcement]) -> None:
        def plan() -> Plan[None]:
            yield Lock("lock_fleet", {})
            rows = {
                (d.name, d.kind, d.version): (d.queue, json.dumps(d.schema), json.dumps(d.options)) for d in definitions
            }
            yield Many("announce", _ANNOUNCE, [(*place, *rest) for place, rest in rows.items()])
            names = [d.name for d in definitions if d.kind != "cron"]
            yield from _bring_back(None, names, self._executor.now())

        if definitions:
            await self._executor.run(plan)

    async def definition(self, name: str) -> Announcement | None:
        def plan() -> Plan[Announcement | None]:
            row = first((yield Rows("definition", {"name": name})))
            return None if row is None else announcement_of(row)

        return await self._executor.run(plan, write=False, single=True)

    async def definitions(self) -> List[Announcement]:
        def plan() -> Plan[List[Announcement]]:
            return [announcement_of(row) for row in (yield Rows("definitions", {}))]

        return await self._executor.run(plan, write=False, single=True)

    async def acquire_leadership(self, worker_id: WorkerID, *, lease: float) -> Leadership:
        return await self._executor.run(lambda: _acquire(worker_id, lease, self._executor.now()))

    async def renew_leadership(self, worker_id: WorkerID, term: int, *, lease: float) -> Reply:
        def plan() -> Plan[Reply]:
            params = {"leader": str(worker_id), "term": term, "until": self._executor.now() + span(lease)}
            return Reply.APPLIED if (yield Do("extend_term", params)) else Reply.STALE

        return await self._executor.run(plan, wake=False, single=True)

    async def resign(self, worker_id: WorkerID, term: int) -> Reply:
        def plan() -> Plan[Reply]:
            params = {"leader": str(worker_id), "term": term, "until": 0}
            return Reply.APPLIED if (yield Do("extend_term", params)) else Reply.STALE

        return await self._executor.run(plan, single=True)

    async def leadership(self) -> Leadership | None:
        def plan() -> Plan[Leadership | None]:
            row = first((yield Rows("leadership", {})))
            return None if row is None or row[2] <= self._executor.now() else _leadership(row)

        return await self._executor.run(plan, write=False, single=True)


def _register(worker: NewWorker, now: int) -> Plan[int]:
    yield Lock("lock_fleet", {})
    yield Do(
        "register_worker",
        {
            "id": str(worker.id),
            "hostname": worker.hostname,
            "pid": worker.pid,
            "queues": json.dumps(worker.queues),
            "names": json.dumps(worker.names),
            "concurrency": worker.concurrency,
            "lease": span(worker.lease),
            "version": worker.version,
            "labels": json.dumps(dict(worker.labels)),
            "now": now,
        },
    )
    return (yield from _bring_back(worker.queues, worker.names, now))


def _bring_back(queues: Sequence[str] | None, names: Sequence[str], now: int) -> Plan[int]:
    params = {
        "queues": None if queues is None else names_text(queues),
        "names": names_text(names),
        "quarantine": QUARANTINE_FROM,
        "now": now,
    }
    yield Do("unblock_runs", params)
    back: int = yield Do("bring_back", params)
    return back


def _changed(name: str, params: dict[str, Any]) -> Plan[Reply]:
    if (yield Do(name, params)):
        return Reply.APPLIED
    return Reply.CONFLICT if (yield Rows("worker_state", params)) else Reply.MISSING


def _acquire(worker_id: WorkerID, lease: float, now: int) -> Plan[Leadership]:
    yield Lock("lock_leadership", {})
    yield Lock("lock_term", {})
    row = first((yield Rows("leadership", {})))
    if row is not None and row[2] > now and row[0] != worker_id:
        return _leadership(row)
    running = row is not None and row[2] > now
    term = 1 if row is None else row[1] if running else row[1] + 1
    until = now + span(lease)
    yield Do("begin_term", {"leader": str(worker_id), "term": term, "until": until})
    return Leadership(worker_id, term, from_micros(until))


def _leadership(row: tuple[Any, ...]) -> Leadership:
    return Leadership(WorkerID(row[0]), row[1], from_micros(row[2]))


def worker_of(row: tuple[Any, ...], now: int) -> Worker:
    """The worker in a row of `worker_columns`; silent for longer than its lease, it counts as dead."""
    last_seen, lease = row[9], row[10]
    return Worker(
        id=WorkerID(row[0]),
        created_at=from_micros(row[1]),
        updated_at=from_micros(row[2]),
        hostname=row[3],
        pid=row[4],
        state=seen(row[5], silent=last_seen + lease < now),
        queues=tuple(json.loads(row[6])),
        names=tuple(json.loads(row[7])),
        concurrency=row[8],
        last_seen=from_micros(last_seen),
        lease=lease / SECOND,
        version=row[11],
        labels=json.loads(row[12]),
        running=row[13],
        drain_requested=bool(row[14]),
    )


def announcement_of(row: tuple[Any, ...]) -> Announcement:
    name, kind, queue, schema, options, version = row
    return Announcement(name, kind, queue, json.loads(schema), json.loads(options), version)
