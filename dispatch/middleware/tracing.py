"""A span for every attempt, linked to the code that enqueued the job."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from dispatch import telemetry
from dispatch.errors import Snooze
from dispatch.jobs.handler import Next
from dispatch.jobs.model import Job
from dispatch.middleware.timeout import timed_out

if TYPE_CHECKING:
    from opentelemetry.trace import Span, TracerProvider


class Tracing:
    """A consumer span `process {queue}` a trace of its own, with a link to the producer's span.

    The producer is what `telemetry.inject` wrote into the job's metadata. Whatever the handler raises is recorded on
    the span; `dispatch.Snooze` is no error.
    """

    def __init__(self, tracer_provider: TracerProvider) -> None:
        from opentelemetry import context, trace

        self._trace = trace
        self._context = context
        self._no_parent = context.Context()
        self._tracer = telemetry.tracer(tracer_provider)

    async def __call__(self, job: Job, call_next: Next, /) -> Any:
        producer = telemetry.extract(job.metadata)
        span = self._tracer.start_span(
            f"process {job.queue}",
            context=self._no_parent,
            kind=self._trace.SpanKind.CONSUMER,
            attributes=_attributes(job),
            links=[] if producer is None else [self._trace.Link(producer)],
        )
        token = self._context.attach(self._trace.set_span_in_context(span, self._no_parent))
        try:
            return await call_next(job)
        except BaseException as error:
            if span.is_recording() and not isinstance(error, Snooze):
                self._record(span, error)
            raise
        finally:
            self._context.detach(token)
            span.end()

    def _record(self, span: Span, error: BaseException) -> None:
        kind = "timeout" if timed_out() else type(error).__qualname__
        span.record_exception(error)
        span.set_attribute("error.type", kind)
        span.set_status(self._trace.Status(self._trace.StatusCode.ERROR, f"{kind}: {error}" if str(error) else kind))


def _attributes(job: Job) -> dict[str, str | int]:
    attributes: dict[str, str | int] = {
        "messaging.system": "dispatch",
        "messaging.operation.name": "process",
        "messaging.operation.type": "process",
        "messaging.destination.name": job.queue,
        "messaging.message.id": str(job.id),
        "dispatch.job.id": str(job.id),
        "dispatch.job.name": job.name,
        "dispatch.job.attempt": job.attempt,
        "dispatch.job.epoch": job.epoch,
        "dispatch.queue": job.queue,
    }
    if job.scope.app_id:
        attributes["dispatch.scope.app_id"] = job.scope.app_id
    if job.scope.org_id:
        attributes["dispatch.scope.org_id"] = job.scope.org_id
    return attributes
