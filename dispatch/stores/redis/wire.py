"""What a connection to the server can do, whoever makes it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Any, Protocol

Reply = Any
Call = Sequence[Any]
"""A command and its arguments."""


class Refusal(Exception):
    """An error that the server replied with, such as "OOM command not allowed"."""

    @property
    def code(self) -> str:
        """What Redis puts first, such as OOM; '' where there is none."""
        first = str(self).partition(" ")[0]
        return first if first.isupper() else ""


class Wire(Protocol):
    """A connection on the running loop; carries one exchange at a time."""

    closed: asyncio.Future[None]
    """Done once nothing comes any more."""

    async def exchange(self, commands: Sequence[Call], limit: float) -> list[Reply]:
        """Sends commands and answers a reply for each, a Refusal where the server refused one.

        Args:
            limit: seconds that the replies may take.

        Raises:
            OSError: the connection has ended; as TimeoutError after `limit`.
            DataRejected: a value is none that Redis takes; nothing was sent.
        """
        ...

    def subscribe(self, channel: bytes, heard: Callable[[Reply], None]) -> None:
        """From now on the connection only listens: `heard` is called with each message."""

    def fresh(self) -> bool:
        """Whether the server has neither closed the idle connection nor said anything unasked."""
        ...

    def end(self) -> None:
        """Throws the connection away; idempotent."""
