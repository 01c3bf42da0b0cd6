"""One queue's state and its gates: pause, concurrency, rate. The claim and its next_due ask the same functions."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from math import ceil

from dispatch.clock import LONGEST
from dispatch.queues import Pause, QueueConfig
from dispatch.scope import Scope
from dispatch.stores.memory.ready import Ready
from dispatch.stores.memory.rows import TenantCount

_ROUNDING = 1e-6


@dataclass(slots=True)
class Slot:
    """A leased slot and the limit it was taken under."""

    until: datetime
    limit: int | None


@dataclass(slots=True)
class Bucket:
    """Rate tokens, as they were `at` some time."""

    tokens: float
    at: datetime


@dataclass(slots=True, eq=False)
class QueueState:
    """A queue: its settings, its waiting rows, its counts."""

    name: str
    config: QueueConfig
    has_settings: bool = False
    """Somebody configured or paused it."""
    paused: Pause | None = None
    bucket: Bucket | None = None
    slots: dict[str, Slot] = field(default_factory=dict)
    ready: Ready = field(default_factory=Ready)
    running: int = 0
    tenants: dict[Scope, TenantCount] = field(default_factory=dict)

    def lane_of(self, scope: Scope) -> str:
        """The lane of a job whose enqueue named none."""
        return scope.tenant if self.config.fair or self.config.tenant_concurrency is not None else ""

    def pause_at(self, now: datetime) -> Pause | None:
        """The pause that holds now."""
        pause = self.paused
        return None if pause is None or (pause.until is not None and pause.until <= now) else pause

    def live_slots(self, now: datetime) -> int:
        return sum(slot.until > now for slot in self.slots.values())

    def free(self, limit: int | None, now: datetime) -> int | None:
        """Free slots under `limit`, running rows and leased slots counted; None: no limit."""
        return None if limit is None else max(0, limit - self.running - self.live_slots(now))

    def tokens(self, now: datetime) -> float | None:
        """Rate tokens now, refilled; None: no rate limit."""
        rate = self.config.rate_limit
        if rate is None:
            return None
        burst = float(self.config.rate_burst if self.config.rate_burst is not None else max(1.0, rate))
        if self.bucket is None:
            self.bucket = Bucket(burst if rate > 0 else 0.0, now)
        elapsed = max(0.0, (now - self.bucket.at).total_seconds())
        self.bucket.tokens = min(burst, self.bucket.tokens + elapsed * rate)
        self.bucket.at = max(now, self.bucket.at)
        return self.bucket.tokens

    def room(self, wanted: int, now: datetime) -> int:
        """How many of `wanted` jobs may start now."""
        if self.paused is not None and self.pause_at(now) is not None:
            return 0
        free = self.free(self.config.max_concurrency, now)
        if free is not None:
            wanted = min(wanted, free)
        tokens = self.tokens(now)
        if tokens is not None:
            wanted = min(wanted, int(tokens + _ROUNDING))
        return max(0, wanted)

    def debit(self, started: int) -> None:
        """Pays for jobs that were started."""
        if self.bucket is not None and self.config.rate_limit is not None:
            self.bucket.tokens -= started

    def opens_at(self, now: datetime) -> datetime | None:
        """When the gates open by time alone: now, the end of the pause, the next token; None: nobody knows."""
        moment = now
        pause = self.pause_at(now)
        if pause is not None:
            if pause.until is None:
                return None
            moment = pause.until
        if self.free(self.config.max_concurrency, now) == 0:
            return None
        tokens, rate = self.tokens(now), self.config.rate_limit
        if tokens is not None and rate is not None and tokens + _ROUNDING < 1:
            if rate <= 0:
                return None
            wait = min((1 - tokens) / rate, LONGEST)
            moment = max(moment, now + timedelta(microseconds=ceil(wait * 1e6)))
        return moment
