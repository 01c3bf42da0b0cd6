"""What stands around every attempt of a job: the standard members and the chain that composes them."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Sequence
from typing import TYPE_CHECKING, Any

from dispatch.jobs.handler import Handler, Middleware, Next
from dispatch.jobs.model import Job
from dispatch.middleware.logging import Logging
from dispatch.middleware.metrics import Metrics
from dispatch.middleware.observed import joined
from dispatch.middleware.recover import Recover
from dispatch.middleware.scope import ScopeMiddleware
from dispatch.middleware.timeout import Timeout
from dispatch.middleware.tracing import Tracing

if TYPE_CHECKING:
    from opentelemetry.metrics import MeterProvider
    from opentelemetry.trace import TracerProvider

__all__ = [
    "Handler",
    "Logging",
    "Metrics",
    "Middleware",
    "Next",
    "Recover",
    "ScopeMiddleware",
    "Timeout",
    "Tracing",
    "chain",
    "standard",
]


def chain(middlewares: Sequence[Middleware], handler: Handler) -> Handler:
    """`handler` with `middlewares` around it, the first outermost; compose once a definition, call once a job.

    >>> async def hello(job): ...
    >>> chain([], hello) is hello
    True
    """
    for middleware in reversed(joined(middlewares)):
        handler = _around(middleware, handler)
    return handler


def standard(
    *,
    timeout: float | None = None,
    tracer_provider: TracerProvider | None = None,
    meter_provider: MeterProvider | None = None,
    follow: bool = True,
    logger: logging.Logger | None = None,
) -> list[Middleware]:
    """Dispatch's own members in their order: Logging, Recover, Timeout, Tracing, Metrics, Scope.

    `timeout` is the seconds that jobs without their own get. Without a provider there is no Tracing, no Metrics.
    `follow`: see Tracing.
    """
    members: list[Middleware] = [Logging(logger), Recover(), Timeout(timeout)]
    if tracer_provider is not None:
        members.append(Tracing(tracer_provider, follow=follow))
    if meter_provider is not None:
        members.append(Metrics(meter_provider))
    members.append(ScopeMiddleware())
    return members


def _around(middleware: Middleware, call_next: Next) -> Handler:
    def step(job: Job) -> Awaitable[Any]:
        return middleware(job, call_next)

    return step
