"""The fleet part of the Redis store: workers, announced definitions, leadership."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING

from dispatch.clock import from_micros
from dispatch.cluster.model import ENDED, RETIRED, Announcement, Leadership, NewWorker, Worker, WorkerState
from dispatch.entity import Reply
from dispatch.ids import WorkerID
from dispatch.stores.redis.client import RedisClient
from dispatch.stores.redis.fleet import workers_of
from dispatch.stores.redis.rows import span, to_json

if TYPE_CHECKING:
    from builtins import list as List

_AT_ONCE = 200
_EVERYWHERE = -1


class RedisCluster:
    """The verbs of ClusterStore."""

    def __init__(self, client: RedisClient) -> None:
        self._client = client

    async def register(self, worker: NewWorker) -> int:
        fields = {
            "host": worker.hostname,
            "pid": worker.pid,
            "queues": json.dumps(worker.queues),
            "names": json.dumps(worker.names),
            "slots": worker.concurrency,
            "lease": span(worker.lease),
            "version": worker.version,
            "labels": json.dumps(dict(worker.labels)),
        }
        await self._client.run("register", worker.id, *(part for field in fields.items() for part in field))
        return await self._bring_back(worker.queues, worker.names)

    async def beat(self, worker_id: WorkerID, *, running: int) -> Reply:
        return await self._reply("beat", worker_id, running)

    async def update(self, worker_id: WorkerID, state: WorkerState) -> Reply:
        return await self._reply("change_worker", worker_id, "st", state.value)

    async def drain(self, worker_id: WorkerID) -> Reply:
        return await self._reply("change_worker", worker_id, "drain", "1")

    async def drain_requested(self, worker_id: WorkerID) -> bool:
        return bool(await self._client.command("HEXISTS", f"{self._client.prefix}w:{worker_id}", "drain"))

    async def retire(self, worker_id: WorkerID) -> Reply:
        return await self._reply("change_worker", worker_id, "st", RETIRED)

    async def prune(self, *, older_than: float, limit: int = 1000, dry_run: bool = False) -> int:
        count: int = await self._client.run("prune_workers", span(older_than), max(0, limit), int(dry_run))
        return count

    async def get(self, worker_id: WorkerID) -> Worker | None:
        found = workers_of(await self._client.run("workers", worker_id)) if worker_id else []
        return found[0] if found else None

    async def announce(self, definitions: Sequence[Announcement]) -> None:
        if not definitions:
            return
        stored: List[str] = []
        for one in definitions:
            schema = to_json(one.schema, f"the schema of {one.name}")
            options = to_json(one.options, f"the options of {one.name}")
            stored += (json.dumps([one.name, one.kind, one.version]), json.dumps([one.queue, schema, options]))
        await self._client.run("announce", *stored)
        await self._bring_back(None, [one.name for one in definitions if one.kind != "cron"])

    async def definition(self, name: str) -> Announcement | None:
        found = [one for one in await self.definitions() if one.name == name and one.kind != "cron"]
        return max(found, key=lambda one: one.version) if found else None

    async def definitions(self) -> List[Announcement]:
        flat = await self._client.command("HGETALL", f"{self._client.prefix}definitions")
        items = flat.items() if isinstance(flat, dict) else zip(flat[::2], flat[1::2], strict=True)
        found = [_announcement(field, document) for field, document in items]
        return sorted(found, key=lambda one: (one.name, one.kind, one.version))

    async def acquire_leadership(self, worker_id: WorkerID, *, lease: float) -> Leadership:
        return _leadership(await self._client.run("acquire", worker_id, span(lease)))

    async def renew_leadership(self, worker_id: WorkerID, term: int, *, lease: float) -> Reply:
        return await self._reply("extend_term", worker_id, term, span(lease))

    async def resign(self, worker_id: WorkerID, term: int) -> Reply:
        return await self._reply("extend_term", worker_id, term, "")

    async def leadership(self) -> Leadership | None:
        row = await self._client.run("leader")
        return None if row is None else _leadership(row)

    async def list(self, *, live: bool = False) -> List[Worker]:
        found = workers_of(await self._client.run("workers", ""))
        found.sort(key=lambda worker: (worker.created_at, worker.id), reverse=True)
        return [worker for worker in found if not live or worker.state not in ENDED]

    async def _bring_back(self, queues: Sequence[str] | None, names: Sequence[str]) -> int:
        """Brings back everything set aside that is served now, some at a time."""
        where: tuple[str | int, ...] = (_EVERYWHERE,) if queues is None else (len(queues), *queues)
        total = 0
        while True:
            count: int = await self._client.run("bring_back", _AT_ONCE, *where, *names)
            total += count
            if count < _AT_ONCE:
                return total

    async def _reply(self, script: str, *args: str | int) -> Reply:
        return Reply((await self._client.run(script, *args)).decode())


def _announcement(field: bytes, document: bytes) -> Announcement:
    name, kind, version = json.loads(field)
    queue, schema, options = json.loads(document)
    return Announcement(name, kind, queue, json.loads(schema), json.loads(options), version)


def _leadership(row: Sequence[bytes]) -> Leadership:
    return Leadership(WorkerID(row[0].decode()), int(row[1]), from_micros(int(row[2])))
