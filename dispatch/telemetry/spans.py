"""The spans that Dispatch makes, by OpenTelemetry's messaging conventions; imported only where there is a provider."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import lru_cache, partial
from typing import TYPE_CHECKING, Any

from opentelemetry import context as contexts
from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.trace import Span, SpanContext, SpanKind, Status, StatusCode

from dispatch.telemetry.carrier import carrier_of, extract
from dispatch.telemetry.providers import tracer
from dispatch.telemetry.start import CURRENT, NO_PARENT, Start, whole

if TYPE_CHECKING:
    from opentelemetry.trace import Link, Tracer, TracerProvider

    from dispatch.ids import JobID
    from dispatch.jobs.model import Job, NewJob
    from dispatch.scope import Scope

Attributes = dict[str, str | int]


class Spans:
    """Makes spans at one provider.

    Args:
        provider: where they go.
        follow: what consumes goes on in the producer's trace, as its child; else in a trace of its own. The link to the
            producer is there either way.
    """

    def __init__(self, provider: TracerProvider, *, follow: bool = True) -> None:
        self._start = _starter(tracer(provider))
        self._follow = follow

    @contextmanager
    def sending(self, jobs: Sequence[NewJob]) -> Iterator[list[NewJob]]:
        """Producer spans `send {queue}`, one for each queue, around the write of the rows that it gives back, which
        name them; a row that names a producer already is left alone."""
        spans: dict[str, Span] = {}
        try:
            for queue, some in _by_queue(jobs).items():
                attributes = dict(_messaging("send", queue))
                if len(some) == 1:
                    attributes.update(_facts(some[0].id, some[0].name, some[0].scope))
                else:
                    attributes["messaging.batch.message_count"] = len(some)
                spans[queue] = self._start(f"send {queue}", kind=SpanKind.PRODUCER, attributes=attributes)
            carriers = {queue: carrier_of(span.get_span_context()) for queue, span in spans.items()}
            yield [job if "traceparent" in job.metadata else job.carrying(carriers[job.queue]) for job in jobs]
        except BaseException as error:
            for span in spans.values():
                record(span, error)
            raise
        finally:
            for span in spans.values():
                span.end()

    def start_consuming(self, name: str, job: Job) -> tuple[Span, Context]:
        """A consumer span for work on a job, with the producer as its parent, or as a link alone; not current yet."""
        producer = extract(job.metadata)
        parent: Context | SpanContext = NO_PARENT
        links: Sequence[Link] = ()
        if producer is not None:
            links = (trace.Link(producer, {}),)
            if self._follow:
                parent = producer
        attributes = partial(_consumed, job.id, job.name, job.queue, job.scope, job.failures, job.epoch)
        span = self._start(name, parent, SpanKind.CONSUMER, attributes, links)
        return span, Context({CURRENT: span})

    @contextmanager
    def running(self, job: Job, workflow: str, version: int) -> Iterator[None]:
        """A consumer span `run {workflow}` around one activation of a run: what is done until it waits or ends."""
        span, context = self.start_consuming(f"run {workflow}", job)
        span.set_attributes({"dispatch.workflow.name": workflow, "dispatch.workflow.version": version})
        if job.run_id is not None:
            span.set_attribute("dispatch.run.id", str(job.run_id))
        token = contexts.attach(context)
        try:
            yield
        finally:
            contexts.detach(token)
            span.end()

    @contextmanager
    def step(self, name: str, run_id: str) -> Iterator[None]:
        """A span `step {name}` around what a step does in place, retries included."""
        attributes: Attributes = {"dispatch.step.name": name, "dispatch.run.id": run_id}
        span = self._start(f"step {name}", attributes=attributes)
        with trace.use_span(span, end_on_exit=True, record_exception=False):
            try:
                yield
            except Exception as error:
                record(span, error)
                raise

    @contextmanager
    def firing(self, name: str, scope: Scope) -> Iterator[Mapping[str, str]]:
        """A producer span `fire {entry}`, the beginning of a trace, around the firing of a cron entry; yields what the
        jobs that it makes carry."""
        attributes = {"dispatch.cron.name": name, **_tenant(scope)}
        span = self._start(f"fire {name}", context=NO_PARENT, kind=SpanKind.PRODUCER, attributes=attributes)
        try:
            yield carrier_of(span.get_span_context())
        except BaseException as error:
            record(span, error)
            raise
        finally:
            span.end()

    @contextmanager
    def publishing(self, name: str) -> Iterator[None]:
        """A producer span `publish {event}` around the write of an event."""
        attributes: Attributes = {"dispatch.event.name": name, "messaging.system": "dispatch"}
        span = self._start(f"publish {name}", kind=SpanKind.PRODUCER, attributes=attributes)
        with trace.use_span(span, end_on_exit=True):
            yield

    @contextmanager
    def serving(self, method: str, route: str, headers: Mapping[str, str]) -> Iterator[Callable[[int], None]]:
        """A server span `{method} {route}` around an HTTP request, in the trace that its headers name; yields what is
        told the status. Where a span is current already, as under an instrumented application, there is none."""
        if trace.get_current_span().get_span_context().is_valid:
            yield lambda status: None
            return
        caller = extract(headers)
        parent = NO_PARENT
        if caller is not None:
            parent = trace.set_span_in_context(trace.NonRecordingSpan(caller), NO_PARENT)
        attributes: Attributes = {"http.request.method": method, "http.route": route}
        span = self._start(f"{method} {route}", context=parent, kind=SpanKind.SERVER, attributes=attributes)

        def told(status: int) -> None:
            span.set_attribute("http.response.status_code", status)
            if status >= 500:
                span.set_status(Status(StatusCode.ERROR))

        token = contexts.attach(trace.set_span_in_context(span, NO_PARENT))
        try:
            yield told
        finally:
            contexts.detach(token)
            span.end()

    def failed(self, error: BaseException) -> None:
        """Notes on the current span that its work has failed."""
        record(trace.get_current_span(), error)


def record(span: Span, error: BaseException, kind: str = "") -> None:
    """Notes an error on a span."""
    if span.is_recording():
        kind = kind or type(error).__qualname__
        span.record_exception(error)
        span.set_attribute("error.type", kind)
        span.set_status(Status(StatusCode.ERROR, f"{kind}: {error}" if str(error) else kind))


def _starter(tracer: Tracer) -> Start:
    """What starts spans there; the SDK is not imported for a tracer that is not its own."""
    if type(tracer).__module__.startswith("opentelemetry.sdk."):
        from dispatch.telemetry.light import starter

        return starter(tracer)
    return whole(tracer)


def _by_queue(jobs: Sequence[NewJob]) -> dict[str, list[NewJob]]:
    found: dict[str, list[NewJob]] = {}
    for job in jobs:
        found.setdefault(job.queue, []).append(job)
    return found


@lru_cache(maxsize=256)
def _messaging(operation: str, queue: str) -> Mapping[str, str | int]:
    return {
        "messaging.system": "dispatch",
        "messaging.operation.name": operation,
        "messaging.operation.type": operation,
        "messaging.destination.name": queue,
        "dispatch.queue": queue,
    }


def _consumed(job_id: JobID, name: str, queue: str, scope: Scope, failures: int, epoch: int) -> Attributes:
    """The attributes of a span for work on a job as it was when that began."""
    return {
        **_messaging("process", queue),
        **_facts(job_id, name, scope),
        "dispatch.job.attempt": failures + 1,
        "dispatch.job.epoch": epoch,
    }


def _facts(job_id: JobID, name: str, scope: Scope) -> Attributes:
    plain = str(job_id)
    return {
        "messaging.message.id": plain,
        "dispatch.job.id": plain,
        "dispatch.job.name": name,
        **_tenant(scope),
    }


def _tenant(scope: Scope) -> dict[str, Any]:
    if not (scope.app_id or scope.org_id):
        return {}
    found = {"dispatch.scope.app_id": scope.app_id, "dispatch.scope.org_id": scope.org_id}
    return {key: value for key, value in found.items() if value}
