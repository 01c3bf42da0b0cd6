"""A job without end, and what its worker looks like from inside."""

from __future__ import annotations

import asyncio
from typing import Any

from dispatch.registry import Registry


class Endless:
    """A coroutine job that runs until it is cancelled, and counts."""

    def __init__(self, registry: Registry) -> None:
        self.begun, self.cancelled = 0, 0
        self.go = asyncio.Event()

        @registry.job
        async def endless() -> str:
            self.begun += 1
            try:
                await self.go.wait()
            except asyncio.CancelledError:
                self.cancelled += 1
                raise
            return "done"

        self.definition = endless


def worker_of(app: Any) -> Any:
    assert app.engine is not None
    return app.engine._worker
