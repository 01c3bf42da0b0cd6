"""How spans are started: what a tracer does, and what ours can take besides."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.trace import Link, NonRecordingSpan, Span, SpanContext, SpanKind, Tracer

Attributes = Mapping[str, Any]
Late = Callable[[], Attributes]
"""Makes the attributes of a span; called when somebody reads them, if ever."""
NO_PARENT = Context()
(CURRENT,) = trace.set_span_in_context(trace.INVALID_SPAN, NO_PARENT)
"""The key of the current span: a context made with it takes a third of the time of one that is copied and added to."""


class Start(Protocol):
    """What `Tracer.start_span` does with these arguments; the parent may also be given by its own context alone."""

    def __call__(
        self,
        name: str,
        context: Context | SpanContext | None = None,
        kind: SpanKind = SpanKind.INTERNAL,
        attributes: Attributes | Late | None = None,
        links: Sequence[Link] | None = (),
    ) -> Span: ...


def whole(tracer: Tracer) -> Start:
    """The spans that a tracer makes by itself; it is given what everybody gives, attributes in a dict."""

    def start(
        name: str,
        context: Context | SpanContext | None = None,
        kind: SpanKind = SpanKind.INTERNAL,
        attributes: Attributes | Late | None = None,
        links: Sequence[Link] | None = (),
    ) -> Span:
        return tracer.start_span(name, below(context), kind, as_dict(attributes), links)

    return start


def below(context: Context | SpanContext | None) -> Context | None:
    """A context to start spans in, where that may be only the parent's own."""
    return Context({CURRENT: NonRecordingSpan(context)}) if isinstance(context, SpanContext) else context


def as_dict(attributes: Attributes | Late | None) -> dict[str, Any] | None:
    """Attributes as a dict of the reader's own."""
    made = attributes() if callable(attributes) else attributes
    return None if made is None else dict(made)
