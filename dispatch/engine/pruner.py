"""Removes what retention no longer keeps, a little at a time; every worker does it, and two at once do no harm."""

from __future__ import annotations

import logging
import random
from collections.abc import Callable

from dispatch.engine.service import Service
from dispatch.engine.settings import Settings
from dispatch.services.retention import old_things
from dispatch.store import Store

INTERVAL = 30.0
BETWEEN_BATCHES = 0.025
"""Seconds in which others write to the store."""
SOON = 2.0


class Pruner(Service):
    """One round removes one small batch of each kind of old things."""

    name = "pruner"

    def __init__(
        self,
        store: Store,
        settings: Settings,
        *,
        may_prune: Callable[[], bool],
        on_death: Callable[[BaseException], None],
        logger: logging.Logger,
        rng: Callable[[], float] = random.random,
    ) -> None:
        super().__init__(interval=INTERVAL, limit=settings.call_timeout, logger=logger, on_death=on_death)
        self._kinds = old_things(store, settings.retention)
        self._may_prune = may_prune
        self._rng = rng

    async def run_once(self) -> float | None:
        """Answers a short pause while there is more, else about INTERVAL, differently long in every worker.

        Removes nothing while the clock may be wrong: what was set forward makes the young look old.
        """
        if not self._may_prune():
            return self.interval * (0.5 + self._rng())
        removed = full = False
        for name, old in self._kinds.items():
            count = await old.prune(limit=old.at_once)
            removed = removed or count > 0
            full = full or count >= old.at_once
            if count:
                self._logger.debug("retention: removed %d %s", count, name)
        if full:
            return BETWEEN_BATCHES
        if removed:  # a batch of large rows ends early, so there may be more
            return SOON * (0.5 + self._rng())
        return self.interval * (0.5 + self._rng())
