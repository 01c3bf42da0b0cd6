"""Runs a definition's function the way its executor says: on the loop, in a thread, in a worker subprocess."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from dispatch.engine.threads import ThreadPool
from dispatch.jobs.context import JobContext, current_job
from dispatch.jobs.definition import JobDefinition
from dispatch.jobs.handler import Handler, Middleware
from dispatch.jobs.model import Job
from dispatch.middleware import chain
from dispatch.middleware.timeout import timed_out

if TYPE_CHECKING:
    from dispatch.engine.process_pool import ProcessPool


class Execution:
    """Composes, once a definition, the middleware chain around the call."""

    def __init__(
        self,
        *,
        middleware: Sequence[Middleware],
        processes: Callable[[], ProcessPool],
    ) -> None:
        self._middleware = tuple(middleware)
        self._threads = ThreadPool()
        self._processes = processes
        self._chains: dict[int, tuple[JobDefinition[..., Any], Handler]] = {}

    def handler(self, definition: JobDefinition[..., Any]) -> Handler:
        """The chain for a definition, innermost the function's call."""
        known = self._chains.get(id(definition))
        if known is None:
            handler = chain([*self._middleware, *definition.middleware], self._call(definition))
            known = self._chains[id(definition)] = (definition, handler)
        return known[1]

    def close(self) -> None:
        """Lets idle threads go."""
        self._threads.close()

    def _call(self, definition: JobDefinition[..., Any]) -> Handler:
        function = definition.function
        if definition.executor == "process":

            async def call_in_process(job: Job) -> Any:
                return await self._processes().run(job, definition, current_job())

            return call_in_process
        if definition.executor == "thread":

            async def call_in_thread(job: Job) -> Any:
                return await self.in_thread(function, current_job())

            return call_in_thread

        async def call(job: Job) -> Any:
            args, kwargs = current_job().arguments
            return await function(*args, **kwargs)

        return call

    async def in_process(self, definition: JobDefinition[..., Any], context: JobContext) -> Any:
        """Runs the job of `context` in a worker subprocess."""
        return await self._processes().run(context.job, definition, context)

    async def in_thread(self, function: Callable[..., Any], context: JobContext) -> Any:
        """Calls a plain function with the arguments of `context` in a thread, and holds on until that has ended."""
        args, kwargs = context.arguments
        future = self._threads.submit(lambda: function(*args, **kwargs))
        try:
            return await asyncio.shield(future)
        except asyncio.CancelledError:
            if future.cancelled():
                raise
            # A thread cannot be killed: tell it, and hold the slot until it ends.
            context.cancel()
            while not future.done():
                try:
                    await asyncio.shield(future)
                except asyncio.CancelledError:
                    continue
                except Exception:
                    break
            if timed_out() or future.cancelled() or future.exception() is not None:
                raise
            return future.result()  # it finished its work before it saw the request
