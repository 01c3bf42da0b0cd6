"""The providers that the process has set globally, looked up without importing OpenTelemetry."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from opentelemetry.metrics import MeterProvider
    from opentelemetry.trace import Tracer, TracerProvider

SOURCE = "dispatch"
"""The instrumentation scope of everything Dispatch emits."""


def tracer(provider: TracerProvider) -> Tracer:
    """Dispatch's tracer at that provider."""
    return provider.get_tracer(SOURCE)


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


def _stands_in(provider: object) -> bool:
    """Whether it is one of the API's own placeholders, which record nothing."""
    return type(provider).__module__.startswith(("opentelemetry.trace", "opentelemetry.metrics"))
