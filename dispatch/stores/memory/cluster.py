"""The cluster part of the memory store: workers, announced definitions, leadership."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from dispatch.cluster.model import Announcement, Leadership, NewWorker, Worker, WorkerState
from dispatch.entity import Reply
from dispatch.ids import WorkerID
from dispatch.stores.memory.aside import is_live
from dispatch.stores.memory.data import Data, Session
from dispatch.stores.memory.rows import checked_json, copy_json, later


class MemoryCluster:
    """The verbs of ClusterStore."""

    def __init__(self, session: Session) -> None:
        self._session = session

    async def register(self, worker: NewWorker) -> int:
        with self._session as data:
            now = data.clock.now()
            known = data.workers.get(worker.id)
            data.workers[worker.id] = Worker(
                id=worker.id,
                created_at=now if known is None else known.created_at,
                updated_at=now,
                hostname=worker.hostname,
                pid=worker.pid,
                state=WorkerState.ACTIVE,
                queues=tuple(worker.queues),
                names=tuple(worker.names),
                concurrency=worker.concurrency,
                last_seen=now,
                lease=worker.lease,
                version=worker.version,
                labels=dict(worker.labels),
            )
            count = data.bring_back(worker.queues, worker.names, now)
            data.signal.bump()
            return count

    async def beat(self, worker_id: WorkerID, *, running: int) -> Reply:
        with self._session as data:
            worker = data.workers.get(worker_id)
            if worker is None or worker.state is WorkerState.STOPPED:
                return Reply.MISSING
            worker.last_seen = worker.updated_at = data.clock.now()
            worker.running = running
            return Reply.APPLIED

    async def update(self, worker_id: WorkerID, state: WorkerState) -> Reply:
        with self._session as data:
            worker = data.workers.get(worker_id)
            return _set_state(data, worker, state)

    async def drain(self, worker_id: WorkerID) -> Reply:
        with self._session as data:
            worker = data.workers.get(worker_id)
            if worker is None:
                return Reply.MISSING
            if worker.state is WorkerState.STOPPED:
                return Reply.CONFLICT
            worker.drain_requested = True
            worker.updated_at = data.clock.now()
            data.signal.bump()
            return Reply.APPLIED

    async def drain_requested(self, worker_id: WorkerID) -> bool:
        with self._session as data:
            worker = data.workers.get(worker_id)
            return worker is not None and worker.drain_requested

    async def retire(self, worker_id: WorkerID) -> Reply:
        with self._session as data:
            worker = data.workers.get(worker_id)
            if worker is not None and worker.state is WorkerState.STOPPED:
                return Reply.APPLIED
            return _set_state(data, worker, WorkerState.STOPPED)

    async def prune(self, *, older_than: float, limit: int = 1000, dry_run: bool = False) -> int:
        with self._session as data:
            now = data.clock.now()
            before = now - timedelta(seconds=older_than)
            dead = [w for w in data.workers.values() if w.last_seen < before and not is_live(w, now)]
            dead.sort(key=lambda worker: (worker.last_seen, worker.id))
            dead = dead[: max(0, limit)]
            for worker in () if dry_run else dead:
                del data.workers[worker.id]
            return len(dead)

    async def get(self, worker_id: WorkerID) -> Worker | None:
        with self._session as data:
            worker = data.workers.get(worker_id)
            return None if worker is None else _seen_at(worker, data.clock.now())

    async def announce(self, definitions: Sequence[Announcement]) -> None:
        stored = [
            replace(
                definition,
                schema=checked_json(definition.schema, f"the schema of {definition.name}"),
                options=checked_json(definition.options, f"the options of {definition.name}"),
            )
            for definition in definitions
        ]
        with self._session as data:
            for definition in stored:
                data.announced[definition.name, definition.kind, definition.version] = definition
            names = [definition.name for definition in stored if definition.kind != "cron"]
            data.bring_back(None, names, data.clock.now())
            data.signal.bump()

    async def definition(self, name: str) -> Announcement | None:
        with self._session as data:
            found = [a for a in data.announced.values() if a.name == name and a.kind != "cron"]
            return _copy(max(found, key=lambda definition: definition.version)) if found else None

    async def definitions(self) -> list[Announcement]:
        with self._session as data:
            return [_copy(data.announced[key]) for key in sorted(data.announced)]

    async def acquire_leadership(self, worker_id: WorkerID, *, lease: float) -> Leadership:
        with self._session as data:
            now = data.clock.now()
            until = later(now, lease, "the leadership lease")
            present = data.leadership
            if present is not None and present.until > now:
                if present.leader == worker_id:
                    present = data.leadership = Leadership(worker_id, present.term, until)
                return present
            data.term += 1
            data.leadership = Leadership(worker_id, data.term, until)
            data.signal.bump()
            return data.leadership

    async def renew_leadership(self, worker_id: WorkerID, term: int, *, lease: float) -> Reply:
        with self._session as data:
            until = later(data.clock.now(), lease, "the leadership lease")
            if not _leads(data, worker_id, term):
                return Reply.STALE
            data.leadership = Leadership(worker_id, term, until)
            return Reply.APPLIED

    async def resign(self, worker_id: WorkerID, term: int) -> Reply:
        with self._session as data:
            if not _leads(data, worker_id, term):
                return Reply.STALE
            data.leadership = None
            data.signal.bump()
            return Reply.APPLIED

    async def leadership(self) -> Leadership | None:
        with self._session as data:
            present = data.leadership
            return present if present is not None and present.until > data.clock.now() else None

    async def list(self, *, live: bool = False) -> list[Worker]:
        with self._session as data:
            now = data.clock.now()
            workers = sorted(data.workers.values(), key=lambda worker: (worker.created_at, worker.id), reverse=True)
            return [_seen_at(worker, now) for worker in workers if not live or is_live(worker, now)]


def _set_state(data: Data, worker: Worker | None, state: WorkerState) -> Reply:
    if worker is None:
        return Reply.MISSING
    if worker.state is WorkerState.STOPPED:
        return Reply.CONFLICT
    worker.state = state
    worker.updated_at = data.clock.now()
    data.signal.bump()
    return Reply.APPLIED


def _leads(data: Data, worker_id: WorkerID, term: int) -> bool:
    present = data.leadership
    return present is not None and present.leader == worker_id and present.term == term


def _seen_at(worker: Worker, now: datetime) -> Worker:
    """A copy in the state that the worker's silence gives it."""
    silent = worker.state is not WorkerState.STOPPED and not is_live(worker, now)
    state = WorkerState.DEAD if silent else worker.state
    return replace(worker, state=state, labels=dict(worker.labels))


def _copy(definition: Announcement) -> Announcement:
    return replace(definition, schema=copy_json(definition.schema), options=copy_json(definition.options))
