"""Enters lifespans in a task of their own and leaves them there, whichever tasks open and close the app."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from contextlib import AsyncExitStack, asynccontextmanager
from contextvars import Context
from typing import Any

from dispatch.registry import Lifespan


class Lifespans:
    """Fixtures are set up and torn down in different tasks, which cancel scopes and task groups do not survive."""

    def __init__(self) -> None:
        self._leave = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    async def enter(self, lifespans: Iterable[Lifespan], *, context: Context) -> list[object]:
        """What the lifespans yield, in their order; raises what one of them raises at its start."""
        entered: asyncio.Future[list[object]] = asyncio.get_running_loop().create_future()
        self._task = asyncio.create_task(self._live(lifespans, entered), name="dispatch lifespans", context=context)
        both: list[asyncio.Future[Any]] = [self._task, entered]
        try:
            await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
        except asyncio.CancelledError:
            self._task.cancel()
            raise
        if not entered.done():
            await self._task
        return entered.result()

    async def leave(self) -> None:
        """Leaves them, last first; raises what one of them raises at its end."""
        task, self._task = self._task, None
        if task is not None and not task.done() and not task.cancelling():
            self._leave.set()
            await task

    async def _live(self, lifespans: Iterable[Lifespan], entered: asyncio.Future[list[object]]) -> None:
        async with AsyncExitStack() as stack:
            entered.set_result(
                [await stack.enter_async_context(asynccontextmanager(lifespan)()) for lifespan in lifespans]
            )
            await self._leave.wait()
