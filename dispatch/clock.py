"""The only place that asks what time it is: a wall clock that never runs backwards, a clock for tests, boot time."""

from __future__ import annotations

import re
import threading
import time
from datetime import UTC, datetime, timedelta
from typing import Protocol

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
LONGEST = 100 * 365.25 * 86400.0
"""A hundred years in seconds: no duration from outside is longer, so that every time made with it can be stored."""
_MICROSECOND = timedelta(microseconds=1)
_DURATION = re.compile(r"(\d+(?:\.\d+)?|\.\d+)\s*(us|ms|s|m|h|d|w)", re.ASCII)
_UNITS = {"us": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0, "w": 604800.0}

Duration = float | int | timedelta | str
"""Seconds, a timedelta, or text such as "0.4s", "30s", "5m", "2h", "7d", "1h30m"."""


class Clock(Protocol):
    """What a store asks for the time; the returned datetimes are aware, in UTC."""

    def now(self) -> datetime: ...


class SystemClock:
    """The wall clock, held still while the machine's clock is set back by up to `floor` (default one minute).

    A larger step back is taken as a correction of a wrong clock and followed.
    """

    def __init__(self, floor: timedelta = timedelta(minutes=1)) -> None:
        self._floor = floor
        self._latest = EPOCH
        self._lock = threading.Lock()

    def now(self) -> datetime:
        current = datetime.now(UTC)
        with self._lock:
            if current < self._latest and self._latest - self._floor < current:
                return self._latest
            self._latest = current
        return current


class ManualClock:
    """A clock that stands still until it is told to move; for tests and simulations."""

    def __init__(self, start: datetime = datetime(2026, 1, 1, tzinfo=UTC)) -> None:
        self._now = start

    def now(self) -> datetime:
        return self._now

    def advance(self, delta: timedelta | float) -> datetime:
        """Moves the clock by `delta` (seconds or timedelta) and returns the new time."""
        self._now += delta if isinstance(delta, timedelta) else timedelta(seconds=delta)
        return self._now


def micros(moment: datetime) -> int:
    """Microseconds since 1970; the exact integer that SQL stores keep."""
    return (moment - EPOCH) // _MICROSECOND


def from_micros(value: int) -> datetime:
    """The aware UTC datetime of `micros`."""
    return EPOCH + timedelta(microseconds=value)


def boot_seconds() -> float:
    """Seconds since boot, sleep included: what a lease is measured by on the worker's side."""
    return time.clock_gettime(time.CLOCK_BOOTTIME) if hasattr(time, "CLOCK_BOOTTIME") else time.monotonic()


def wall_offset() -> float:
    """What the wall clock shows less the seconds since boot: it changes when somebody sets the clock."""
    return datetime.now(UTC).timestamp() - boot_seconds()


def utc_now() -> datetime:
    """The wall clock, for display only; every decision takes the store's clock."""
    return datetime.now(UTC)


def seconds(value: Duration) -> float:
    """A duration in seconds; ValueError when text is none.

    >>> seconds("1h30m")
    5400.0
    """
    if isinstance(value, timedelta):
        return value.total_seconds()
    if not isinstance(value, str):
        return float(value)
    text = value.strip()
    parts = list(_DURATION.finditer(text))
    if parts and "".join(part.group() for part in parts) == text:
        return sum(float(part[1]) * _UNITS[part[2]] for part in parts)
    try:
        return float(text)
    except ValueError:
        raise ValueError(
            f"{value!r} is not a duration; write seconds or a number with a unit: 0.4s 30s 5m 2h 7d"
        ) from None
