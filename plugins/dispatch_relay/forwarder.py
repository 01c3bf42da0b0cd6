"""From the feed to deliveries: reads what happened, makes one job for each event and endpoint, then moves on.

Any number of workers do it at once. The jobs' ids follow from event and endpoint, so that a page that is forwarded
twice (a crash before the cursor moved, two workers at once) makes the same jobs; whoever moved the cursor last has the
feed for itself until it is silent for a moment.
"""

from __future__ import annotations

import logging
from collections.abc import Collection, Sequence

from dispatch.clock import boot_seconds, utc_now
from dispatch.errors import DataRejected, InvalidArguments
from dispatch.ids import EventID
from dispatch.jobs.definition import JobDefinition
from dispatch.jobs.model import NewJob
from dispatch.records import Record
from dispatch.store import Store
from dispatch.streams import StreamEntry
from dispatch_relay.configured import Configured
from dispatch_relay.cursor import FEED, Cursor, cursor_record, move
from dispatch_relay.delivery import Receipt, delivery_of
from dispatch_relay.endpoint import Endpoint
from dispatch_relay.endpoints import Endpoints
from dispatch_relay.events import PREFIX
from dispatch_relay.message import delivery_id, event_of

PAGE = 500
INTERVAL = 1.0
PATIENCE = 1.0
"""Seconds that an event may wait before another worker than the last one takes the feed over."""
RENEW = 3600.0
LOOK = 60.0


class Forwarder:
    """A service of each worker.

    Args:
        store: whose feed it reads. endpoints: who wants what. enabled: the event types that are forwarded.
        configured: the endpoints of this process's configuration, stored first. definition: the job that delivers.
    """

    name = "relay"

    def __init__(
        self,
        store: Store,
        *,
        endpoints: Endpoints,
        configured: Configured,
        enabled: Collection[str],
        definition: JobDefinition[..., Receipt],
        logger: logging.Logger,
    ) -> None:
        self._store = store
        self._endpoints = endpoints
        self._configured = configured
        self._enabled = frozenset(enabled)
        self._definition = definition
        self._logger = logger
        self._id = str(EventID.new())
        self._read_to = 0
        """Up to here there was nothing for anybody."""
        self._heard: dict[str, Endpoint] = {}
        """The endpoints for which this process has listened."""
        self._renew_at = 0.0
        self._look_at = 0.0
        self._waiting: tuple[int, float] | None = None
        """The cursor's version when something for others to forward was seen, and when."""

    async def run_once(self) -> float:
        """Forwards one page; answers at once when there is more."""
        record = await cursor_record(self._store)
        if boot_seconds() >= self._look_at:
            await self._listen()
            self._look_at = boot_seconds() + LOOK
        cursor = Cursor.of(record)
        position = max(cursor.position, self._read_to)
        page = await self._store.stream.read_after(FEED, position, limit=PAGE)
        if not page.entries:
            if page.position < position:
                await self._begin_again(record, page.position)
            return INTERVAL
        endpoints = await self._endpoints.all()  # after the page: whoever was added before it was written is in
        jobs = self._deliveries(page.entries, endpoints)
        full = len(page.entries) >= PAGE
        end = page.entries[-1].position
        if not jobs and not full:
            self._read_to = end
            return INTERVAL
        if jobs and not self._may_forward(cursor, record.version):
            return PATIENCE / 4
        self._warn_of_gaps(page.gaps, position, endpoints)
        await self._enqueue(jobs)
        await move(self._store, record, Cursor(end, self._id))
        self._waiting = None
        return 0.0 if full else INTERVAL

    async def _listen(self) -> None:
        """Stores what the configuration says, and keeps the store writing for every endpoint."""
        await self._configured.apply()
        now = boot_seconds()
        if now >= self._renew_at:
            self._heard = {}
            self._renew_at = now + RENEW
        for endpoint in await self._endpoints.all():
            if self._heard.get(endpoint.name) != endpoint:
                await self._endpoints.listen(endpoint)
                self._heard[endpoint.name] = endpoint

    def _deliveries(self, entries: Sequence[StreamEntry], endpoints: Sequence[Endpoint]) -> list[NewJob]:
        jobs: list[NewJob] = []
        for entry in entries:
            name = f"{PREFIX}{entry.type}"
            if name not in self._enabled:
                continue
            wanted = [one for one in endpoints if one.wants(name, entry.tenant, entry.position)]
            if not wanted:
                continue
            try:
                jobs += self._deliveries_of(entry, wanted)
            except (ValueError, InvalidArguments) as error:  # a program wrote it: what stores write can be read
                self._logger.error("the event %s (%s) is no webhook: %s", entry.id, name, error)
        return jobs

    def _deliveries_of(self, entry: StreamEntry, wanted: Sequence[Endpoint]) -> list[NewJob]:
        at = entry.at or utc_now()
        event = event_of(id=entry.id, feed_type=entry.type, at=at, tenant=entry.tenant, data=entry.data)
        return [
            delivery_of(self._definition, endpoint, event, id=delivery_id(event, endpoint.name)) for endpoint in wanted
        ]

    def _may_forward(self, cursor: Cursor, version: int) -> bool:
        """Whether the feed is this forwarder's: it moved the cursor last, or whoever did lets events wait."""
        if cursor.by in (self._id, ""):
            return True
        if self._waiting is None or self._waiting[0] != version:
            self._waiting = (version, boot_seconds())
        return boot_seconds() - self._waiting[1] >= PATIENCE

    async def _enqueue(self, jobs: Sequence[NewJob]) -> None:
        for begin in range(0, len(jobs), PAGE):
            batch = jobs[begin : begin + PAGE]
            try:
                await self._store.jobs.enqueue(batch)
            except DataRejected:
                for job in batch:
                    await self._enqueue_one(job)

    async def _enqueue_one(self, job: NewJob) -> None:
        try:
            await self._store.jobs.enqueue([job])
        except DataRejected as error:
            self._logger.error("webhook %s is lost: the store cannot hold it: %s", job.metadata["webhook_id"], error)

    def _warn_of_gaps(self, gaps: Collection[str], position: int, endpoints: Sequence[Endpoint]) -> None:
        """Tells when events that somebody wanted were removed before they could be forwarded."""
        for endpoint in endpoints:
            lost = [name for name in endpoint.types(self._enabled) if name.removeprefix(PREFIX) in gaps]
            if lost and endpoint.enabled and endpoint.asked_at < position:
                self._logger.error(
                    "events of %s were removed by retention before any worker forwarded them to the webhook endpoint "
                    "%r: their webhooks are lost; raise [retention] events, or run workers more often",
                    ", ".join(lost),
                    endpoint.name,
                )

    async def _begin_again(self, record: Record, end: int) -> None:
        """The store was replaced by one whose feed is younger: goes on at its end."""
        self._logger.warning("the feed ends before the place that the relay had read to: going on at its end")
        for endpoint in await self._endpoints.all():
            await self._endpoints.change(
                endpoint.name, lambda one: one.model_copy(update={"since": min(one.since, end), "asked_at": end})
            )
        self._read_to = 0
        await move(self._store, record, Cursor(end, self._id))
