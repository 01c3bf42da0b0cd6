"""Keeps a handler from ending the worker."""

from __future__ import annotations

import asyncio
from typing import Any

from dispatch.errors import HandlerCrashed
from dispatch.jobs.handler import Next
from dispatch.jobs.model import Job


class Recover:
    """Turns SystemExit, KeyboardInterrupt and their like, raised by a handler, into `HandlerCrashed`: a failed attempt.

    Exceptions pass as they are, and so does CancelledError, which is how the worker stops a handler. A task that the
    handler started for itself is out of reach: SystemExit in there still stops the event loop.
    """

    async def __call__(self, job: Job, call_next: Next, /) -> Any:
        task = asyncio.current_task()
        try:
            return await call_next(job)
        except (Exception, asyncio.CancelledError):
            raise
        except GeneratorExit as error:
            if _running_task() is not task:
                raise  # nobody raised it: this coroutine is being closed unfinished, which must not be refused
            raise _crash(job, error) from error
        except BaseException as error:
            raise _crash(job, error) from error


def _crash(job: Job, error: BaseException) -> HandlerCrashed:
    return HandlerCrashed(
        f"{job.name} ({job.id}) raised {type(error).__name__}({error}), which would have ended the worker; "
        "a handler ends its job with an Exception, for good with dispatch.Fail"
    )


def _running_task() -> asyncio.Task[Any] | None:
    try:
        return asyncio.current_task()
    except RuntimeError:
        return None
