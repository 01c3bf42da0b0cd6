"""The resources of a worker: its lifespans, entered once at the start and left at the end."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from contextlib import AsyncExitStack, asynccontextmanager

from dispatch.engine.cut_short import cut_short_by
from dispatch.errors import ResourceFailed
from dispatch.registry import Lifespan


class Lifespans:
    """What the lifespans of a registry yield."""

    def __init__(self) -> None:
        self._stack = AsyncExitStack()
        self.resources: list[object] = []

    async def enter(self, lifespans: Iterable[Lifespan]) -> None:
        """Opens each in turn. Raises ResourceFailed, naming the one that could not be."""
        for lifespan in lifespans:
            try:
                self.resources.append(await self._stack.enter_async_context(asynccontextmanager(lifespan)()))
            except Exception as error:
                code = getattr(lifespan, "__code__", None)
                place = f" ({code.co_filename}:{code.co_firstlineno})" if code else ""
                raise ResourceFailed(
                    f"the resource {lifespan.__qualname__}{place} could not be opened: {type(error).__name__}: {error}"
                ) from error

    async def leave(self, hurry: asyncio.Event | None = None) -> None:
        """Closes them, the last one first; what is left when `hurry` is set is cut short."""
        async with cut_short_by(hurry):
            await self._stack.aclose()
