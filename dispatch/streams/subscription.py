"""One subscriber's side of the Broker: a bounded buffer that it pulls from when it likes."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Self

from dispatch.streams.model import Event, Item, Lagged, Reset
from dispatch.streams.topics import Topic


class Subscription:
    """What `Broker.subscribe` answers: `async for item in subscription`, or `pull` for some at once.

    Whoever does not pull holds nobody up: once `buffer` events wait, what comes is dropped and counted, and after the
    events that wait a `Lagged` says how many were missed. One consumer at a time.
    """

    def __init__(
        self,
        topic: Topic,
        *,
        tenant: str | None,
        buffer: int,
        catch_up: Callable[[Subscription], Awaitable[None]],
        leave: Callable[[Subscription], None],
    ) -> None:
        self.topic = topic
        self.tenant = tenant
        self.position = -1
        """Up to here the feed has been looked through for this subscriber."""
        self.live = False
        """It is given what the Broker's reader reads; before that it reads from where it wants to begin."""
        self.closed = False
        self._size = buffer
        self._items: deque[Item] = deque()
        self._taken = -1
        self._missed = 0
        self._ready = asyncio.Event()
        self._catch_up = catch_up
        self._leave = leave

    @property
    def channel(self) -> str:
        """The channel as it was named."""
        return self.topic.name

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Item:
        items = await self.pull(1)
        if not items:
            raise StopAsyncIteration
        return items[0]

    async def pull(self, limit: int = 100) -> list[Item]:
        """Waits for something and answers at most `limit` items in order; none once the subscription is closed."""
        while not self.closed:
            if self._items or self._missed:
                return self._take(limit)
            self._ready.clear()
            if self.live:
                await self._ready.wait()
            else:
                await self._catch_up(self)
        return []

    async def close(self) -> None:
        """Ends the subscription; idempotent. Who waits in `pull` is given nothing more."""
        if not self.closed:
            self.closed = True
            self._ready.set()
            self._leave(self)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    def wants(self, event: Event) -> bool:
        """Whether the event belongs to its channel and tenant, and was not seen yet."""
        return (
            event.position > self.position
            and (self.tenant is None or event.tenant == self.tenant)
            and self.topic.wants(event.type, event.data)
        )

    def offer(self, event: Event) -> None:
        """Keeps an event of the live feed for the subscriber, or counts it as missed."""
        self.position = event.position
        if self._missed or len(self._items) >= self._size:
            self._missed += 1
        else:
            self._items.append(event)
        self._ready.set()

    def fill(self, events: list[Event], position: int, *, reset: bool) -> None:
        """Keeps a page that was read for this subscriber alone."""
        if reset:
            self._items.append(Reset(position))
        self._items.extend(events)
        self.position = position

    def gap(self, position: int) -> None:
        """Tells the subscriber of a gap in the live feed."""
        self._items.append(Reset(position))
        self._ready.set()

    def catch_up_again(self) -> None:
        """From its position on it reads by itself again."""
        self.live = False
        self._ready.set()

    def _take(self, limit: int) -> list[Item]:
        items = [self._items.popleft() for _ in range(min(max(limit, 1), len(self._items)))]
        if items:
            self._taken = items[-1].position
        if self._missed and not self._items and len(items) < max(limit, 1):
            items.append(Lagged(self._missed, self._taken))
            self._missed = 0
        return items
