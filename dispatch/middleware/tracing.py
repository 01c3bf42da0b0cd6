"""A span for every attempt, in the trace of the code that enqueued the job."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from dispatch.errors import Snooze
from dispatch.jobs.handler import Next
from dispatch.jobs.model import Job
from dispatch.middleware.timeout import timed_out

if TYPE_CHECKING:
    from contextvars import Token

    from opentelemetry.context import Context
    from opentelemetry.trace import Span, TracerProvider

    Begun = tuple[Span, Token[Context]]


class Tracing:
    """A consumer span `process {queue}`: a child of the producer's span, with a link to it as well.

    The producer is what the enqueue wrote into the job's metadata. Whatever the handler raises is recorded on the span;
    `dispatch.Snooze` is no error. Without `follow` the span begins a trace of its own, and only the link is there.
    """

    def __init__(self, tracer_provider: TracerProvider, *, follow: bool = True) -> None:
        from opentelemetry import context

        from dispatch.telemetry.spans import Spans, record

        self._attach, self._detach = context.attach, context.detach
        self._record = record
        self._spans = Spans(tracer_provider, follow=follow)

    async def __call__(self, job: Job, call_next: Next, /) -> Any:
        begun = self.begin(job)
        try:
            return await call_next(job)
        except BaseException as error:
            self.failed(begun, error)
            raise
        finally:
            self.end(begun)

    def begin(self, job: Job) -> Begun:
        """An attempt begins; its span is the current one until its end."""
        span, context = self._spans.start_consuming(f"process {job.queue}", job)
        return span, self._attach(context)

    def failed(self, begun: Begun, error: BaseException) -> None:
        """The attempt raises this."""
        if not isinstance(error, Snooze):
            self._record(begun[0], error, "timeout" if timed_out() else "")

    def end(self, begun: Begun) -> None:
        """The attempt has ended."""
        span, token = begun
        self._detach(token)
        span.end()
