"""Fires what is due: the leader brings code entries in line, plans each due entry and hands the ticks to the store."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from datetime import datetime

from dispatch.clock import boot_seconds
from dispatch.crons.model import CronEntry, Due, Fire, Fired
from dispatch.crons.plan import Rules, carrying, first_fire, plan
from dispatch.engine.service import Service
from dispatch.entity import Reply
from dispatch.errors import DataRejected, LeadershipLost, StoreTimeout
from dispatch.ids import CronID
from dispatch.store import Store
from dispatch.telemetry import OFF, Telemetry

AT_ONCE = 100
TOGETHER = 20
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
        self._unfit: dict[CronID, int] = {}
        """The due entries that say nothing or nothing that can be stored: the revision of each."""

    async def run_once(self) -> float | None:
        """Does nothing unless this worker leads."""
        try:
            self._require()
            if self._clock() - self._settled_at >= SETTLE_EVERY:
                async with asyncio.timeout(self._call_limit):
                    await settle(self._store)
                self._settled_at = self._clock()
            # what does not fire stays due for longest, and must not fill the page
            known, most = self._unfit, AT_ONCE + len(self._unfit)
            async with asyncio.timeout(self._call_limit):
                due = await self._store.crons.due(limit=most)
            self._unfit = {}
            fired = await self._fire(due, known)
        except LeadershipLost:
            self._settled_at = float("-inf")
            return self.interval
        hidden = len(due.entries) == most and self._unfit.keys() > known.keys()
        return 0.0 if fired or hidden else self._pause(due)

    async def _fire(self, due: Due, known: Mapping[CronID, int]) -> int:
        """Fires the due entries, some at a time; answers how many of them say what to do.

        Args:
            known: the revisions of those that were unfit the last time, of which the log knows.
        """
        fit = 0
        for start in range(0, len(due.entries), TOGETHER):
            if self._stopping:
                break
            fires: list[tuple[CronEntry, Fire]] = []
            for entry in due.entries[start : start + TOGETHER]:
                try:
                    fires.append((entry, plan(entry, due.now, self._rules)))
                except (ValueError, OverflowError) as error:
                    self._leave(entry, f"cannot be read and does not fire: {error}", known)
            if fires:
                fit += len(fires) - await self._fire_together(fires, known)
        return fit

    def _leave(self, entry: CronEntry, why: str, known: Mapping[CronID, int]) -> None:
        """The entry does nothing until somebody edits or deletes it, which the log says once."""
        self._unfit[entry.id] = entry.revision
        if known.get(entry.id) != entry.revision:
            self._logger.error("the cron entry %s %s", entry.name, why)

    async def _fire_together(self, fires: Sequence[tuple[CronEntry, Fire]], known: Mapping[CronID, int]) -> int:
        """Fires some entries in one call, or each by itself where that fails, so that none keeps the others waiting;
        answers how many of them make what cannot be stored."""
        try:
            await self._fire_some(fires)
            return 0
        except (TimeoutError, StoreTimeout) as error:
            self._logger.warning("the store took too long to fire %d cron entries together: %r", len(fires), error)
        except DataRejected:
            pass  # told of the one that it is
        unfit = 0
        slow = 0
        for one in fires:
            if self._stopping:
                break
            try:
                await self._fire_some([one])
                slow = 0
            except DataRejected as error:
                self._leave(one[0], f"makes what cannot be stored, and does not fire: {error}", known)
                unfit += 1
            except (TimeoutError, StoreTimeout):
                # two in a row mean that the store is slow, not the entry
                slow += 1
                if slow == _SLOW:
                    raise
                self._logger.warning("the store took too long to fire the cron entry %s", one[0].name)
        return unfit

    async def _fire_some(self, fires: Sequence[tuple[CronEntry, Fire]]) -> None:
        self._require()
        with ExitStack() as open_spans:
            traced = [self._traced(entry, fire, open_spans) for entry, fire in fires]
            async with asyncio.timeout(self._call_limit):
                answers = await self._store.crons.fire(traced)
        for (entry, _), answer in zip(fires, answers, strict=True):
            if answer.reply is Reply.APPLIED:
                self._on_fired(entry, answer)

    def _traced(self, entry: CronEntry, fire: Fire, open_spans: ExitStack) -> Fire:
        """The firing, whose jobs carry on the trace that its span begins."""
        spans = self._telemetry.spans
        if spans is None:
            return fire
        carrier = open_spans.enter_context(spans.firing(entry.name, entry.spec.scope))
        return replace(fire, ticks=[carrying(tick, carrier) for tick in fire.ticks])

    def _pause(self, due: Due) -> float:
        """Until the next tick, but not past the poll floor: entries are made, edited and enabled by others."""
        if due.next_at is None:
            return self.interval
        return min(self.interval, max((due.next_at - due.now).total_seconds(), 0.001))


async def settle(store: Store) -> list[CronEntry]:
    """Brings the store's code entries in line with what live workers announce; answers those that changed.

    An entry whose first tick cannot be computed here, perhaps for want of its time zone, holds up no other: it is due
    at once, and left to a leader that can.
    """
    due = await store.crons.due(limit=0)
    first: dict[str, datetime | None] = {}
    for digest, spec in (await store.crons.candidates()).items():
        try:
            first[digest] = first_fire(spec, due.now)
        except (ValueError, OverflowError):
            continue
    return await store.crons.settle(next_fire_at=first)
