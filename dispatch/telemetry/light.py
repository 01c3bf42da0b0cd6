"""The SDK's spans, made in full only when somebody asks more of one than its ids: a quarter of the time.

Most spans of jobs begin, are current, and end. The SDK makes locks, lists and checked copies for each of them; a
LightSpan leaves that until it is written to. It rests on inner names of the SDK, so it is used only where a trial with
the installed version shows no difference; elsewhere the tracer makes its own spans.
"""

from __future__ import annotations

import copy
import threading
from collections.abc import Callable, Sequence
from time import time_ns
from typing import Any, Protocol

from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.sdk.trace import ReadableSpan, SpanProcessor
from opentelemetry.sdk.trace import Span as SDKSpan
from opentelemetry.sdk.trace import Tracer as SDKTracer
from opentelemetry.sdk.trace.sampling import ALWAYS_ON
from opentelemetry.trace import Link, NonRecordingSpan, Span, SpanContext, SpanKind, Status, StatusCode, TraceFlags

Attributes = dict[str, Any]
_UNSET = Status(StatusCode.UNSET)
_MOST = 20
"""Attributes and links that one span of ours has at most; a provider that allows fewer counts and drops by itself."""
_FLAGS = {
    (sampled, random): TraceFlags(TraceFlags.SAMPLED * sampled | TraceFlags.RANDOM_TRACE_ID * random)
    for sampled in (False, True)
    for random in (False, True)
}
_filling = threading.Lock()


class Start(Protocol):
    """What `Tracer.start_span` does, with the arguments that we give."""

    def __call__(
        self,
        name: str,
        context: Context | None = None,
        kind: SpanKind = SpanKind.INTERNAL,
        attributes: Attributes | None = None,
        links: Sequence[Link] | None = (),
    ) -> Span: ...


def starter(tracer: trace.Tracer) -> Start:
    """What starts spans at a tracer: light ones where they can be told from its own by nothing but their speed."""
    if type(tracer) is SDKTracer and _is_like(tracer):
        return LightStart(tracer)
    return tracer.start_span


class LightStart:
    """Starts light spans as the SDK's tracer starts whole ones: same ids, same sampling, same processors."""

    def __init__(self, tracer: SDKTracer) -> None:
        self._tracer: Any = tracer

    def __call__(
        self,
        name: str,
        context: Context | None = None,
        kind: SpanKind = SpanKind.INTERNAL,
        attributes: Attributes | None = None,
        links: Sequence[Link] | None = (),
    ) -> Span:
        tracer = self._tracer
        if not tracer._is_enabled():
            started: Span = tracer.start_span(name, context, kind, attributes, links)
            return started
        ids, attributes, links = tracer.id_generator, attributes or {}, links or ()
        parent: SpanContext | None = trace.get_current_span(context).get_span_context()
        if parent is not None and parent.is_valid:
            trace_id, random_id = parent.trace_id, parent.trace_flags.random_trace_id
        else:
            parent, trace_id, random_id = None, ids.generate_trace_id(), ids.is_trace_id_random()
        sampled = tracer.sampler.should_sample(context, trace_id, name, kind, attributes, links)
        flags = _FLAGS[sampled.decision.is_sampled(), bool(random_id)]
        own = SpanContext(trace_id, ids.generate_span_id(), False, flags, sampled.trace_state)
        count_end = tracer._tracer_metrics.start_span(parent, sampled.decision)
        if not sampled.decision.is_recording():
            return NonRecordingSpan(own)
        span = object.__new__(LightSpan)  # not made whole
        ReadableSpan.__init__(
            span, name, own, parent, tracer.resource, sampled.attributes, (), links, kind, tracer.instrumentation_info,
            _UNSET, time_ns(), None, tracer._instrumentation_scope,
        )  # fmt: skip
        span._tracer, span._count_end = tracer, count_end
        if len(sampled.attributes) != len(attributes):
            span.fill()  # the sampler has added some, which nobody has checked
        tracer.span_processor.on_start(span, parent_context=context)
        return span


