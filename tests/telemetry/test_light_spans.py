"""Light spans end up as the SDK's own do, whatever is done with them."""

from __future__ import annotations

import copy
import logging
from collections.abc import Iterator, Sequence
from typing import Any

import pytest
from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.sdk.trace import (
    ConcurrentMultiSpanProcessor,
    ReadableSpan,
    Span,
    SpanLimits,
    SpanProcessor,
    TracerProvider,
)
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF, Decision, Sampler, SamplingResult
from opentelemetry.trace import Link, SpanContext, SpanKind, Status, StatusCode, TraceFlags

from dispatch.telemetry import light as light_spans
from dispatch.telemetry.light import LightSpan, LightStart, starter

PRODUCER = SpanContext(7, 8, True, TraceFlags(TraceFlags.SAMPLED))


@pytest.fixture
def exporter() -> InMemorySpanExporter:
    return InMemorySpanExporter()


@pytest.fixture
def provider(exporter: InMemorySpanExporter) -> Iterator[TracerProvider]:
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    yield provider
    provider.shutdown()


def light(provider: TracerProvider) -> LightStart:
    start = starter(provider.get_tracer("test"))
    assert isinstance(start, LightStart)
    return start


def only(exporter: InMemorySpanExporter) -> ReadableSpan:
    (span,) = exporter.get_finished_spans()
    return span


def test_a_span_that_is_only_begun_and_ended_stays_light_and_tells_everything(
    provider: TracerProvider, exporter: InMemorySpanExporter
) -> None:
    parent = trace.set_span_in_context(trace.NonRecordingSpan(PRODUCER), Context())
    span = light(provider)("process q", parent, SpanKind.CONSUMER, {"a": "b", "n": 1}, [Link(PRODUCER)])
    assert isinstance(span, LightSpan) and span.is_recording()
    span.end(end_time=5)
    assert "_lock" not in vars(span)
    found = only(exporter)
    assert (found.name, found.kind, found.parent, found.end_time) == ("process q", SpanKind.CONSUMER, PRODUCER, 5)
    assert dict(found.attributes or {}) == {"a": "b", "n": 1}
    assert [link.context for link in found.links] == [PRODUCER]
    own = span.get_span_context()
    assert (found.context, own.trace_id, own.trace_flags.sampled) == (own, 7, True)
    assert found.instrumentation_scope is not None and found.instrumentation_scope.name == "test"
    assert '"name": "process q"' in found.to_json()
    assert not span.is_recording()
    span.end()
    assert only(exporter).end_time == 5


def test_what_is_written_to_a_light_span_is_there(provider: TracerProvider, exporter: InMemorySpanExporter) -> None:
    span = light(provider)("work", attributes={"a": "b"})
    span.set_attribute("list", [1, "two"])
    span.set_attributes({"c": 2})
    span.add_event("happened", {"d": 3}, timestamp=4)
    span.add_link(PRODUCER)
    span.record_exception(ValueError("no"))
    span.set_status(Status(StatusCode.ERROR, "why"))
    span.update_name("other work")
    span.end()
    found = only(exporter)
    assert found.name == "other work"
    assert dict(found.attributes or {}) == {"a": "b", "list": (1, "two"), "c": 2}
    assert [event.name for event in found.events] == ["happened", "exception"]
    assert [link.context for link in found.links] == [PRODUCER]
    assert (found.status.status_code, found.status.description) == (StatusCode.ERROR, "why")


def test_what_is_written_after_the_end_is_refused(
    provider: TracerProvider, exporter: InMemorySpanExporter, caplog: pytest.LogCaptureFixture
) -> None:
    span = light(provider)("work", attributes={"a": "b"})
    span.end()
    with caplog.at_level(logging.WARNING):
        span.set_attribute("late", True)
        span.add_event("late")
    assert len(caplog.records) == 2
    found = only(exporter)
    assert (dict(found.attributes or {}), found.events) == ({"a": "b"}, ())


def test_what_a_span_has_not_is_not_made_up(provider: TracerProvider) -> None:
    span = light(provider)("work")
    assert not hasattr(span, "no_such_thing")
    assert not hasattr(object.__new__(LightSpan), "no_such_thing")
    assert not hasattr(span, "__no_such_protocol__")
    assert copy.copy(span).get_span_context() == span.get_span_context()


def test_children_of_a_light_span_are_in_its_trace(provider: TracerProvider, exporter: InMemorySpanExporter) -> None:
    start = light(provider)
    with trace.use_span(start("outer"), end_on_exit=True) as outer:
        start("inner").end()
        with provider.get_tracer("theirs").start_as_current_span("their own"):
            pass
    inner, theirs, _ = exporter.get_finished_spans()
    assert inner.parent == theirs.parent == outer.get_span_context()
    assert (inner.context.trace_id if inner.context else 0) == outer.get_span_context().trace_id


def test_a_span_that_is_not_sampled_records_nothing() -> None:
    span = starter(TracerProvider(ALWAYS_OFF).get_tracer("test"))("work")
    assert not span.is_recording()
    assert span.get_span_context().is_valid and not span.get_span_context().trace_flags.sampled


