"""Restores the tenant that a job belongs to while its handler runs."""

from __future__ import annotations

from collections.abc import Awaitable
from typing import Any

from dispatch.jobs.handler import Next
from dispatch.jobs.model import Job
from dispatch.scope import capture, use_scope


class ScopeMiddleware:
    """Makes `job.scope` current around the handler, so that what it enqueues and publishes belongs to that tenant.

    A job of nobody in particular runs in the empty scope, whatever was current where the worker was started.
    """

    def __call__(self, job: Job, call_next: Next, /) -> Awaitable[Any]:
        if job.scope == capture():
            return call_next(job)
        return self._scoped(job, call_next)

    async def _scoped(self, job: Job, call_next: Next) -> Any:
        with use_scope(*job.scope):
            return await call_next(job)
