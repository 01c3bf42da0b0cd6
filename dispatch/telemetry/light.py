"""The SDK's spans, made in full only when somebody asks more of one than its ids.

Most spans of jobs begin, are current, and end. The SDK makes locks, lists and checked copies for each of them; a
LightSpan leaves that until it is written to. It rests on inner names of the SDK, so it is used only where a trial with
the installed version shows no difference; elsewhere the tracer makes its own spans.
"""

from __future__ import annotations

import copy
import dis
import threading
from collections.abc import Callable, Sequence
from time import time_ns
from types import MappingProxyType
from typing import Any

from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.sdk.trace import ReadableSpan, SpanProcessor, SynchronousMultiSpanProcessor
from opentelemetry.sdk.trace import Span as SDKSpan
from opentelemetry.sdk.trace import Tracer as SDKTracer
from opentelemetry.sdk.trace.id_generator import RandomIdGenerator
from opentelemetry.sdk.trace.sampling import ALWAYS_ON, DEFAULT_ON, Decision
from opentelemetry.trace import (
    DEFAULT_TRACE_STATE,
    Link,
    NonRecordingSpan,
    Span,
    SpanContext,
    SpanKind,
    Status,
    StatusCode,
    TraceFlags,
)

from dispatch.telemetry.start import NO_PARENT, Attributes, Late, Start, as_dict, below, whole

_UNSET = Status(StatusCode.UNSET)
_OBVIOUS = (DEFAULT_ON, ALWAYS_ON)
"""Samplers that take every span with no parent, or with one that was taken, as it is; nobody need ask them then."""
_MOST = 20
"""Attributes and links that one span of ours has at most; a provider that allows fewer counts and drops by itself."""
_FLAGS = {
    (sampled, random): TraceFlags(TraceFlags.SAMPLED * sampled | TraceFlags.RANDOM_TRACE_ID * random)
    for sampled in (False, True)
    for random in (False, True)
}
_TAKE = Decision.RECORD_AND_SAMPLE
_NOTHING = ("RESUME", "LOAD_CONST", "RETURN_CONST", "RETURN_VALUE")
_filling = threading.Lock()


def starter(tracer: trace.Tracer) -> Start:
    """What starts spans at a tracer: light ones where they can be told from its own by nothing but their speed."""
    return LightStart(tracer) if type(tracer) is SDKTracer and _is_like(tracer) else whole(tracer)


class LightStart:
    """Starts light spans as the SDK's tracer starts whole ones: same ids, same sampling, same processors."""

    def __init__(self, tracer: SDKTracer) -> None:
        self.tracer: Any = tracer
        several = type(tracer.span_processor) is SynchronousMultiSpanProcessor
        self._processor: Any = tracer.span_processor if several else _Alone(tracer.span_processor)
        self._told = Told(())
        ids = tracer.id_generator
        self._trace_id, self._span_id = ids.generate_trace_id, ids.generate_span_id
        self._root_flags = _FLAGS[True, bool(ids.is_trace_id_random())]
        self._counts = type(self.tracer._tracer_metrics).__name__ != "NoOpTracerMetrics"

    def __call__(
        self,
        name: str,
        context: Context | SpanContext | None = None,
        kind: SpanKind = SpanKind.INTERNAL,
        attributes: Attributes | Late | None = None,
        links: Sequence[Link] | None = (),
    ) -> Span:
        tracer = self.tracer
        if not tracer._is_enabled():
            return whole(tracer)(name, context, kind, attributes, links)
        parent: SpanContext | None
        if context is NO_PARENT:
            parent = None
        elif isinstance(context, SpanContext):
            parent = context
        else:
            parent = trace.get_current_span(context).get_span_context()
        ask = tracer.sampler not in _OBVIOUS
        if parent is None or not parent.is_valid:
            parent, state, flags = None, DEFAULT_TRACE_STATE, self._root_flags
            trace_id = self._trace_id()
        else:
            trace_id, state, flags = parent.trace_id, parent.trace_state, parent.trace_flags
            ask = ask or not flags.sampled
            flags = _FLAGS[True, flags.random_trace_id]
        unusual = False
        decision: Any = _TAKE
        if ask:
            given = as_dict(attributes)  # samplers may write to it, as to any dict
            many = len(given or ())
            sampled = tracer.sampler.should_sample(below(context), trace_id, name, kind, given, links)
            decision, attributes = sampled.decision, sampled.attributes
            state = DEFAULT_TRACE_STATE if sampled.trace_state is None else sampled.trace_state
            flags = _FLAGS[decision.is_sampled(), flags.random_trace_id]
            unusual = len(sampled.attributes) != many or not decision.is_sampled()
        own = SpanContext(trace_id, self._span_id(), is_remote=False, trace_flags=flags, trace_state=state)
        count_end = tracer._tracer_metrics.start_span(parent, decision) if self._counts else None
        if unusual and not decision.is_recording():
            return NonRecordingSpan(own)
        span: Any = object.__new__(LightSpan)  # not made whole
        span._name, span._context, span._parent, span._kind = name, own, parent, kind
        if callable(attributes):
            span._late = attributes
        else:
            span._attributes = {} if attributes is None else attributes
        span._links = links or ()
        span._resource = tracer.resource
        span._instrumentation_info = tracer.instrumentation_info
        span._instrumentation_scope = tracer._instrumentation_scope
        span._source, span._count_end, span._end_time = self, count_end, None
        span._start_time = time_ns()
        if unusual:
            span.fill()  # with what the sampler has added, which nobody has checked; or it is seen but not exported
        for processor in self.told().starting:
            processor.on_start(span, parent_context=below(context))
        started: Span = span
        return started

    def told(self) -> Told:
        """The processors that there are now."""
        told = self._told
        if told.everyone is not self._processor._span_processors:  # a provider may be given more at any time
            told = self._told = Told(self._processor._span_processors)
        return told


