"""A queue's gates as pure decisions: paused, full, out of tokens; and when the next one opens."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

from dispatch.clock import LONGEST
from dispatch.stores.sql.plan import Plan, Rows
from dispatch.stores.sql.rows import SECOND

_ALMOST = 1e-9
UNLIMITED = 1 << 40


class Settings(NamedTuple):
    """A row of the queues table."""

    name: str
    max_concurrency: int | None
    rate_limit: float | None
    rate_burst: int | None
    fair: int
    tenant_concurrency: int | None
    tokens: float
    refilled_at: int
    paused_at: int | None
    paused_until: int | None

    def paused(self, now: int) -> bool:
        return self.paused_at is not None and (self.paused_until is None or self.paused_until > now)


@dataclass(slots=True)
class Gate:
    """What a claim may take from a queue now."""

    queue: str
    free: int = UNLIMITED
    """Jobs that max_concurrency (or a pause) leaves room for."""
    resumes_at: int | None = None
    """When a pause ends by itself."""
    rate: float | None = None
    tokens: float | None = None
    """What is in the bucket now; None: no rate."""
    tenant_room: int | None = None
    """Jobs of one tenant that may run at once."""

    @property
    def room(self) -> int:
        """Jobs that may be taken now."""
        return self.free if self.tokens is None else min(self.free, math.floor(self.tokens + _ALMOST))

    def take(self, n: int) -> None:
        """Notes that n jobs were taken."""
        if self.free < UNLIMITED:
            self.free -= n
        if self.tokens is not None:
            self.tokens -= n

    def opens_at(self, now: int) -> int | None:
        """When there is room again without anybody's doing; None: only when somebody acts."""
        if self.free <= 0:
            return self.resumes_at
        if self.tokens is None or self.tokens >= 1 - _ALMOST:
            return now
        if not self.rate:
            return None
        return now + math.ceil(min((1 - self.tokens) / self.rate, LONGEST) * SECOND)


def burst(rate: float, rate_burst: int | None) -> float:
    """How many tokens a bucket holds."""
    return float(rate_burst) if rate_burst is not None else max(1.0, rate)


def refilled(settings: Settings, now: int) -> float:
    """Tokens in the bucket at this time."""
    rate = settings.rate_limit or 0.0
    passed = max(0, now - settings.refilled_at) / SECOND
    return min(burst(rate, settings.rate_burst), settings.tokens + rate * passed)


def gate(settings: Settings, busy: int, now: int) -> Gate:
    """The gate of a queue with `busy` running rows and leased slots."""
    found = Gate(settings.name, rate=settings.rate_limit, tenant_room=settings.tenant_concurrency)
    if settings.max_concurrency is not None:
        found.free = max(0, settings.max_concurrency - busy)
    if settings.paused(now):
        found.free, found.resumes_at = 0, settings.paused_until
    if settings.rate_limit is not None:
        found.tokens = refilled(settings, now)
    return found


def gates(queues: list[str], now: int) -> Plan[dict[str, Gate]]:
    """The gates of these queues, in their order; a queue without settings costs nothing."""
    rows = yield Rows("queue_settings", {})
    known = {row[0]: Settings(*row) for row in rows}
    found = {}
    for queue in queues:
        settings = known.get(queue)
        if settings is None:
            found[queue] = Gate(queue)
            continue
        busy = 0
        if settings.max_concurrency is not None and not settings.paused(now):
            busy = yield from running_and_slots(queue, now)
        found[queue] = gate(settings, busy, now)
    return found


def running_and_slots(queue: str, now: int) -> Plan[int]:
    """What counts against max_concurrency."""
    running = yield Rows("running_in_queue", {"queue": queue})
    slots = yield Rows("live_slots", {"queue": queue, "now": now})
    total: int = running[0][0] + slots[0][0]
    return total
