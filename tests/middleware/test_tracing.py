"""Spans of attempts, and the trace context that travels with a job."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from dispatch import telemetry
from dispatch.errors import HandlerTimeout, Snooze
from dispatch.jobs.model import Job
from dispatch.middleware import Timeout, Tracing, chain
from dispatch.scope import Scope

MakeJob = Callable[..., Job]


@pytest.fixture
def exporter() -> InMemorySpanExporter:
    return InMemorySpanExporter()


@pytest.fixture
def provider(exporter: InMemorySpanExporter) -> Iterator[TracerProvider]:
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    yield provider
    provider.shutdown()


def failing(error: BaseException) -> Callable[[Job], Any]:
    async def handler(job: Job) -> None:
        raise error

    return handler


async def test_an_attempt_is_a_consumer_span_with_the_documented_attributes(
    provider: TracerProvider, exporter: InMemorySpanExporter, make_job: MakeJob
) -> None:
    job = make_job(scope=Scope("shop", "t-42"), failures=2)
    current: list[trace.Span] = []

    async def handler(job: Job) -> str:
        current.append(trace.get_current_span())
        return "done"

    assert await chain([Tracing(provider)], handler)(job) == "done"
    (span,) = exporter.get_finished_spans()
    assert (span.name, span.kind, span.parent, span.links) == ("process mails", trace.SpanKind.CONSUMER, None, ())
    assert current[0].get_span_context() == span.context
    assert not trace.get_current_span().get_span_context().is_valid
    assert dict(span.attributes or {}) == {
        "messaging.system": "dispatch",
        "messaging.operation.name": "process",
        "messaging.operation.type": "process",
        "messaging.destination.name": "mails",
        "messaging.message.id": job.id,
        "dispatch.job.id": job.id,
        "dispatch.job.name": "mail.send",
        "dispatch.job.attempt": 3,
        "dispatch.job.epoch": 7,
        "dispatch.queue": "mails",
        "dispatch.scope.app_id": "shop",
        "dispatch.scope.org_id": "t-42",
    }
    assert span.status.status_code is trace.StatusCode.UNSET


@pytest.mark.parametrize("follow", [True, False])
async def test_the_span_is_linked_to_the_producer_and_its_child_unless_traces_are_to_be_linked_alone(
    provider: TracerProvider, exporter: InMemorySpanExporter, make_job: MakeJob, follow: bool
) -> None:
    metadata: dict[str, Any] = {"mine": 1}
    with telemetry.tracer(provider).start_as_current_span("request") as producer:
        telemetry.inject(metadata)
        with pytest.raises(Snooze):
            await chain([Tracing(provider, follow=follow)], failing(Snooze(1)))(make_job(metadata=metadata))
    span = exporter.get_finished_spans()[0]
    context = producer.get_span_context()
    assert [(link.context.trace_id, link.context.span_id) for link in span.links] == [
        (context.trace_id, context.span_id)
    ]
    assert span.context is not None
    assert (span.context.trace_id == context.trace_id) == follow
    assert (None if span.parent is None else span.parent.span_id) == (context.span_id if follow else None)
    assert span.status.status_code is trace.StatusCode.UNSET


def only(exporter: InMemorySpanExporter) -> tuple[ReadableSpan, str]:
    (span,) = exporter.get_finished_spans()
    return span, str((span.attributes or {})["error.type"])


async def test_the_span_tells_of_the_attempt_that_it_is_about_whatever_becomes_of_the_job_before_it_is_read(
    provider: TracerProvider, exporter: InMemorySpanExporter, make_job: MakeJob
) -> None:
    async def handler(job: Job) -> None: ...

    job = make_job(failures=2, metadata={"traceparent": f"00-{7:032x}-{8:016x}-01"})
    await chain([Tracing(provider)], handler)(job)
    job.failures, job.epoch, job.queue = 3, 8, "elsewhere"
    (span,) = exporter.get_finished_spans()
    attributes = dict(span.attributes or {})
    told = [attributes[f"dispatch.{key}"] for key in ("job.attempt", "job.epoch", "queue")]
    assert told == [3, 7, "mails"]
    written = json.loads(span.to_json())
    assert (written["attributes"], [link["attributes"] for link in written["links"]]) == (attributes, [{}])


@pytest.mark.parametrize("error", [ValueError("no such user"), SystemExit(2), asyncio.CancelledError()])
async def test_what_the_handler_raises_is_recorded(
    provider: TracerProvider, exporter: InMemorySpanExporter, make_job: MakeJob, error: BaseException
) -> None:
    with pytest.raises(type(error)):
        await chain([Tracing(provider)], failing(error))(make_job())
    span, kind = only(exporter)
    assert kind == type(error).__name__
    assert span.status.status_code is trace.StatusCode.ERROR
    assert [event.name for event in span.events] == ["exception"]


async def test_a_timeout_is_recorded_as_one(
    provider: TracerProvider, exporter: InMemorySpanExporter, make_job: MakeJob
) -> None:
    async def hangs(job: Job) -> None:
        await asyncio.Event().wait()

    with pytest.raises(HandlerTimeout):
        await chain([Timeout(0.01), Tracing(provider)], hangs)(make_job())
    assert only(exporter)[1] == "timeout"


def test_inject_leaves_a_named_producer_alone(provider: TracerProvider) -> None:
    metadata = {"traceparent": "theirs"}
    with telemetry.tracer(provider).start_as_current_span("request"):
        telemetry.inject(metadata)
    assert metadata == {"traceparent": "theirs"}


def test_a_state_is_carried_unless_it_is_too_long() -> None:
    plain = {"traceparent": "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"}
    for state, kept in (("acme=1", {"tracestate": "acme=1"}), (",".join(f"k{n}={'x' * 200}" for n in range(4)), {})):
        context = telemetry.extract({**plain, "tracestate": state})
        assert context is not None
        with trace.use_span(trace.NonRecordingSpan(context)):
            metadata: dict[str, Any] = {}
            telemetry.inject(metadata)
        assert metadata == {**plain, **kept}


def test_inject_without_a_current_span_writes_nothing() -> None:
    metadata: dict[str, Any] = {}
    telemetry.inject(metadata)
    assert metadata == {}


@pytest.mark.parametrize("value", ["", "garbage", 7, None, ["x"], "00-" + "0" * 32 + "-" + "0" * 16 + "-01"])
def test_a_malformed_producer_is_no_producer(value: Any) -> None:
    assert telemetry.extract({"traceparent": value, "tracestate": 3}) is None


def test_placeholders_of_the_api_are_no_global_provider() -> None:
    assert telemetry.global_tracer_provider() is None
    assert telemetry.global_meter_provider() is None
