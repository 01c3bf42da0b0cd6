"""Spans that are put into the batch processor's queue are exported as those that it takes in itself."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from typing import Any

import pytest
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.sdk.trace.sampling import Decision, Sampler, SamplingResult

from dispatch.telemetry import batched
from dispatch.telemetry.batched import taking
from dispatch.telemetry.light import LightSpan, LightStart, starter

NEVER = 3_600_000
BATCH = 4


class Batches(SpanExporter):
    """The names that were exported, batch by batch."""

    def __init__(self) -> None:
        self.names: list[list[str]] = []
        self.one_came = threading.Event()

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        self.names.append([span.name for span in spans])
        self.one_came.set()
        return SpanExportResult.SUCCESS


@pytest.fixture
def exporter() -> Batches:
    return Batches()


@pytest.fixture
def processor(exporter: Batches) -> Iterator[BatchSpanProcessor]:
    made = BatchSpanProcessor(exporter, max_export_batch_size=BATCH, schedule_delay_millis=NEVER)
    yield made
    made.shutdown()  # type: ignore[no-untyped-call]


def light(processor: BatchSpanProcessor, sampler: Sampler | None = None) -> LightStart:
    provider = TracerProvider(sampler, shutdown_on_exit=False)
    provider.add_span_processor(processor)
    start = starter(provider.get_tracer("test"))
    assert isinstance(start, LightStart)
    return start


def test_the_installed_sdk_lets_spans_join_its_queue(processor: BatchSpanProcessor) -> None:
    assert taking(processor) != processor.on_end


def test_a_full_batch_goes_by_itself_and_the_rest_with_the_flush(
    processor: BatchSpanProcessor, exporter: Batches
) -> None:
    start = light(processor)
    for number in range(BATCH):
        start(str(number)).end()
    assert exporter.one_came.wait(30)
    start("4").end()
    start("5").end()
    assert processor.force_flush()
    assert exporter.names == [["0", "1", "2", "3"], ["4", "5"]]


def test_what_has_been_written_to_goes_in_its_turn(processor: BatchSpanProcessor, exporter: Batches) -> None:
    start = light(processor)
    start("0").end()
    written = start("1")
    written.set_attribute("a", 1)
    written.end()
    start("2").end()
    processor.force_flush()
    assert exporter.names == [["0", "1", "2"]]


def test_nothing_joins_after_the_shutdown_which_exports_what_is_there(
    processor: BatchSpanProcessor, exporter: Batches
) -> None:
    start = light(processor)
    start("before").end()
    processor.shutdown()  # type: ignore[no-untyped-call]
    start("after").end()
    processor.force_flush()
    assert exporter.names == [["before"]]
    assert not processor._batch_processor._queue


class Looking(Sampler):
    def should_sample(self, parent_context: Any, trace_id: int, name: str, *args: Any, **more: Any) -> SamplingResult:
        return SamplingResult(Decision.RECORD_ONLY)

    def get_description(self) -> str:
        return "records, but does not sample"


def test_what_is_recorded_but_not_sampled_is_not_exported(processor: BatchSpanProcessor, exporter: Batches) -> None:
    span = light(processor, Looking())("seen")
    assert span.is_recording()
    span.end()
    processor.force_flush()
    assert exporter.names == []


def test_a_processor_with_an_end_of_its_own_is_told_of_each(exporter: Batches, monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[str] = []

    class Telling(BatchSpanProcessor):
        def on_end(self, span: ReadableSpan) -> None:
            told.append(f"class {span.name}")

    theirs = Telling(exporter, schedule_delay_millis=NEVER)
    patched = BatchSpanProcessor(exporter, schedule_delay_millis=NEVER)
    monkeypatch.setattr(patched, "on_end", lambda span: told.append(f"object {span.name}"))
    for processor in (theirs, patched):
        light(processor)("work").end()
        processor.shutdown()  # type: ignore[no-untyped-call]
    assert told == ["class work", "object work"]


def test_a_batch_processor_that_works_otherwise_is_told_of_each(
    processor: BatchSpanProcessor, exporter: Batches, monkeypatch: pytest.MonkeyPatch
) -> None:
    def renamed(processor: object) -> None:
        raise AttributeError("_queue")

    monkeypatch.setattr(batched, "_joining", renamed)
    batched._can_join.cache_clear()
    try:
        assert taking(processor) == processor.on_end
        span = light(processor)("work")
        assert isinstance(span, LightSpan)
        span.end()
    finally:
        batched._can_join.cache_clear()
    processor.force_flush()
    assert exporter.names == [["work"]]
