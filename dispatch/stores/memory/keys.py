"""Unique keys and idempotency keys: who holds them, until when."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from heapq import heappop, heappush

from dispatch.ids import JobID
from dispatch.stores.memory.rows import Row

IdempotencyKey = tuple[str, str]
"""Tenant and key."""


@dataclass(slots=True)
class Hold:
    """A unique key in somebody's hands: while the job is live, and until `until` whatever becomes of it."""

    job_id: JobID
    live: bool
    until: datetime | None

    def holds(self, now: datetime) -> bool:
        return self.live or (self.until is not None and self.until > now)


@dataclass(frozen=True, slots=True)
class Remembered:
    """What an idempotency key made."""

    job_id: JobID
    fingerprint: str
    expires_at: datetime


class Keys:
    """Both kinds of key."""

    def __init__(self) -> None:
        self.unique: dict[str, Hold] = {}
        self.idempotency: dict[IdempotencyKey, Remembered] = {}
        self._holds_ending: list[tuple[datetime, str]] = []
        self._expiring: list[tuple[datetime, IdempotencyKey]] = []

    def holder(self, key: str, now: datetime) -> Hold | None:
        """Who holds the unique key now."""
        hold = self.unique.get(key)
        return hold if hold is not None and hold.holds(now) else None

    def take(self, row: Row) -> None:
        """Gives the row its unique key; a running hold time of an earlier holder goes on."""
        if row.unique_key is None:
            return
        earlier = self.unique.get(row.unique_key)
        ends = [moment for moment in (row.hold_until, earlier.until if earlier else None) if moment is not None]
        until = max(ends) if ends else None
        self.unique[row.unique_key] = Hold(row.id, live=True, until=until)
        if until is not None:
            heappush(self._holds_ending, (until, row.unique_key))

    def restore(self, key: str, hold: Hold) -> bool:
        """Puts a unique key into somebody's hands as it was elsewhere; False when it has a row here."""
        if key in self.unique:
            return False
        self.unique[key] = hold
        if hold.until is not None:
            heappush(self._holds_ending, (hold.until, key))
        return True

    def give_up(self, row: Row, now: datetime) -> None:
        """Frees the row's unique key, unless its hold time still runs or somebody else has it by now."""
        if row.unique_key is None:
            return
        hold = self.unique.get(row.unique_key)
        if hold is not None and hold.job_id == row.id:
            hold.live = False
            if not hold.holds(now):
                del self.unique[row.unique_key]

    def remembered(self, key: IdempotencyKey, now: datetime) -> Remembered | None:
        """What the idempotency key made, while it is remembered."""
        known = self.idempotency.get(key)
        return known if known is not None and known.expires_at > now else None

    def remember(self, key: IdempotencyKey, made: Remembered) -> None:
        self.idempotency[key] = made
        heappush(self._expiring, (made.expires_at, key))

    def sweep(self, now: datetime) -> None:
        """Forgets what has ended, so that old keys take no memory."""
        while self._holds_ending and self._holds_ending[0][0] <= now:
            key = heappop(self._holds_ending)[1]
            hold = self.unique.get(key)
            if hold is not None and not hold.holds(now):
                del self.unique[key]
        while self._expiring and self._expiring[0][0] <= now:
            used = heappop(self._expiring)[1]
            if self.remembered(used, now) is None:
                self.idempotency.pop(used, None)
