"""What a worker does about leadership: it campaigns, and while it leads it fires cron entries."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial

from dispatch.cluster.elector import LeaderElector
from dispatch.crons.model import CronEntry, Fired
from dispatch.crons.plan import Rules, job_of
from dispatch.engine.elector import Campaign, StoreElector
from dispatch.engine.scheduler import CronScheduler
from dispatch.engine.service import Service
from dispatch.engine.settings import Settings
from dispatch.ids import WorkerID
from dispatch.plugins import PluginManager
from dispatch.store import Store
from dispatch.telemetry import OFF, Telemetry


class Leading:
    """The campaign and the leader's duties, with what plugins and the log are told of them."""

    def __init__(
        self,
        store: Store,
        worker_id: WorkerID,
        settings: Settings,
        *,
        elector: LeaderElector | None,
        plugins: PluginManager,
        telemetry: Telemetry = OFF,
        on_death: Callable[[BaseException], None],
        logger: logging.Logger,
    ) -> None:
        self._id = worker_id
        self._plugins = plugins
        self._logger = logger
        self._campaign = Campaign(
            elector or StoreElector(store, lease=settings.leader_lease),
            worker_id,
            lease=settings.leader_lease,
            on_change=self._changed,
            on_death=on_death,
            logger=logger,
        )
        self._scheduler = CronScheduler(
            store,
            require_leadership=self._campaign.require,
            rules=Rules(misfire_window=settings.misfire_window, on_time=2 * settings.leader_lease),
            on_fired=partial(tell_of_ticks, plugins=plugins, telemetry=telemetry, logger=logger),
            telemetry=telemetry,
            interval=min(settings.poll_interval, settings.leader_lease / 5),
            limit=settings.call_timeout,
            on_death=on_death,
            logger=logger,
        )

    @property
    def services(self) -> Sequence[Service]:
        """The loops to start and stop."""
        return (self._campaign, self._scheduler)

    async def resign(self) -> None:
        """Gives leadership up, if held, so that the next worker need not wait for the lease."""
        await self._campaign.resign()

    def _changed(self, term: int | None) -> None:
        if term is None:
            self._logger.info("this worker leads no longer")
        else:
            self._logger.info("this worker leads (term %d)", term)
            self._scheduler.nudge()
        if self._plugins.has("leader_changed"):
            self._plugins.background("leader_changed", worker_id=self._id, term=term)


def tell_of_ticks(
    entry: CronEntry, fired: Fired, *, plugins: PluginManager, logger: logging.Logger, telemetry: Telemetry = OFF
) -> None:
    """Tells plugins, the log and the count of missed ticks what became of an entry's ticks."""
    for tick in fired.ticks:
        if tick.outcome == "missed":
            logger.warning("cron %s missed its tick of %s", entry.name, tick.scheduled_at)
            if telemetry.instruments is not None:
                telemetry.instruments.missed.add(1, entry.name)
        elif tick.job_id is not None:
            logger.info("cron %s fired %s", entry.name, tick.run_id or tick.job_id, extra={"event": "cron_fired"})
            if plugins.has("job_enqueued") and entry.spec.kind == "job":
                made = replace(job_of(entry, tick.scheduled_at), id=tick.job_id)
                plugins.background("job_enqueued", job=made)
            if plugins.has("cron_fired"):
                plugins.background("cron_fired", entry=entry, job_id=tick.job_id)
