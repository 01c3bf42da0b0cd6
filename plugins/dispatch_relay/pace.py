"""How many webhooks an endpoint gets a second, counted over all workers: each attempt takes its turn in the store."""

from __future__ import annotations

from datetime import datetime

from dispatch.clock import from_micros, micros
from dispatch.records import RecordStore

NAMESPACE = "webhook.turns"
LONGEST_WAIT = 20.0
"""Seconds that an attempt waits for its turn in its worker's slot; whoever had to wait longer comes back later."""
_KEPT = 86400.0


class Pace:
    """Turns by endpoint.

    Args:
        records: where the next free turn of each endpoint stands.
    """

    def __init__(self, records: RecordStore) -> None:
        self._records = records

    async def turn(self, endpoint: str, rate: float, now: datetime) -> tuple[bool, float]:
        """Takes the next free turn, unless it is too far away.

        Args:
            endpoint: its name. rate: turns a second. now: the store's time.

        Returns:
            Whether a turn was taken, and the seconds until it (or until there may be one).
        """
        while True:
            record = await self._records.get(NAMESPACE, endpoint)
            free = now if record is None else max(from_micros(int(record.value)), now)
            wait = (free - now).total_seconds()
            if wait > LONGEST_WAIT:
                return False, wait
            after = str(micros(free) + round(1_000_000 / rate)).encode()
            version = 0 if record is None else record.version
            if await self._records.put(NAMESPACE, endpoint, after, if_version=version, expires_in=_KEPT) is not None:
                return True, wait
