"""Puts ended spans straight into the queue of the SDK's batch processor, unless they fill a batch.

For each span the processor asks for its flags, for the process and for the event of its thread, which takes about as
long as making a light one. Those that only join the queue are put there at once. That rests on inner names of the SDK,
so it is done only where a trial with the installed version shows no difference. A span that fills a batch is handed
over as the SDK does it, as is each to every other processor.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache
from typing import Any

from opentelemetry.metrics import NoOpMeterProvider
from opentelemetry.sdk.trace import ReadableSpan, SpanProcessor
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.trace import SpanContext, TraceFlags

Take = Callable[[ReadableSpan], None]


def taking(processor: SpanProcessor) -> Take:
    """`processor.on_end`, for spans that are sampled."""
    is_plain = type(processor) is BatchSpanProcessor and "on_end" not in vars(processor)
    return _joining(processor) if is_plain and _can_join() else processor.on_end


def _joining(processor: Any) -> Take:
    batches = processor._batch_processor
    queue, most = batches._queue, batches._max_export_batch_size - 1
    join, on_end = queue.appendleft, processor.on_end

    def take(span: ReadableSpan) -> None:
        if len(queue) < most and not batches._shutdown:
            join(span)
        else:
            on_end(span)

    return take


@cache
def _can_join() -> bool:
    """Whether spans that join the queue are exported as the others are, in a trial that nobody else sees."""
    try:
        exported: list[ReadableSpan] = []
        processor = BatchSpanProcessor(
            _Keeping(exported),
            max_export_batch_size=4,
            schedule_delay_millis=3_600_000,
            meter_provider=NoOpMeterProvider(),
        )
        take = _joining(processor)
        sampled = TraceFlags(TraceFlags.SAMPLED)
        spans = [ReadableSpan(str(n), SpanContext(1, n, False, sampled)) for n in range(1, 7)]
        try:
            for one, other in zip(spans[::2], spans[1::2], strict=True):
                take(one)
                processor.on_end(other)
        finally:
            processor.shutdown()  # type: ignore[no-untyped-call]
        take(spans[0])
        return exported == spans and not processor._batch_processor._queue
    except Exception:  # another version of the SDK, then
        return False


class _Keeping(SpanExporter):
    def __init__(self, exported: list[ReadableSpan]) -> None:
        self._exported = exported

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        self._exported += spans
        return SpanExportResult.SUCCESS
