"""Group commit for enqueues: those that come while another is being written share the next transaction."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import NamedTuple

from dispatch.errors import DataRejected, DuplicateJob, IdempotencyMismatch
from dispatch.jobs.model import Enqueued, NewJob

MOST = 1000
"""Jobs that share a transaction, unless one call alone brings more."""


class _Call(NamedTuple):
    jobs: Sequence[NewJob]
    answer: asyncio.Future[list[Enqueued]]


class Together:
    """Over `write`, which inserts all of its jobs or none. Each call stays all or none, whoever it shares with.

    A call that finds nobody before it is written at once, so that one at a time takes no longer. Used on one loop.
    """

    def __init__(self, write: Callable[[Sequence[NewJob]], Awaitable[list[Enqueued]]]) -> None:
        self._write = write
        self._busy = False
        self._waiting: list[_Call] = []
        self._flusher: asyncio.Task[None] | None = None
        self._loop: asyncio.AbstractEventLoop | None = None

    async def enqueue(self, jobs: Sequence[NewJob]) -> list[Enqueued]:
        """As `write`, for these jobs alone."""
        loop = asyncio.get_running_loop()
        if self._busy and self._loop is loop:
            call = _Call(jobs, loop.create_future())
            self._waiting.append(call)
            return await call.answer
        self._busy, self._loop = True, loop  # another loop: the store was opened again, and the old one is no more
        try:
            return await self._write(jobs)
        finally:
            self._busy = False
            if self._waiting:
                self._busy = True
                self._flusher = loop.create_task(self._flush(), name="dispatch enqueues")

    async def _flush(self) -> None:
        try:
            while self._waiting:
                await self._write_together(self._next())
        finally:
            self._busy = False
            self._flusher = None
            for call in self._waiting:  # the loop is being torn down
                call.answer.cancel()
            self._waiting.clear()

    def _next(self) -> list[_Call]:
        calls = [self._waiting.pop(0)]
        room = MOST - len(calls[0].jobs)
        while self._waiting and len(self._waiting[0].jobs) <= room:
            calls.append(self._waiting.pop(0))
            room -= len(calls[-1].jobs)
        return calls

    async def _write_together(self, calls: Sequence[_Call]) -> None:
        try:
            answers = await self._write([job for call in calls for job in call.jobs])
        except (DataRejected, DuplicateJob, IdempotencyMismatch) as error:
            if len(calls) == 1:
                _fail(calls, error)
                return
            for call in calls:  # one of them is to blame: nothing was written, and each has its own answer
                await self._write_together([call])
        except BaseException as error:
            _fail(calls, error)
            if not isinstance(error, Exception):
                raise
        else:
            for call in calls:
                mine, answers = answers[: len(call.jobs)], answers[len(call.jobs) :]
                if not call.answer.done():
                    call.answer.set_result(mine)


def _fail(calls: Sequence[_Call], error: BaseException) -> None:
    for call in calls:
        if not call.answer.done():
            call.answer.set_exception(error) if isinstance(error, Exception) else call.answer.cancel()
