"""Fires what is due: the leader brings code entries in line, plans each due entry and hands the ticks to the store."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from dataclasses import replace

from dispatch.clock import boot_seconds
from dispatch.crons.model import CronEntry, Due, Fire, Fired
from dispatch.crons.plan import Rules, carrying, first_fire, plan
from dispatch.engine.service import Service
from dispatch.entity import Reply
from dispatch.errors import LeadershipLost, StoreTimeout
from dispatch.store import Store
from dispatch.telemetry import OFF, Telemetry

AT_ONCE = 100
_SLOW = 2
SETTLE_EVERY = 5.0


class CronScheduler(Service):
    """One round fires what is due now and answers how long nothing will be."""

    name = "scheduler"

    def __init__(
        self,
        store: Store,
        *,
        require_leadership: Callable[[], object],
        rules: Rules,
        on_fired: Callable[[CronEntry, Fired], None],
        on_death: Callable[[BaseException], None],
        logger: logging.Logger,
        interval: float = 1.0,
        limit: float | None = None,
        telemetry: Telemetry = OFF,
        clock: Callable[[], float] = boot_seconds,
    ) -> None:
        super().__init__(interval=interval, logger=logger, on_death=on_death)
        self._call_limit = limit
        """Seconds that one call of the store may take; a round fires as many entries as are due."""
        self._store = store
        self._require = require_leadership
        self._rules = rules
        self._on_fired = on_fired
        self._clock = clock
        self._telemetry = telemetry
        self._settled_at = float("-inf")

    async def run_once(self) -> float | None:
        """Does nothing unless this worker leads."""
        try:
            self._require()
            if self._clock() - self._settled_at >= SETTLE_EVERY:
                async with asyncio.timeout(self._call_limit):
                    await settle(self._store)
                self._settled_at = self._clock()
            async with asyncio.timeout(self._call_limit):
                due = await self._store.crons.due(limit=AT_ONCE)
            fired = await self._fire(due)
        except LeadershipLost:
            self._settled_at = float("-inf")
            return self.interval
        return 0.0 if fired else self._pause(due)

    async def _fire(self, due: Due) -> int:
        """Fires the due entries, each by itself, so that none keeps the others waiting; answers how many there were.

        One that takes too long is left to the next round; two in a row mean that the store is slow, not the entry.
        """
        planned, slow = 0, 0
        for entry in due.entries:
            if self._stopping:
                break
            try:
                fire = plan(entry, due.now, self._rules)
            except ValueError as error:
                self._logger.error("the cron entry %s cannot be read and does not fire: %s", entry.name, error)
                continue
            planned += 1
            self._require()
            try:
                async with asyncio.timeout(self._call_limit):
                    answer = await self._fired(entry, fire)
            except (TimeoutError, StoreTimeout):
                slow += 1
                if slow == _SLOW:
                    raise
                self._logger.warning("the store took too long to fire the cron entry %s", entry.name)
                continue
            slow = 0
            if answer.reply is Reply.APPLIED:
                self._on_fired(entry, answer)
        return planned

    async def _fired(self, entry: CronEntry, fire: Fire) -> Fired:
        spans = self._telemetry.spans
        if spans is None:
            return (await self._store.crons.fire([fire]))[0]
        with spans.firing(entry.name, entry.spec.scope) as carrier:
            ticks = [carrying(tick, carrier) for tick in fire.ticks]
            return (await self._store.crons.fire([replace(fire, ticks=ticks)]))[0]

    def _pause(self, due: Due) -> float:
        """Until the next tick, but not past the poll floor: entries are made, edited and enabled by others."""
        if due.next_at is None:
            return self.interval
        return min(self.interval, max((due.next_at - due.now).total_seconds(), 0.001))


async def settle(store: Store) -> list[CronEntry]:
    """Brings the store's code entries in line with what live workers announce; answers those that changed."""
    due = await store.crons.due(limit=0)
    specs = await store.crons.candidates()
    return await store.crons.settle(next_fire_at={digest: first_fire(spec, due.now) for digest, spec in specs.items()})