class LightSpan(SDKSpan):
    """A span of the SDK without what is needed only to write to it, which comes at the first touch."""

    _tracer: Any
    _count_end: Callable[[], None]

    def end(self, end_time: int | None = None) -> None:
        if self._end_time is not None or "_lock" in vars(self):
            super().end(end_time)
            return
        self._end_time = time_ns() if end_time is None else end_time
        self._count_end()
        processor = self._tracer.span_processor
        processor._on_ending(self)
        processor.on_end(self)

    def fill(self) -> None:
        """Makes what a whole span has."""
        tracer = self._tracer
        whole = object.__new__(LightSpan)
        SDKSpan.__init__(
            whole,
            self._name,
            self._context,  # type: ignore[arg-type]
            self._parent,
            sampler=tracer.sampler,
            resource=self._resource,
            attributes=self._attributes,
            links=self._links,
            kind=self._kind,
            span_processor=tracer.span_processor,
            instrumentation_info=self._instrumentation_info,
            limits=tracer._span_limits,
            instrumentation_scope=self._instrumentation_scope,
            record_end_metrics=self._count_end,
        )
        made = vars(whole)
        made["_start_time"] = self._start_time
        del made["_end_time"]  # it may end meanwhile, in another thread
        with _filling:
            if "_lock" not in vars(self):
                vars(self).update(made)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") or "_tracer" not in vars(self) or "_lock" in vars(self):
            raise AttributeError(f"{type(self).__name__!r} has no attribute {name!r}")
        self.fill()
        return getattr(self, name)


def _is_like(tracer: SDKTracer) -> bool:
    """Whether light spans of this tracer end up as its own do, in a trial that nobody else sees."""
    try:
        limits: Any = tracer._span_limits
        least = (limits.max_span_attributes, limits.max_attributes, limits.max_links)
        if any(most is not None and most < _MOST for most in least):
            return False
        if limits.max_span_attribute_length is not None or limits.max_attribute_length is not None:
            return False
        ended: list[ReadableSpan] = []
        trial: Any = copy.copy(tracer)
        trial.span_processor, trial.sampler = _Keeping(ended), ALWAYS_ON
        for start in (trial.start_span, LightStart(trial)):
            _try(start)
        facts = [_facts(span) for span in ended]
        return len(facts) == 4 and facts[:2] == facts[2:] and type(ended[2]) is LightSpan
    except Exception:  # another version of the SDK, then
        return False


def _try(start: Start) -> None:
    """One span that is left alone, and one that is written to."""
    producer = SpanContext(1, 2, True, TraceFlags(TraceFlags.SAMPLED))
    parent = trace.set_span_in_context(NonRecordingSpan(producer), Context())
    start("plain", parent, SpanKind.CONSUMER, {"a": "b", "c": 1}, [Link(producer)]).end()
    written = start("written", parent, SpanKind.PRODUCER, {"a": "b"})
    written.set_attribute("d", [1, 2])
    written.add_event("happened", {"e": 3}, timestamp=4)
    written.set_status(Status(StatusCode.ERROR, "f"))
    written.end()


def _facts(span: ReadableSpan) -> tuple[object, ...]:
    context = span.get_span_context()
    assert context is not None and span.start_time is not None and span.end_time is not None
    return (
        *(span.name, span.kind, span.parent, dict(span.attributes or {}), span.resource, span.instrumentation_scope),
        [(event.name, dict(event.attributes or {}), event.timestamp) for event in span.events],
        [(link.context, dict(link.attributes or {})) for link in span.links],
        *(span.status.status_code, span.status.description, span.start_time <= span.end_time),
        *(context.trace_id, context.trace_flags, context.trace_state, context.is_remote, context.is_valid),
    )


class _Keeping(SpanProcessor):
    def __init__(self, ended: list[ReadableSpan]) -> None:
        self._ended = ended

    def on_end(self, span: ReadableSpan) -> None:
        self._ended.append(span)
