"""Cuts an await short once an event is set, in the task that awaits, so that scopes entered there can be left there."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager


@asynccontextmanager
async def cut_short_by(event: asyncio.Event | None) -> AsyncIterator[None]:
    """Cancels what the block awaits as soon as the event is set, and then ends without an error."""
    if event is None:
        yield
        return
    inside = True

    async def watch(limit: asyncio.Timeout) -> None:
        await event.wait()
        if inside:
            limit.reschedule(asyncio.get_running_loop().time())

    limit = asyncio.timeout(None)
    try:
        async with limit:
            watching = asyncio.create_task(watch(limit))
            try:
                yield
            finally:
                inside = False
                watching.cancel()
    except TimeoutError:
        if not limit.expired():
            raise
