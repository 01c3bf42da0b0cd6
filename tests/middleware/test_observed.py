"""Tracing and Metrics next to each other are one coroutine, and do what the two do."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from opentelemetry import trace
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from dispatch.jobs.model import Job
from dispatch.middleware import Metrics, Middleware, Next, Tracing, chain
from dispatch.middleware.observed import Observed, joined

from .test_metrics import read

MakeJob = Callable[..., Job]


@pytest.fixture
def exporter() -> InMemorySpanExporter:
    return InMemorySpanExporter()


@pytest.fixture
def tracing(exporter: InMemorySpanExporter) -> Iterator[Tracing]:
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    yield Tracing(provider)
    provider.shutdown()


@pytest.fixture
def reader() -> InMemoryMetricReader:
    return InMemoryMetricReader()


@pytest.fixture
def metrics(reader: InMemoryMetricReader) -> Iterator[Metrics]:
    provider = MeterProvider([reader], shutdown_on_exit=False)
    yield Metrics(provider)
    provider.shutdown()


async def between(job: Job, call_next: Next) -> Any:
    return await call_next(job)


def test_only_neighbours_are_joined_and_only_those_of_these_very_kinds(tracing: Tracing, metrics: Metrics) -> None:
    class Mine(Metrics): ...

    mine = object.__new__(Mine)
    assert [type(one) for one in joined([between, tracing, metrics])] == [type(between), Observed]
    others: list[list[Middleware]] = [[tracing, between, metrics], [metrics, tracing], [tracing, mine], [metrics], []]
    for members in others:
        assert joined(members) == members


async def test_an_attempt_has_its_span_and_its_measurements(
    tracing: Tracing, metrics: Metrics, exporter: InMemorySpanExporter, reader: InMemoryMetricReader, make_job: MakeJob
) -> None:
    running: list[int] = []

    async def handler(job: Job) -> int:
        running.extend(point.value for point in read(reader)["dispatch.worker.running"])
        return trace.get_current_span().get_span_context().span_id

    current = await chain([tracing, metrics], handler)(make_job())
    (span,) = exporter.get_finished_spans()
    assert span.context is not None and current == span.context.span_id
    assert not trace.get_current_span().get_span_context().is_valid
    found = read(reader)
    assert [dict(point.attributes)["state"] for point in found["dispatch.job.duration"]] == ["completed"]
    assert (running, [point.value for point in found["dispatch.worker.running"]]) == ([1], [0])
    assert [point.count for point in found["dispatch.job.wait"]] == [1]


async def test_what_the_handler_raises_is_on_the_span_and_in_the_state(
    tracing: Tracing, metrics: Metrics, exporter: InMemorySpanExporter, reader: InMemoryMetricReader, make_job: MakeJob
) -> None:
    async def handler(job: Job) -> None:
        raise ValueError("no such user")

    with pytest.raises(ValueError, match="no such user"):
        await chain([tracing, metrics], handler)(make_job())
    (span,) = exporter.get_finished_spans()
    assert (span.attributes or {})["error.type"] == "ValueError"
    found = read(reader)
    assert [dict(point.attributes)["state"] for point in found["dispatch.job.duration"]] == ["failed"]
    assert [point.value for point in found["dispatch.worker.running"]] == [0]


async def test_the_span_ends_although_measuring_fails(
    tracing: Tracing,
    metrics: Metrics,
    exporter: InMemorySpanExporter,
    make_job: MakeJob,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def broken(job: Job) -> None:
        raise RuntimeError("full")

    async def handler(job: Job) -> None: ...

    monkeypatch.setattr(metrics, "begin", broken)
    with pytest.raises(RuntimeError, match="full"):
        await chain([tracing, metrics], handler)(make_job())
    (span,) = exporter.get_finished_spans()
    assert (span.attributes or {})["error.type"] == "RuntimeError"
    assert not trace.get_current_span().get_span_context().is_valid
