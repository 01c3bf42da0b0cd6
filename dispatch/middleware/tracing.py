"""A span for every attempt, in the trace of the code that enqueued the job."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from dispatch.errors import Snooze
from dispatch.jobs.handler import Next
from dispatch.jobs.model import Job
from dispatch.middleware.timeout import timed_out

if TYPE_CHECKING:
    from opentelemetry.trace import TracerProvider


class Tracing:
    """A consumer span `process {queue}`: a child of the producer's span, with a link to it as well.

    The producer is what the enqueue wrote into the job's metadata. Whatever the handler raises is recorded on the span;
    `dispatch.Snooze` is no error. Without `follow` the span begins a trace of its own, and only the link is there.
    """

    def __init__(self, tracer_provider: TracerProvider, *, follow: bool = True) -> None:
        from opentelemetry import context

        from dispatch.telemetry.spans import Spans, record

        self._context = context
        self._record = record
        self._spans = Spans(tracer_provider, follow=follow)

    async def __call__(self, job: Job, call_next: Next, /) -> Any:
        span, context = self._spans.start_consuming(f"process {job.queue}", job)
        token = self._context.attach(context)
        try:
            return await call_next(job)
        except BaseException as error:
            if not isinstance(error, Snooze):
                self._record(span, error, "timeout" if timed_out() else "")
            raise
        finally:
            self._context.detach(token)
            span.end()
