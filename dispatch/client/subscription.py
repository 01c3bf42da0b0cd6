"""What a client listens to: events in order, without loss or repetition, over as many connections as it takes."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Self

from dispatch.errors import DispatchError


@dataclass(frozen=True, slots=True)
class Event:
    """A state change, as the server told it.

    Of the type "lagged", `data["missed"]` events are missing here, because they came faster than they were read; of the
    type "reset", the server cannot say how many: look at the state anew.
    """

    channel: str
    type: str
    data: dict[str, Any]
    after: int
    """`subscribe(channel, after=…)` goes on behind this event."""
    id: str = ""
    """The same whoever is told, however often."""
    ts: str = ""
    topic: str = ""
    """What it is about, such as "job:<id>"."""


class Subscription:
    """Iterate over it for the events of a channel; it goes on over reconnections until it is closed."""

    def __init__(
        self,
        channel: str,
        after: int | None,
        *,
        leave: Callable[[Subscription], Awaitable[None]],
        read: Callable[[], Awaitable[None]],
    ) -> None:
        self.channel = channel
        self.after = after
        """The position of the last event that came."""
        self.id = ""
        """As the server names it on the present connection."""
        self.closed = False
        self._leave = leave
        self._read = read
        self._waiting: asyncio.Queue[Event | DispatchError | None] = asyncio.Queue()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Event:
        """The next event. Raises what made the client give up."""
        if self.closed and self._waiting.empty():
            raise StopAsyncIteration
        item = await self._waiting.get()
        if item is None:
            raise StopAsyncIteration
        if isinstance(item, DispatchError):
            self.closed = True
            raise item
        await self._read()
        return item

    async def close(self) -> None:
        """Stops listening; idempotent. Events that have come are still there to be read."""
        if not self.closed:
            self.end()
            await self._leave(self)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    @property
    def unread(self) -> int:
        """How many events wait to be read."""
        return self._waiting.qsize()

    def offer(self, data: dict[str, Any]) -> None:
        """Takes in what an event frame says; what came before is not taken in twice."""
        position = int(data.get("after", 0))
        kind = str(data.get("type", ""))
        if kind not in ("lagged", "reset") and self.after is not None and position <= self.after:
            return
        self.after = position
        if kind in ("lagged", "reset"):
            body = {key: value for key, value in data.items() if key not in ("type", "after")}
            self._waiting.put_nowait(Event(self.channel, kind, body, position))
            return
        self._waiting.put_nowait(
            Event(
                self.channel,
                kind,
                data.get("data") or {},
                position,
                str(data.get("id", "")),
                str(data.get("ts", "")),
                str(data.get("topic", "")),
            )
        )

    def end(self, error: DispatchError | None = None) -> None:
        """Nothing more will come, because of that error if there is one."""
        if not self.closed:
            self.closed = error is None
            self._waiting.put_nowait(error)
