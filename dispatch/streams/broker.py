"""The Broker: one reader of the feed a process, shared by all its subscribers, whatever process did the work."""

from __future__ import annotations

import asyncio
import logging
from collections import defaultdict
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Protocol

from pydantic_core import from_json, to_json

from dispatch.backoff import ExponentialWithJitter
from dispatch.clock import EPOCH
from dispatch.errors import InvalidArguments, StoreError
from dispatch.ids import EventID
from dispatch.streams.leases import Leases
from dispatch.streams.model import EVENT_TYPES, Event, StreamEntry, StreamPage
from dispatch.streams.store import StreamStore
from dispatch.streams.subscription import Subscription
from dispatch.streams.topics import about, topic_of

_PAGE = 500
_GATHER = 0.01
"""Seconds between two reads that found less than a page: changes come in bunches."""
_FIELDS = ("job_id", "run_id", "queue")
_PAUSES = ExponentialWithJitter(base=0.1, max=5.0)


class Hints(Protocol):
    """A store's wake-ups: something may have changed."""

    @property
    def version(self) -> int: ...
    async def wait(self, seen: int, timeout: float) -> int: ...


class Broker:
    """Hands the feed of a store on to subscribers of this process.

    While somebody subscribes to an event type, the Broker holds a listener lease for it, so that the store keeps what
    happens; ten minutes beyond that the store goes on keeping it, so that who comes back with `after` misses nothing.

    Args:
        stream: the feed. hints: the store's wake-ups.
        lease: seconds that a listener lease lasts; it is renewed three times as often.
        linger: seconds for which the feed is kept after the last subscriber of a type has left.
        poll: seconds after which the feed is read although no hint came.
    """

    def __init__(
        self,
        stream: StreamStore,
        *,
        hints: Hints,
        logger: logging.Logger | None = None,
        lease: float = 60.0,
        linger: float = 600.0,
        poll: float = 0.25,
    ) -> None:
        self._stream = stream
        self._hints = hints
        self._logger = logger or logging.getLogger("dispatch.streams")
        self._leases = Leases(stream, lease=lease, linger=linger)
        self._poll = poll
        self._subscriptions: dict[Subscription, None] = {}
        self._live: defaultdict[tuple[str, str], dict[Subscription, None]] = defaultdict(dict)
        self._position = -1
        self._reading: frozenset[str] = frozenset()
        """The types of the read under way or, between two, of the last one: who wants others cannot join now."""
        self._turned = asyncio.Event()
        self._kicked = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []
        self._closed = False

    async def publish(
        self, kind: str, data: Mapping[str, Any], *, event_id: str | None = None, tenant: str = ""
    ) -> str:
        """Tells whoever subscribes to the event type `kind`, in any process; answers the event's id.

        It is kept only while somebody listens: for what must not be lost use `app.events.publish`.

        Args:
            kind: a type with a dot in it, such as "shop.opened"; those that stores tell of by themselves are refused.
            data: a JSON object. event_id: the same for whoever reads it (default: a new one).
            tenant: whose event it is ("<app>/<org>").

        Raises InvalidArguments, StoreError.
        """
        if kind in EVENT_TYPES or "." not in kind or ":" in kind:
            raise InvalidArguments(
                f"{kind!r} cannot be published: give a type of your own with a dot and without a colon, such as "
                "shop.opened"
            )
        chosen = event_id or EventID.new()
        await self._stream.append([StreamEntry(kind, chosen, kind, to_json(dict(data)), tenant)])
        return chosen

    async def subscribe(
        self, channel: str, *, tenant: str | None, after: int | None = None, buffer: int = 1000
    ) -> Subscription:
        """Begins to listen; what happens once this has returned is not missed.

        Args:
            channel: job:<id>, workflow:<run id>, queue:<name>, jobs, workflows, crons, firehose, or an event type.
            tenant: only events of this tenant ("<app>/<org>", "" for work without a scope); None: of all.
            after: the position of the last event that was seen; None: from now on.
            buffer: how many events may wait before further ones are dropped and counted.

        Raises InvalidArguments, StoreError.
        """
        if self._closed:
            raise InvalidArguments(f"channel {channel}: this Broker is closed; open the app again")
        if buffer < 1:
            raise InvalidArguments(f"channel {channel}: a buffer of {buffer} events; it takes at least 1")
        topic = topic_of(channel)
        subscription = Subscription(topic, tenant=tenant, buffer=buffer, catch_up=self._catch_up, leave=self._forget)
        self._subscriptions[subscription] = None
        try:
            await self._leases.hold(topic.types)
            end = (await self._stream.read_after(topic.types, -1)).position
        except BaseException:
            self._forget(subscription)
            raise
        subscription.position = end if after is None else max(after, 0)
        self._begin()
        self._kicked.set()
        return subscription

    async def unsubscribe(self, subscription: Subscription) -> None:
        """Ends a subscription; as `subscription.close()`."""
        await subscription.close()

    async def close(self) -> None:
        """Ends all subscriptions and stops reading; the feed is kept a while for those who come back elsewhere."""
        self._closed = True
        tasks, self._tasks = self._tasks, []
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)
        for subscription in list(self._subscriptions):
            await subscription.close()
        try:
            await self._leases.let_go()
        except StoreError as error:
            self._logger.warning("the feed may not be kept for those who come back: %s", error)

    # -- the reader ----------------------------------------------------------------------------------------------

    def _begin(self) -> None:
        if not self._tasks:
            self._tasks = [
                asyncio.create_task(self._supervise("feed reader", self._round), name="dispatch feed reader"),
                asyncio.create_task(self._supervise("feed leases", self._renew), name="dispatch feed leases"),
            ]

    async def _supervise(self, name: str, turn: Callable[[], Awaitable[None]]) -> None:
        failures = 0
        while True:
            try:
                await turn()
                failures = 0
            except Exception as error:
                failures += 1
                known = isinstance(error, StoreError)
                self._logger.warning("%s: %s (try %d)", name, error, failures, exc_info=not known)
                await asyncio.sleep(_PAUSES.delay(failures).total_seconds())

    async def _renew(self) -> None:
        await asyncio.sleep(self._leases.interval)
        await self._leases.renew(self._wanted())

    def _wanted(self) -> frozenset[str]:
        """The types that somebody subscribes to."""
        return frozenset[str]().union(*(subscription.topic.types for subscription in self._subscriptions))

    async def _round(self) -> None:
        """Reads what is new for all live subscribers, then waits until there may be more."""
        kinds = self._wanted()
        self._reading = kinds
        if not kinds:
            self._position = -1
            self._kicked.clear()
            await self._kicked.wait()
            return
        seen = self._hints.version
        start = self._position
        if start < 0:
            page = await self._stream.read_after(kinds, -1)
        else:
            page = await self._stream.read_after(kinds, start, limit=_PAGE)
        self._position = page.position
        for subscription in self._subscriptions:
            if subscription.live and page.gaps & subscription.topic.types:
                if subscription.position > start:
                    self._part(subscription)  # it came in beyond where this read began, maybe beyond the gap
                else:
                    subscription.gap(page.position)
        for entry in page.entries:
            self._hand_out(_event(entry))
        self._turned.set()
        self._turned = asyncio.Event()
        if len(page.entries) < _PAGE:
            await asyncio.sleep(_GATHER)
            await self._wait(seen)

    async def _wait(self, seen: int) -> None:
        """Until a hint, a new subscriber, or the poll interval is over."""
        self._kicked.clear()
        waits = [
            asyncio.ensure_future(self._hints.wait(seen, self._poll)),
            asyncio.ensure_future(self._kicked.wait()),
        ]
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for wait in waits:
                wait.cancel()

    def _hand_out(self, event: Event) -> None:
        about = ((field, event.data.get(field)) for field in _FIELDS)
        for place in (("", event.type), *((field, value) for field, value in about if isinstance(value, str))):
            for subscription in self._live.get(place, ()):
                if subscription.wants(event):
                    subscription.offer(event)

    # -- those who begin -----------------------------------------------------------------------------------------

    async def _catch_up(self, subscription: Subscription) -> None:
        """Reads a page for one subscriber alone; once it is where the reader is, the reader goes on for it."""
        kinds = subscription.topic.types
        page = await self._page(kinds, subscription.position)
        events = [event for event in map(_event, page.entries) if subscription.wants(event)]
        subscription.fill(events, page.position, reset=page.reset)
        if len(page.entries) == _PAGE:
            return
        if kinds <= self._reading and 0 <= self._position <= page.position:
            self._join(subscription)
        elif not events and not page.reset:
            turned = self._turned
            self._kicked.set()
            await turned.wait()

    async def _page(self, kinds: frozenset[str], position: int) -> StreamPage:
        failures = 0
        while True:
            try:
                return await self._stream.read_after(kinds, position, limit=_PAGE)
            except StoreError as error:
                failures += 1
                self._logger.warning("feed: %s (try %d)", error, failures)
                await asyncio.sleep(_PAUSES.delay(failures).total_seconds())

    def _join(self, subscription: Subscription) -> None:
        if subscription in self._subscriptions:
            subscription.live = True
            for place in _places(subscription):
                self._live[place][subscription] = None

    def _part(self, subscription: Subscription) -> None:
        """Lets a subscriber read on by itself for a while."""
        for place in _places(subscription):
            self._live[place].pop(subscription, None)
        subscription.catch_up_again()

    def _forget(self, subscription: Subscription) -> None:
        self._subscriptions.pop(subscription, None)
        for place in _places(subscription):
            found = self._live.get(place)
            if found is not None:
                found.pop(subscription, None)
                if not found:
                    del self._live[place]


def _places(subscription: Subscription) -> list[tuple[str, str]]:
    """Where the reader looks for those whom an event may concern."""
    topic = subscription.topic
    return [(topic.field, topic.value)] if topic.field else [("", kind) for kind in topic.types]


def _event(entry: StreamEntry) -> Event:
    try:
        data = from_json(entry.data)
    except ValueError:  # somebody appended what is no JSON: the others' events are not to wait for that
        data = None
    if not isinstance(data, dict):
        data = {}
    return Event(
        id=entry.id,
        type=entry.type,
        ts=entry.at or EPOCH,
        topic=about(entry.type, data),
        data=data,
        position=entry.position,
        tenant=entry.tenant,
    )
