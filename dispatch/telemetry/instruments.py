"""The instruments, made once for each meter provider. Their attributes are name, queue and state, never ids."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

from dispatch.telemetry.gathered import Spread
from dispatch.telemetry.providers import SOURCE

if TYPE_CHECKING:
    from opentelemetry.metrics import CallbackOptions, Meter, MeterProvider, Observation, _Gauge

_BOUNDARIES = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 1800, 7200)

_NAME = ("name",)
_JOB = ("name", "queue")


class Levels:
    """How many there are now, by the values of the attributes that it names; told when somebody reads."""

    def __init__(self, name: str, keys: Sequence[str]) -> None:
        self.name = name
        self._keys = tuple(keys)
        self._levels: dict[tuple[str, ...], Level] = {}

    def of(self, *values: str) -> Level:
        """The level of these attributes."""
        return self._levels.get(values) or self._levels.setdefault(values, Level())

    def read(self, options: CallbackOptions) -> list[Observation]:
        """The levels now."""
        from opentelemetry.metrics import Observation

        levels = list(self._levels.items())
        return [Observation(found.height, dict(zip(self._keys, values, strict=True))) for values, found in levels]


class Level:
    """How many have come, from any thread, and not gone yet; a list grows and shrinks without a lock."""

    __slots__ = ("_there", "enter", "leave")

    def __init__(self) -> None:
        self._there: list[None] = []
        self.enter = partial(self._there.append, None)
        self.leave = self._there.pop

    @property
    def height(self) -> int:
        return len(self._there)


class Count:
    """A sum by the values of the attributes that it names, told when somebody reads: an SDK's own counter takes ten
    times as long for every one that is added."""

    def __init__(self, name: str, keys: Sequence[str]) -> None:
        self.name = name
        self._keys = tuple(keys)
        self._sums: dict[tuple[str, ...], Sum] = {}

    def of(self, *values: str) -> Sum:
        """The sum of these attributes; for those who add to it often."""
        found = self._sums.get(values)
        return self._sums.setdefault(values, Sum()) if found is None else found

    def add(self, amount: int, *values: str) -> None:
        """Adds to the sum of these attributes; from any thread."""
        (self._sums.get(values) or self.of(*values)).add(amount)

    def read(self, options: CallbackOptions) -> list[Observation]:
        """The sums so far."""
        from opentelemetry.metrics import Observation

        sums = list(self._sums.items())
        return [Observation(found.total, dict(zip(self._keys, values, strict=True))) for values, found in sums]


class Sum:
    """A number that any thread adds to."""

    __slots__ = ("_lock", "total")

    def __init__(self) -> None:
        self.total = 0
        self._lock = threading.Lock()

    def add(self, amount: int) -> None:
        with self._lock:
            self.total += amount


@dataclass(frozen=True, slots=True)
class Instruments:
    """The named instruments."""

    enqueued: Count
    completed: Count
    failed: Count
    retried: Count
    dead: Count
    cancelled: Count
    stolen: Count
    runs_started: Count
    runs_completed: Count
    runs_failed: Count
    fired: Count
    missed: Count
    stale_writes: Count
    duration: Spread
    wait: Spread
    store_calls: Spread
    running: Levels
    depth: _Gauge
    oldest_age: _Gauge
    loop_lag: _Gauge


_instruments: WeakKeyDictionary[MeterProvider, Instruments] = WeakKeyDictionary()
_lock = threading.Lock()


def instruments(provider: MeterProvider) -> Instruments:
    """Dispatch's instruments at that provider, made at the first call."""
    with _lock:
        made = _instruments.get(provider)
        if made is None:
            made = _instruments[provider] = _make(provider.get_meter(SOURCE))
        return made


def _make(meter: Meter) -> Instruments:
    def count(name: str, unit: str, text: str, keys: Sequence[str]) -> Count:
        made = Count(f"dispatch.{name}", keys)
        meter.create_observable_counter(made.name, [made.read], unit=unit, description=text)
        return made

    def seconds(name: str, text: str, keys: Sequence[str]) -> Spread:
        limits: dict[str, Any] = {"explicit_bucket_boundaries_advisory": _BOUNDARIES}
        histogram = meter.create_histogram(f"dispatch.{name}", unit="s", description=text, **limits)
        return Spread(f"dispatch.{name}", histogram, keys)

    def level(name: str, unit: str, text: str) -> _Gauge:
        return meter.create_gauge(f"dispatch.{name}", unit=unit, description=text)

    duration = seconds("job.duration", "How long an attempt took", (*_JOB, "state"))
    wait = seconds("job.wait", "From due to started", _JOB)
    store_calls = seconds("store.call.duration", "How long a call of the store took", _NAME)
    running = Levels("dispatch.worker.running", _JOB)
    read = [running.read, *(spread.hand_over for spread in (duration, wait, store_calls))]
    meter.create_observable_up_down_counter(running.name, read, unit="{job}", description="Attempts that run")
    return Instruments(
        enqueued=count("job.enqueued", "{job}", "Jobs that were written", _JOB),
        completed=count("job.completed", "{job}", "Jobs that completed", _JOB),
        failed=count("job.failed", "{job}", "Jobs that failed for good", _JOB),
        retried=count("job.retried", "{job}", "Attempts that failed and are repeated", _JOB),
        dead=count("job.dlq", "{job}", "Jobs that became dead letters", _JOB),
        cancelled=count("job.cancelled", "{job}", "Jobs that were cancelled or expired", _JOB),
        stolen=count("job.stolen", "{job}", "Jobs taken from workers that were lost", _JOB),
        runs_started=count("workflow.started", "{run}", "Workflow runs that began", _JOB),
        runs_completed=count("workflow.completed", "{run}", "Workflow runs that completed", _JOB),
        runs_failed=count("workflow.failed", "{run}", "Workflow runs that failed for good", _JOB),
        fired=count("cron.fired", "{tick}", "Ticks of cron entries that made a job or a run", _NAME),
        missed=count("cron.missed", "{tick}", "Ticks of cron entries that nobody fired in time", _NAME),
        stale_writes=count("store.stale_writes", "{write}", "Outcomes that came too late and were refused", _JOB),
        duration=duration,
        wait=wait,
        store_calls=store_calls,
        running=running,
        depth=level("queue.depth", "{job}", "Jobs that wait, for a worker or for their time"),
        oldest_age=level("queue.oldest_age", "s", "How long the oldest due job waits"),
        loop_lag=level("worker.loop_lag", "s", "How late the event loop is"),
    )
