"""The app's Broker: made when somebody asks for it, closed with the app."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING

from dispatch.store import Store

if TYPE_CHECKING:
    from dispatch.streams import Broker


class Feeding:
    """The part of Dispatch that hands state changes on."""

    store: Store
    _logger: logging.Logger
    _feed: Broker | None = None

    if TYPE_CHECKING:

        @property
        def loop(self) -> asyncio.AbstractEventLoop: ...

    @property
    def feed(self) -> Broker:
        """State changes of jobs, runs and cron entries as they happen, in whatever process.

        One Broker an app, whose reader starts with its first subscriber. Raises NoOpenApp.

        >>> async with await app.feed.subscribe("jobs", tenant=None) as events:  # doctest: +SKIP
        ...     async for event in events:
        ...         print(event)
        """
        feed = self._feed if self.loop is not None else None
        if feed is None:
            from dispatch.streams import Broker

            feed = Broker(self.store.stream, hints=self.store.wakeups, logger=self._logger.getChild("streams"))
            self._feed = feed
        return feed

    async def _close_feed(self) -> None:
        feed, self._feed = self._feed, None
        if feed is not None:
            await feed.close()