class Told:
    """Who is told of spans: of those that do nothing when a span starts or is about to end, it is left out."""

    def __init__(self, everyone: tuple[SpanProcessor, ...]) -> None:
        self.everyone = everyone
        self.starting = [one for one in everyone if not _does_nothing(one.on_start)]
        self.ending = [one for one in everyone if not _does_nothing(one._on_ending)]


class _Alone:
    """A processor that stands for itself, and not for several."""

    def __init__(self, processor: SpanProcessor) -> None:
        self._span_processors = (processor,)


class LightSpan(SDKSpan):
    """A span of the SDK without what is needed only to write to it, which comes at the first touch."""

    _source: LightStart
    _count_end: Callable[[], None] | None
    _late: Late
    _whole = False
    _events = ()
    _status = _UNSET

    def end(self, end_time: int | None = None) -> None:
        if self._whole or self._end_time is not None:
            super().end(end_time)
            return
        self._end_time = time_ns() if end_time is None else end_time
        if self._count_end is not None:
            self._count_end()
        told = self._source.told()
        for processor in told.ending:
            processor._on_ending(self)
        for processor in told.everyone:
            processor.on_end(self)

    def fill(self) -> None:
        """Makes what a whole span has."""
        tracer = self._source.tracer
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
        made["_whole"] = True
        del made["_end_time"]  # it may end meanwhile, in another thread
        with _filling:
            if not self._whole:
                vars(self).update(made)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") or "_source" not in vars(self) or self._whole:
            raise AttributeError(f"{type(self).__name__!r} has no attribute {name!r}")
        if name == "_attributes":
            return vars(self).setdefault(name, self._late())
        self.fill()
        return getattr(self, name)


def _does_nothing(method: Callable[..., object]) -> bool:
    """Whether a method has nothing but a docstring; a call of one still takes time."""
    code = getattr(method, "__code__", None)
    return code is not None and all(made.opname in _NOTHING for made in dis.get_instructions(code))


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
        trial.sampler = tracer.sampler if tracer.sampler in _OBVIOUS else ALWAYS_ON
        trial.id_generator = RandomIdGenerator()
        trial.span_processor = SynchronousMultiSpanProcessor()  # type: ignore[no-untyped-call]
        trial.span_processor.add_span_processor(_Keeping(ended))
        for start in (trial.start_span, LightStart(trial)):
            _try(start)
        facts = [_facts(span) for span in ended]
        return len(facts) == 6 and facts[:3] == facts[3:] and type(ended[3]) is LightSpan
    except Exception:  # another version of the SDK, then
        return False


def _try(start: Start) -> None:
    """Spans that are left alone, with a parent and without one, and one that is written to."""
    producer = SpanContext(1, 2, True, TraceFlags(TraceFlags.SAMPLED))
    parent = trace.set_span_in_context(NonRecordingSpan(producer), Context())
    start("plain", parent, SpanKind.CONSUMER, MappingProxyType({"a": "b", "c": 1}), [Link(producer)]).end()
    start("root", Context(), attributes={"a": "b"}).end()
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
        *(
            context.trace_id if span.parent else "its own",
            context.trace_flags,
            context.trace_state,
            context.is_remote,
            context.is_valid,
        ),
    )


class _Keeping(SpanProcessor):
    def __init__(self, ended: list[ReadableSpan]) -> None:
        self._ended = ended

    def on_end(self, span: ReadableSpan) -> None:
        self._ended.append(span)
