"""What runs a job: the Handler, the middleware around it, and the Next that a middleware calls."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, Protocol

from dispatch.jobs.model import Job

Next = Callable[[Job], Awaitable[Any]]
"""The rest of the chain: `await call_next(job)` runs it and answers the job's result."""


class Handler(Protocol):
    """Runs one attempt of a job and answers its result, or raises what the attempt ends with.

    Both the call and the await may raise, so callers keep them in one `try`.
    """

    def __call__(self, job: Job, /) -> Awaitable[Any]: ...


class Middleware(Protocol):
    """Stands around every attempt: may time it, wrap it, change its result, or answer without calling on.

    It runs in band, in the worker's event loop, inside the job's own task. What it raises is the attempt's outcome.

    >>> async def audit(job: Job, call_next: Next) -> Any:
    ...     print(job.name, "starts")
    ...     return await call_next(job)
    """

    def __call__(self, job: Job, call_next: Next, /) -> Awaitable[Any]: ...
