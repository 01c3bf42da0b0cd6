"""The server's time on this side, measured now and then against the time since boot: wrong clocks do no harm."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from dispatch.clock import Clock, boot_seconds, micros

STALE_AFTER = 10.0
_TRIES = 3
_GOOD = 0.005


class ServerClock:
    """`now()` in microseconds since 1970; a clock given by a test is taken instead of the server's."""

    def __init__(self, clock: Clock | None = None, *, boot: Callable[[], float] = boot_seconds) -> None:
        self._clock = clock
        self._boot = boot
        self._offset: float | None = None
        """Microseconds: the server's time less the time since boot."""
        self._measured = float("-inf")

    @property
    def stale(self) -> bool:
        """Whether it should be measured (again) before it is relied on."""
        return self._clock is None and self._boot() - self._measured > STALE_AFTER

    def now(self) -> int:
        """The server's time."""
        if self._clock is not None:
            return micros(self._clock.now())
        if self._offset is None:
            raise RuntimeError("the server's clock was not measured before it was read")
        return round(self._boot() * 1e6 + self._offset)

    def forget(self) -> None:
        """The next look measures again: another server may answer now."""
        self._measured = float("-inf")

    async def measure(self, ask: Callable[[], Awaitable[int]]) -> None:
        """Takes the quickest of a few answers of the server; its time is that of the middle of the round trip."""
        best: tuple[float, float] | None = None
        for _ in range(_TRIES):
            sent = self._boot()
            answer = await ask()
            came = self._boot()
            trip = came - sent
            if best is None or trip < best[0]:
                best = (trip, answer - (sent + came) / 2 * 1e6)
            if trip < _GOOD:
                break
        assert best is not None
        self._offset, self._measured = best[1], self._boot()
