"""A plugin's loop among a worker's own: what it raises harms neither the worker nor the other loops."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

from dispatch.engine.service import Service
from dispatch.hookspecs import WorkerService

_BREATH = 0.05
"""Seconds between two rounds at least, however often the store changes."""


class Guest(Service):
    """One round is one round of the plugin's service."""

    def __init__(
        self,
        service: WorkerService,
        *,
        on_death: Callable[[BaseException], None],
        logger: logging.Logger,
        limit: float | None = None,
    ) -> None:
        super().__init__(interval=0.0, limit=limit, logger=logger, on_death=on_death)
        self.name = service.name
        self._service = service

    async def run_once(self) -> float:
        """Answers what the service answers; SystemExit and its like become failures as any other."""
        try:
            pause = await self._service.run_once()
        except (Exception, asyncio.CancelledError):
            raise
        except BaseException as error:
            raise RuntimeError(f"the service {self.name!r} of a plugin raised {type(error).__name__}") from error
        rest = min(pause, _BREATH)
        await self._rest(rest)
        return pause - rest
