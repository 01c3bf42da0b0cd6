"""The queues part of a SQL store: limits and pauses as stored facts, leased slots."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from dispatch.clock import from_micros
from dispatch.entity import Reply
from dispatch.queues import Pause, QueueConfig, QueueInfo
from dispatch.stores.sql.limits import Settings, burst, refilled, running_and_slots
from dispatch.stores.sql.plan import Do, Executor, Lock, Plan, Rows, first
from dispatch.stores.sql.rows import later, moment, names_text, span

if TYPE_CHECKING:
    from builtins import list as List

_ALL = 1 << 40


class SQLQueues:
    """QueueStore over any SQL executor."""

    def __init__(self, executor: Executor) -> None:
        self._executor = executor

    async def pause(
        self, queue: str, *, by: str = "", reason: str = "", duration: float | None = None, force: bool = False
    ) -> Pause:
        def plan() -> Plan[Pause]:
            now = self._executor.now()
            until = None if duration is None else later(now, duration)
            wanted = {"queue": queue, "now": now, "until": until, "by": by, "reason": reason, "force": int(force)}
            yield Do("pause_queue", wanted)
            ((*_, since, ends, holder, why),) = yield Rows("queue_rows", {"queue": queue})
            return Pause(holder, why, moment(ends), from_micros(since))

        return await self._executor.run(plan)

    async def resume(self, queue: str) -> Reply:
        def plan() -> Plan[Reply]:
            changed = yield Do("resume_queue", {"queue": queue, "now": self._executor.now()})
            return Reply.APPLIED if changed else Reply.CONFLICT

        return await self._executor.run(plan, single=True)

    async def configure(self, config: QueueConfig) -> None:
        await self._executor.run(lambda: _configure(config, self._executor.now()))

    async def get(self, queue: str) -> QueueInfo:
        now = self._executor.now()
        found = await self._executor.run(lambda: _describe(queue, now), write=False)
        return found[0] if found else QueueInfo(QueueConfig(queue), at=from_micros(now))

    async def list(self) -> List[QueueInfo]:
        return await self._executor.run(lambda: _describe(None, self._executor.now()), write=False)

    async def take_slot(self, queue: str, holder: str, *, lease: float, limit: int | None = None) -> Reply:
        return await self._executor.run(
            lambda: _take_slot(queue, holder, lease, limit, self._executor.now()), wake=False
        )

    async def renew_slot(self, queue: str, holder: str, *, lease: float) -> Reply:
        return await self._executor.run(
            lambda: _renew_slot(queue, holder, lease, self._executor.now()), durable=False, wake=False
        )

    async def free_slot(self, queue: str, holder: str) -> Reply:
        def plan() -> Plan[Reply]:
            freed = yield Do("free_slot", {"queue": queue, "holder": holder})
            return Reply.APPLIED if freed else Reply.STALE

        return await self._executor.run(plan, single=True)


def _configure(config: QueueConfig, now: int) -> Plan[None]:
    yield Lock("lock_queues", {"queues": names_text([config.name])})
    rows = yield Rows("queue_settings", {})
    before = next((Settings(*row) for row in rows if row[0] == config.name), None)
    tokens = 0.0
    if config.rate_limit is not None:
        most = burst(config.rate_limit, config.rate_burst)
        tokens = most if config.rate_limit > 0 else 0.0
        if before is not None and before.rate_limit is not None:
            tokens = min(most, refilled(before, now))
    yield Do(
        "configure_queue",
        {
            "queue": config.name,
            "max_concurrency": config.max_concurrency,
            "rate_limit": config.rate_limit,
            "rate_burst": config.rate_burst,
            "fair": int(config.fair),
            "tenant_concurrency": config.tenant_concurrency,
            "tokens": tokens,
            "now": now,
        },
    )


def _describe(queue: str | None, now: int) -> Plan[list[QueueInfo]]:
    stored = {row[0]: row for row in (yield Rows("queue_rows", {"queue": queue}))}
    settings = {row[0]: Settings(*row) for row in (yield Rows("queue_settings", {}))}
    counts: dict[str, dict[str, int]] = {}
    for name, state, count in (yield Rows("queue_counts", {"queue": queue})):
        counts.setdefault(name, {})[state] = count
    holders: dict[str, list[str]] = {}
    for name, holder in (yield Rows("slot_holders", {"queue": queue, "now": now})):
        holders.setdefault(name, []).append(holder)
    found = []
    for name in sorted(stored.keys() | counts.keys() | holders.keys()):
        row, by_state = stored.get(name), counts.get(name, {})
        oldest = yield from _oldest_due(name, now)
        limits = settings.get(name)
        found.append(
            QueueInfo(
                QueueConfig(name) if row is None else _config(row),
                None if row is None else _pause(row, now),
                pending=by_state.get("waiting", 0) - by_state.get("retrying", 0),
                retrying=by_state.get("retrying", 0),
                running=by_state.get("running", 0),
                set_aside=by_state.get("aside", 0),
                blocked=by_state.get("blocked", 0),
                oldest_due_at=moment(oldest),
                slots=holders.get(name, []),
                tokens=None if limits is None or limits.rate_limit is None else refilled(limits, now),
                at=from_micros(now),
            )
        )
    return found


def _oldest_due(queue: str, now: int) -> Plan[int | None]:
    oldest: int | None = None
    for (lane,) in (yield Rows("lanes", {"queue": queue, "from_lane": "", "limit": _ALL})):
        for (priority,) in (yield Rows("priorities", {"queue": queue, "lane": lane})):
            rows = yield Rows("oldest_run_at", {"queue": queue, "lane": lane, "priority": priority})
            if rows[0][0] <= now and (oldest is None or rows[0][0] < oldest):
                oldest = rows[0][0]
    return oldest


def _config(row: tuple[Any, ...]) -> QueueConfig:
    return QueueConfig(row[0], row[1], row[2], row[3], bool(row[4]), row[5])


def _pause(row: tuple[Any, ...], now: int) -> Pause | None:
    *_, since, until, by, reason = row
    if since is None or (until is not None and until <= now):
        return None
    return Pause(by, reason, moment(until), from_micros(since))


def _capacity(queue: str, limit: int | None) -> Plan[int | None]:
    settings = yield Rows("queue_rows", {"queue": queue})
    row = first(settings)
    return row[1] if row is not None and row[1] is not None else limit


def _lock(queue: str) -> Plan[None]:
    """Lets nobody else take what counts against the queue's limit."""
    yield Lock("lock_queues", {"queues": names_text([queue])})
    yield Lock("lock_slots", {"queue": queue})


