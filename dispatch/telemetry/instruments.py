"""The instruments, made once for each meter provider. Their attributes are name, queue and state, never ids."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

from dispatch.telemetry.providers import SOURCE

if TYPE_CHECKING:
    from opentelemetry.metrics import CallbackOptions, Histogram, Meter, MeterProvider, Observation, _Gauge

_BOUNDARIES = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 1800, 7200)


class Count:
    """A sum for each set of attributes, which is told when somebody reads: an SDK's own counter takes ten times as long
    for every one that is added."""

    def __init__(self, name: str) -> None:
        self.name = name
        self._sums: dict[tuple[tuple[str, str], ...], int] = {}
        self._lock = threading.Lock()

    def add(self, amount: int, attributes: dict[str, str]) -> None:
        """Adds to the sum of these attributes; from any thread."""
        key = tuple(attributes.items())
        with self._lock:
            self._sums[key] = self._sums.get(key, 0) + amount

    def read(self, options: CallbackOptions) -> list[Observation]:
        """The sums so far."""
        from opentelemetry.metrics import Observation

        with self._lock:
            return [Observation(total, dict(key)) for key, total in self._sums.items()]


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
    duration: Histogram
    wait: Histogram
    store_calls: Histogram
    running: Count
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
    def count(name: str, unit: str, text: str) -> Count:
        made = Count(f"dispatch.{name}")
        meter.create_observable_counter(made.name, [made.read], unit=unit, description=text)
        return made

    def up_and_down(name: str, unit: str, text: str) -> Count:
        made = Count(f"dispatch.{name}")
        meter.create_observable_up_down_counter(made.name, [made.read], unit=unit, description=text)
        return made

    def seconds(name: str, text: str) -> Histogram:
        limits: dict[str, Any] = {"explicit_bucket_boundaries_advisory": _BOUNDARIES}
        return meter.create_histogram(f"dispatch.{name}", unit="s", description=text, **limits)

    def level(name: str, unit: str, text: str) -> _Gauge:
        return meter.create_gauge(f"dispatch.{name}", unit=unit, description=text)

    return Instruments(
        enqueued=count("job.enqueued", "{job}", "Jobs that were written"),
        completed=count("job.completed", "{job}", "Jobs that completed"),
        failed=count("job.failed", "{job}", "Jobs that failed for good"),
        retried=count("job.retried", "{job}", "Attempts that failed and are repeated"),
        dead=count("job.dlq", "{job}", "Jobs that became dead letters"),
        cancelled=count("job.cancelled", "{job}", "Jobs that were cancelled or expired"),
        stolen=count("job.stolen", "{job}", "Jobs taken from workers that were lost"),
        runs_started=count("workflow.started", "{run}", "Workflow runs that began"),
        runs_completed=count("workflow.completed", "{run}", "Workflow runs that completed"),
        runs_failed=count("workflow.failed", "{run}", "Workflow runs that failed for good"),
        fired=count("cron.fired", "{tick}", "Ticks of cron entries that made a job or a run"),
        missed=count("cron.missed", "{tick}", "Ticks of cron entries that nobody fired in time"),
        stale_writes=count("store.stale_writes", "{write}", "Outcomes that came too late and were refused"),
        duration=seconds("job.duration", "How long an attempt took"),
        wait=seconds("job.wait", "From due to started"),
        store_calls=seconds("store.call.duration", "How long a call of the store took"),
        running=up_and_down("worker.running", "{job}", "Attempts that run"),
        depth=level("queue.depth", "{job}", "Jobs that wait, for a worker or for their time"),
        oldest_age=level("queue.oldest_age", "s", "How long the oldest due job waits"),
        loop_lag=level("worker.loop_lag", "s", "How late the event loop is"),
    )
