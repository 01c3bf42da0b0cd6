"""The subscriptions of one connection: each hands events on as fast as the client takes them."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from dispatch.access import Identity
from dispatch.errors import JobNotFound, RunNotFound
from dispatch.ids import JobID, RunID, new_public_id
from dispatch.streams import Event, Item, Lagged, Subscription
from dispatch.text import iso
from dispatch.wire.frames import MOST_CREDITS, Frame, FrameType
from dispatch.wire.refusals import Refusal

if TYPE_CHECKING:
    from dispatch import Dispatch

MOST = 100
"""Subscriptions of one connection."""
CREDITS = 1000
_BUFFER = 1000
_AT_ONCE = 100
Send = Callable[[Frame], Awaitable[None]]


class Credits:
    """How many more events a client takes; who never counts is sent as many as it reads."""

    def __init__(self, left: int = CREDITS) -> None:
        self.left = left
        self._counts = False
        self._more = asyncio.Event()

    def grant(self, more: int) -> None:
        """The client takes so many more; from now on it counts."""
        self._counts = True
        self.left = min(self.left + more, MOST_CREDITS)
        self._more.set()

    async def take(self) -> None:
        """Waits for a credit and uses it up."""
        while self.left <= 0:
            self._more.clear()
            await self._more.wait()
        self.left -= 1

    def taken(self) -> None:
        """The client has read what the credit was for."""
        if not self._counts:
            self.left += 1


@dataclass(slots=True)
class _Pump:
    id: str
    source: Subscription
    task: asyncio.Task[None]


class Subscriptions:
    """What one client listens to.

    Args:
        app: whose feed it is. identity: of whom; it decides which tenant's events are let through.
        send: sends a frame, and returns once the connection has taken it.
    """

    def __init__(self, app: Dispatch, identity: Identity, send: Send, *, logger: logging.Logger) -> None:
        self.credits = Credits()
        self._app = app
        self._identity = identity
        self._send = send
        self._logger = logger
        self._pumps: dict[str, _Pump] = {}

    async def add(self, channel: str, *, after: int | None = None) -> tuple[str, int]:
        """Subscribes to a channel, once; answers the subscription's id and the position that it begins behind.

        Raises Refusal, NotFound, InvalidArguments.
        """
        if channel in self._pumps:
            raise Refusal(409, f"this connection listens to {channel} already")
        if len(self._pumps) >= MOST:
            raise Refusal(429, f"a connection has at most {MOST} subscriptions; unsubscribe from some")
        within = self._identity.within
        await self._must_exist(channel)
        source = await self._app.feed.subscribe(
            channel, tenant=None if within is None else within.tenant, after=after, buffer=_BUFFER
        )
        begins = source.position
        task = asyncio.create_task(self._run(channel, source), name=f"dispatch wire {channel}")
        pump = self._pumps[channel] = _Pump(f"sub_{new_public_id()}", source, task)
        return pump.id, begins

    async def remove(self, *, channel: str = "", subscription_id: str = "") -> tuple[str, str] | None:
        """Ends a subscription by its channel or its id; answers both, or None when there is none."""
        for name, pump in self._pumps.items():
            if name == channel or pump.id == subscription_id:
                del self._pumps[name]
                await _end(pump)
                return name, pump.id
        return None

    async def close(self) -> None:
        """Ends all of them."""
        pumps, self._pumps = list(self._pumps.values()), {}
        for pump in pumps:
            await _end(pump)

    async def _must_exist(self, channel: str) -> None:
        """What a key cannot see does not exist for it."""
        kind, _, value = channel.partition(":")
        try:
            if kind == "job" and value:
                await self._app.jobs.get(JobID.parse(value), scope=self._identity.within)
            elif kind == "workflow" and value:
                await self._app.workflows.get(RunID.parse(value), scope=self._identity.within)
        except ValueError:
            raise (JobNotFound if kind == "job" else RunNotFound)(f"there is no {channel}") from None

    async def _run(self, channel: str, source: Subscription) -> None:
        try:
            while items := await source.pull(_AT_ONCE):
                for item in items:
                    if isinstance(item, Event):
                        await self.credits.take()
                    await self._send(frame_of(channel, item))
                    if isinstance(item, Event):
                        self.credits.taken()
        except (OSError, RuntimeError, TimeoutError) as error:
            self._logger.debug("subscription to %s: %r", channel, error)
        finally:
            await source.close()


async def _end(pump: _Pump) -> None:
    await pump.source.close()
    pump.task.cancel()
    await asyncio.wait([pump.task])


def frame_of(channel: str, item: Item) -> Frame:
    """The frame in which a subscriber is told."""
    if isinstance(item, Event):
        data: dict[str, object] = {
            "id": item.id,
            "type": item.type,
            "ts": iso(item.ts),
            "topic": item.topic,
            "data": item.data,
        }
    elif isinstance(item, Lagged):
        data = {"type": "lagged", "missed": item.missed}
    else:
        data = {"type": "reset"}
    return Frame(type=FrameType.EVENT, channel=channel, data={**data, "after": item.position})
