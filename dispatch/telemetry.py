"""Where spans and measurements come from: tracers, instruments, and the trace context that travels with a job.

OpenTelemetry is imported only when a provider is used or the user's own code has imported it already.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Mapping, MutableMapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

if TYPE_CHECKING:
    from opentelemetry.metrics import Counter, Histogram, MeterProvider
    from opentelemetry.trace import SpanContext, Tracer, TracerProvider

SOURCE = "dispatch"
"""The instrumentation scope of everything Dispatch emits."""

_BOUNDARIES = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 1800, 7200)


@dataclass(frozen=True, slots=True)
class Instruments:
    """The named instruments; their attributes are name, queue and state, never ids."""

    completed: Counter
    duration: Histogram
    wait: Histogram


_instruments: WeakKeyDictionary[MeterProvider, Instruments] = WeakKeyDictionary()
_lock = threading.Lock()


def tracer(provider: TracerProvider) -> Tracer:
    """Dispatch's tracer at that provider."""
    return provider.get_tracer(SOURCE)


def instruments(provider: MeterProvider) -> Instruments:
    """Dispatch's instruments at that provider, made at the first call."""
    with _lock:
        made = _instruments.get(provider)
        if made is None:
            made = _instruments[provider] = _make(provider)
        return made


def global_tracer_provider() -> TracerProvider | None:
    """The tracer provider that the process has set globally; None when there is none."""
    if "opentelemetry.trace" not in sys.modules:
        return None
    from opentelemetry import trace

    provider = trace.get_tracer_provider()
    return None if _stands_in(provider) else provider


def global_meter_provider() -> MeterProvider | None:
    """The meter provider that the process has set globally; None when there is none."""
    if "opentelemetry.metrics" not in sys.modules:
        return None
    from opentelemetry import metrics

    provider = metrics.get_meter_provider()
    return None if _stands_in(provider) else provider


def inject(metadata: MutableMapping[str, Any]) -> None:
    """Writes the current span as W3C `traceparent` (and `tracestate`) into a new job's metadata.

    Does nothing without a current span, or when the metadata names a producer already.
    """
    trace = sys.modules.get("opentelemetry.trace")
    if trace is None or "traceparent" in metadata or not trace.get_current_span().get_span_context().is_valid:
        return
    from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

    TraceContextTextMapPropagator().inject(metadata)


def extract(metadata: Mapping[str, Any]) -> SpanContext | None:
    """The producer's span named by a job's metadata; None when there is none or it is malformed."""
    carrier = {key: metadata[key] for key in ("traceparent", "tracestate") if isinstance(metadata.get(key), str)}
    if "traceparent" not in carrier:
        return None
    from opentelemetry.trace import get_current_span
    from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

    context = get_current_span(TraceContextTextMapPropagator().extract(carrier)).get_span_context()
    return context if context.is_valid else None


def _stands_in(provider: object) -> bool:
    """Whether it is one of the API's own placeholders, which record nothing."""
    return type(provider).__module__.startswith(("opentelemetry.trace", "opentelemetry.metrics"))


def _make(provider: MeterProvider) -> Instruments:
    meter = provider.get_meter(SOURCE)
    return Instruments(
        completed=meter.create_counter("dispatch.job.completed", unit="{job}", description="Attempts that completed"),
        duration=meter.create_histogram(
            "dispatch.job.duration",
            unit="s",
            description="How long an attempt took",
            explicit_bucket_boundaries_advisory=_BOUNDARIES,
        ),
        wait=meter.create_histogram(
            "dispatch.job.wait",
            unit="s",
            description="From due to started",
            explicit_bucket_boundaries_advisory=_BOUNDARIES,
        ),
    )
