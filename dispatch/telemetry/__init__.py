"""Where spans and measurements go, and the trace context that travels with jobs and runs.

OpenTelemetry is imported only when a provider is used or the user's own code has imported it already.
"""

from dispatch.telemetry.carrier import carried, extract, inject, trace_ids
from dispatch.telemetry.gathered import Spread
from dispatch.telemetry.instruments import Instruments, instruments
from dispatch.telemetry.providers import SOURCE, global_meter_provider, global_tracer_provider, tracer
from dispatch.telemetry.telemetry import OFF, Telemetry

__all__ = [
    "OFF",
    "SOURCE",
    "Instruments",
    "Spread",
    "Telemetry",
    "carried",
    "extract",
    "global_meter_provider",
    "global_tracer_provider",
    "inject",
    "instruments",
    "trace_ids",
    "tracer",
]
