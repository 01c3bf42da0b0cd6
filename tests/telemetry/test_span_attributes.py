"""What reads the attributes of an attempt's span may do with them what it does with a dict."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import ReadableSpan, Span, SpanLimits, SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.sampling import Decision, Sampler, SamplingResult
from opentelemetry.trace import Link

from dispatch import Registry, testing
from dispatch.telemetry.light import LightSpan

registry = Registry()


@registry.job(max_retries=0)
async def work() -> None: ...


async def worked(provider: TracerProvider) -> str:
    """Lets a job be done where spans go there; its state."""
    async with testing.app(registry, tracer_provider=provider) as app:
        handle = await work.enqueue()
        await app.run_until_idle()
        return str((await app.jobs.get(handle.id)).state)


class Joining(Sampler):
    """Samples all, with what `join` makes of the attributes."""

    def __init__(self, join: Callable[[Any], Any]) -> None:
        self._join = join
        self.kinds: set[type] = set()

    def should_sample(
        self, parent_context: Any, trace_id: int, name: str, kind: Any = None, attributes: Any = None,
        links: Sequence[Link] | None = None, trace_state: Any = None,
    ) -> SamplingResult:  # fmt: skip
        self.kinds.add(type(attributes))
        return SamplingResult(Decision.RECORD_AND_SAMPLE, self._join(attributes))

    def get_description(self) -> str:
        return "joins"


def written(attributes: Any) -> Any:
    attributes["kept"] = "yes"
    return attributes


JOINS: dict[str, Callable[[Any], Any]] = {
    "copy": lambda attributes: {**attributes.copy(), "kept": "yes"},
    "or": lambda attributes: attributes | {"kept": "yes"},
    "ror": lambda attributes: {"kept": "yes"} | attributes,
    "in place": written,
}


@pytest.mark.parametrize("join", JOINS.values(), ids=JOINS)
@pytest.mark.parametrize("limits", [None, SpanLimits(max_links=0)], ids=["light", "whole"])
async def test_a_sampler_may_copy_join_and_write_to_them(join: Callable[[Any], Any], limits: SpanLimits | None) -> None:
    exporter, sampler = InMemorySpanExporter(), Joining(join)
    provider = TracerProvider(sampler, span_limits=limits)
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    assert await worked(provider) == "completed"
    [span] = [span for span in exporter.get_finished_spans() if span.name.startswith("process")]
    assert isinstance(span, LightSpan) is False or limits is None
    assert span.attributes is not None
    assert (span.attributes["kept"], span.attributes["dispatch.job.attempt"]) == ("yes", 1)
    assert sampler.kinds == {dict}


async def test_a_processor_may_copy_join_and_print_them_at_the_begin_and_at_the_end() -> None:
    seen: list[tuple[Any, ...]] = []

    def read(span: ReadableSpan) -> None:
        found: Any = span.attributes
        if span.name.startswith("process"):
            inner: Any = span._attributes
            joined = [made for one in (found, inner) for made in (one.copy(), one | {"a": 1}, {"a": 1} | one)]
            seen.append((type(span), [type(one) for one in joined], joined, repr(found), dict(found)))

    class Reading(SpanProcessor):
        def on_start(self, span: Span, parent_context: Any = None) -> None:
            read(span)

        def on_end(self, span: ReadableSpan) -> None:
            read(span)

    provider = TracerProvider()
    provider.add_span_processor(Reading())
    assert await worked(provider) == "completed"
    assert len(seen) == 2
    for kind, kinds, joined, text, plain in seen:
        assert kind is LightSpan
        assert kinds == [dict] * 6
        assert joined == [plain, {**plain, "a": 1}, {"a": 1, **plain}] * 2
        assert text == f"mappingproxy({plain!r})"
        assert plain["dispatch.job.name"].endswith("work")


async def test_a_copy_is_the_readers_own() -> None:
    kept: list[Any] = []

    class Writing(SpanProcessor):
        def on_end(self, span: ReadableSpan) -> None:
            found: Any = span.attributes
            found.copy().clear()
            kept.append(dict(found))

    provider = TracerProvider()
    provider.add_span_processor(Writing())
    await worked(provider)
    assert all(kept) and len(kept) == 2


async def test_what_is_no_mapping_is_not_joined_to_them() -> None:
    refused: list[str] = []

    class Slipping(SpanProcessor):
        def on_end(self, span: ReadableSpan) -> None:
            inner: Any = span._attributes
            with pytest.raises(TypeError, match="unsupported operand"):
                _ = inner | 1
            with pytest.raises(TypeError, match="unsupported operand"):
                _ = 1 | inner
            refused.append(span.name)

    provider = TracerProvider()
    provider.add_span_processor(Slipping())
    assert await worked(provider) == "completed"
    assert len(refused) == 2


async def test_a_tracer_of_another_kind_gets_a_dict() -> None:
    got: list[Any] = []

    class Tracer(trace.NoOpTracer):
        def start_span(self, name: str, *args: Any, **kwargs: Any) -> trace.Span:
            got.extend(one for one in (*args, *kwargs.values()) if hasattr(one, "keys") and "dispatch.queue" in one)
            return super().start_span(name, *args, **kwargs)

    class Provider(trace.NoOpTracerProvider):
        def get_tracer(self, *args: Any, **kwargs: Any) -> trace.Tracer:
            return Tracer()

    provider: Any = Provider()
    assert await worked(provider) == "completed"
    assert len(got) == 2
    assert {type(one) for one in got} == {dict}
