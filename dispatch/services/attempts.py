"""How many failures to prove who one is an address is allowed, before it has to wait."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable

from dispatch.clock import boot_seconds

_MOST_ADDRESSES = 10_000


class Failures:
    """A bucket of failures for each address: `burst` at once, then one each `interval` seconds."""

    def __init__(self, *, burst: int = 20, interval: float = 3.0, now: Callable[[], float] = boot_seconds) -> None:
        self._burst = burst
        self._interval = interval
        self._now = now
        self._full_until: OrderedDict[str, float] = OrderedDict()

    def wait(self, address: str) -> float:
        """How many seconds the address has to wait before it may try again; 0: it may try now."""
        level = self._full_until.get(address, 0.0) - self._now()
        return max(0.0, level - (self._burst - 1) * self._interval)

    def failed(self, address: str) -> None:
        """Notes a failure."""
        now = self._now()
        self._full_until[address] = max(self._full_until.pop(address, 0.0), now) + self._interval
        while len(self._full_until) > _MOST_ADDRESSES:
            self._full_until.popitem(last=False)