class Adding(Sampler):
    def should_sample(
        self, parent_context: Any, trace_id: int, name: str, kind: Any = None, attributes: Any = None,
        links: Sequence[Link] | None = None, trace_state: Any = None,
    ) -> SamplingResult:  # fmt: skip
        return SamplingResult(Decision.RECORD_AND_SAMPLE, {**(attributes or {}), "added": ["by", "the sampler"]})

    def get_description(self) -> str:
        return "adds"


def test_what_a_sampler_adds_is_checked_as_the_sdk_does(exporter: InMemorySpanExporter) -> None:
    provider = TracerProvider(Adding())
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    light(provider)("work", attributes={"a": 1}).end()
    assert dict(only(exporter).attributes or {}) == {"a": 1, "added": ("by", "the sampler")}


def test_a_processor_that_writes_to_each_span_is_heard(
    provider: TracerProvider, exporter: InMemorySpanExporter
) -> None:
    class Writing(SpanProcessor):
        def on_start(self, span: Span, parent_context: Context | None = None) -> None:
            span.set_attribute("written", span.name)

    provider.add_span_processor(Writing())
    light(provider)("work").end()
    assert dict(only(exporter).attributes or {}) == {"written": "work"}


def test_a_processor_that_comes_later_or_has_its_say_before_the_end_is_heard(
    provider: TracerProvider, exporter: InMemorySpanExporter
) -> None:
    ending: list[str] = []

    class Late(SpanProcessor):
        def on_start(self, span: Span, parent_context: Context | None = None) -> None:
            span.set_attribute("begun", True)

        def _on_ending(self, span: Span) -> None:
            ending.append(span.name)

    start = light(provider)
    start("before").end()
    provider.add_span_processor(Late())
    start("after").end()
    before, after = exporter.get_finished_spans()
    assert (dict(before.attributes or {}), dict(after.attributes or {})) == ({}, {"begun": True})
    assert ending == ["after"]


def test_a_processor_that_stands_for_several_threads_is_told_of_all(exporter: InMemorySpanExporter) -> None:
    provider = TracerProvider(active_span_processor=ConcurrentMultiSpanProcessor(1))
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    light(provider)("work").end()
    assert only(exporter).name == "work"
    provider.shutdown()


@pytest.mark.parametrize(("flags", "recorded"), [(TraceFlags.SAMPLED, True), (TraceFlags.DEFAULT, False)])
def test_what_was_decided_of_the_parent_holds_for_the_span(
    flags: int, recorded: bool, provider: TracerProvider, exporter: InMemorySpanExporter
) -> None:
    state = trace.TraceState([("vendor", "said")])
    producer = SpanContext(7, 8, True, TraceFlags(flags | TraceFlags.RANDOM_TRACE_ID), state)
    parent = trace.set_span_in_context(trace.NonRecordingSpan(producer), Context())
    start, theirs = light(provider), provider.get_tracer("theirs")
    found = []
    for span in (start("work", parent), theirs.start_span("work", parent)):
        own = span.get_span_context()
        found.append((span.is_recording(), own.trace_id, own.trace_flags, own.trace_state))
        span.end()
    assert found[0] == found[1] and found[0][0] is recorded
    assert len(exporter.get_finished_spans()) == 2 * recorded


def test_attributes_are_made_when_they_are_read(provider: TracerProvider, exporter: InMemorySpanExporter) -> None:
    made: list[dict[str, int]] = []

    def late() -> dict[str, int]:
        made.append({"a": 1})
        return made[-1]

    light(provider)("work", Context(), attributes=late).end()
    assert made == []
    assert [dict(only(exporter).attributes or {}) for _ in range(2)] == [{"a": 1}] * 2
    assert len(made) == 1


def test_where_the_sdk_must_count_attributes_or_cut_them_it_makes_its_own_spans() -> None:
    for limits in (
        SpanLimits(max_span_attributes=3),
        SpanLimits(max_span_attribute_length=10),
        SpanLimits(max_links=0),
    ):
        tracer = TracerProvider(span_limits=limits).get_tracer("test")
        assert not isinstance(starter(tracer), LightStart)


def test_a_tracer_of_another_kind_makes_its_own_spans() -> None:
    tracer = trace.NoOpTracerProvider().get_tracer("test")
    assert not isinstance(starter(tracer), LightStart)


def test_an_sdk_that_works_otherwise_makes_its_own_spans(
    provider: TracerProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    def renamed(self: ReadableSpan, *args: Any, **kwargs: Any) -> None:
        raise TypeError("takes other arguments now")

    monkeypatch.setattr(ReadableSpan, "__init__", renamed)
    tracer = provider.get_tracer("test")
    assert not isinstance(starter(tracer), LightStart)


def test_an_end_while_another_thread_begins_to_write_is_kept(
    provider: TracerProvider, exporter: InMemorySpanExporter, monkeypatch: pytest.MonkeyPatch
) -> None:
    span = light(provider)("work")
    assert isinstance(span, LightSpan)

    class Meanwhile:
        def __enter__(self) -> None:
            span.end(5)

        def __exit__(self, *_: object) -> None: ...

    monkeypatch.setattr(light_spans, "_filling", Meanwhile())
    span.fill()
    span.end(9)
    assert only(exporter).end_time == 5
