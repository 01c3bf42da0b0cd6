"""The queues part of the Redis store: limits and pauses as stored facts, leased slots."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from dispatch.clock import from_micros
from dispatch.entity import Reply
from dispatch.queues import Pause, QueueConfig, QueueInfo
from dispatch.stores.redis.client import RedisClient
from dispatch.stores.redis.rows import Row, duration, moment, span, table

if TYPE_CHECKING:
    from builtins import list as List


class RedisQueues:
    """The verbs of QueueStore."""

    def __init__(self, client: RedisClient) -> None:
        self._client = client

    async def pause(
        self, queue: str, *, by: str = "", reason: str = "", duration: float | None = None, force: bool = False
    ) -> Pause:
        given = (queue, by, reason, _pause_length(queue, duration), "1" if force else "")
        holder, why, until, since = await self._client.run("pause", *given)
        return Pause(holder.decode(), why.decode(), moment(until), moment(since))

    async def resume(self, queue: str) -> Reply:
        return await self._reply("resume", queue)

    async def configure(self, config: QueueConfig) -> None:
        fields = {
            "mc": config.max_concurrency,
            "rl": None if config.rate_limit is None else repr(float(config.rate_limit)),
            "rb": config.rate_burst,
            "fair": 1 if config.fair else None,
            "tc": config.tenant_concurrency,
        }
        given = [part for field in fields.items() if field[1] is not None for part in field]
        await self._client.run("configure", config.name, *given)

    async def get(self, queue: str) -> QueueInfo:
        now, info = await self._client.run("queues", queue, "one")
        return _info(info, int(now))

    async def list(self) -> List[QueueInfo]:
        now, *infos = await self._client.run("queues", "", "all")
        found = [(_info(info, int(now)), b"set" in table(info[1])) for info in infos]
        return sorted(
            (info for info, settings in found if settings or _in_use(info)), key=lambda info: info.config.name
        )

    async def take_slot(self, queue: str, holder: str, *, lease: float, limit: int | None = None) -> Reply:
        return await self._reply("take_slot", queue, holder, span(lease), "" if limit is None else limit, 0)

    async def renew_slot(self, queue: str, holder: str, *, lease: float) -> Reply:
        return await self._reply("take_slot", queue, holder, span(lease), "", 1)

    async def free_slot(self, queue: str, holder: str) -> Reply:
        return await self._reply("free_slot", queue, holder)

    async def _reply(self, script: str, *args: str | int) -> Reply:
        return Reply((await self._client.run(script, *args)).decode())


def _pause_length(queue: str, seconds: float | None) -> str | int:
    return "" if seconds is None else duration(seconds, f"the pause of queue {queue}")


def _in_use(info: QueueInfo) -> bool:
    return bool(info.slots or info.pending + info.retrying + info.running)


def _info(reply: Sequence[Any], now: int) -> QueueInfo:
    name, settings, (pending, retrying, running, aside, blocked), oldest, slots, tokens = reply
    row = table(settings)
    return QueueInfo(
        config=QueueConfig(
            name.decode(),
            _number(row.get(b"mc")),
            float(row[b"rl"]) if b"rl" in row else None,
            _number(row.get(b"rb")),
            b"fair" in row,
            _number(row.get(b"tc")),
        ),
        pause=_pause(row, now),
        pending=pending,
        retrying=retrying,
        running=running,
        set_aside=aside,
        blocked=blocked,
        oldest_due_at=moment(oldest or None),
        slots=sorted(slot.decode() for slot in slots),
        tokens=float(tokens) if tokens else None,
        at=from_micros(now),
    )


def _number(value: bytes | None) -> int | None:
    return None if value is None else int(value)


def _pause(row: Row, now: int) -> Pause | None:
    until = row.get(b"pu")
    if b"ps" not in row or (until is not None and int(until) <= now):
        return None
    return Pause(row[b"pb"].decode(), row[b"pr"].decode(), moment(until), moment(row[b"ps"]))