def _take_slot(queue: str, holder: str, lease: float, limit: int | None, now: int) -> Plan[Reply]:
    yield from _lock(queue)
    mine = first((yield Rows("slot", {"queue": queue, "holder": holder})))
    yield Do("drop_lapsed_slots", {"queue": queue, "holder": holder, "now": now})
    capacity = yield from _capacity(queue, limit)
    if (mine is None or mine[0] <= now) and capacity is not None:
        busy = yield from running_and_slots(queue, now)
        if busy >= capacity:
            return Reply.CONFLICT
    yield Do("hold_slot", {"queue": queue, "holder": holder, "lease_until": now + span(lease), "capacity": limit})
    return Reply.APPLIED


def _renew_slot(queue: str, holder: str, lease: float, now: int) -> Plan[Reply]:
    yield from _lock(queue)
    mine = first((yield Rows("slot", {"queue": queue, "holder": holder})))
    if mine is None:
        return Reply.STALE
    lease_until, limit = mine
    if lease_until <= now:
        capacity = yield from _capacity(queue, limit)
        busy = yield from running_and_slots(queue, now)
        if capacity is not None and busy >= capacity:
            yield Do("free_slot", {"queue": queue, "holder": holder})
            return Reply.STALE
    yield Do("hold_slot", {"queue": queue, "holder": holder, "lease_until": now + span(lease), "capacity": limit})
    return Reply.APPLIED
