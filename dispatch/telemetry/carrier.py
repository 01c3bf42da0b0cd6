"""The trace context in a job's metadata: `traceparent` and `tracestate` of the W3C."""

from __future__ import annotations

import re
import sys
from collections.abc import Mapping, MutableMapping
from functools import lru_cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from opentelemetry.trace import SpanContext

KEYS = ("traceparent", "tracestate")
LONGEST_STATE = 512
"""Letters of a `tracestate` that are carried: what the W3C asks for; a request's header may be longer."""
_PLAIN = re.compile("00-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}")


def inject(metadata: MutableMapping[str, Any]) -> None:
    """Writes the current span as W3C `traceparent` (and `tracestate`) into a new job's metadata.

    Does nothing without a current span, or when the metadata names a producer already.
    """
    trace = sys.modules.get("opentelemetry.trace")
    if trace is None or "traceparent" in metadata:
        return
    context = trace.get_current_span().get_span_context()
    if context.is_valid:
        metadata.update(carrier_of(context))


def extract(metadata: Mapping[str, Any]) -> SpanContext | None:
    """The producer's span named by a job's metadata; None when there is none or it is malformed."""
    parent = metadata.get("traceparent")
    if not isinstance(parent, str):
        return None
    if "tracestate" not in metadata and _PLAIN.fullmatch(parent):
        return _parsed(parent)  # a tenth of the time that a propagator takes
    carrier = carried(metadata)
    from opentelemetry.trace import get_current_span
    from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

    context = get_current_span(TraceContextTextMapPropagator().extract(carrier)).get_span_context()
    return context if context.is_valid else None


@lru_cache(maxsize=64)
def _parsed(traceparent: str) -> SpanContext | None:
    """The span that a plain `traceparent` names; the jobs of a bulk enqueue all name the same."""
    from opentelemetry.trace import SpanContext, TraceFlags

    trace_id, span_id, flags = int(traceparent[3:35], 16), int(traceparent[36:52], 16), int(traceparent[53:], 16)
    context = SpanContext(trace_id, span_id, is_remote=True, trace_flags=TraceFlags(flags))
    return context if context.is_valid else None


def carried(metadata: Mapping[str, Any]) -> dict[str, str]:
    """What of a job's metadata is trace context, so that work which comes of the job can go on with it."""
    if "traceparent" not in metadata:
        return {}
    found = {key: metadata[key] for key in KEYS if isinstance(metadata.get(key), str)}
    return found if "traceparent" in found else {}


def carrier_of(context: SpanContext) -> dict[str, str]:
    """A span's context as metadata."""
    parent = f"00-{context.trace_id:032x}-{context.span_id:016x}-{context.trace_flags:02x}"
    state = context.trace_state.to_header() if context.trace_state else ""
    return {"traceparent": parent, **({"tracestate": state} if 0 < len(state) <= LONGEST_STATE else {})}


def trace_ids() -> dict[str, str]:
    """`trace_id` and `span_id` of the current span, in hexadecimal, for log records; empty without one."""
    trace = sys.modules.get("opentelemetry.trace")
    if trace is None:
        return {}
    context = trace.get_current_span().get_span_context()
    return {"trace_id": f"{context.trace_id:032x}", "span_id": f"{context.span_id:016x}"} if context.is_valid else {}
