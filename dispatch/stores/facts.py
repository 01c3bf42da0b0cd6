"""What a store's server says of itself that people should know: how hard it keeps what it has acknowledged."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol, runtime_checkable

from dispatch.clock import micros, utc_now


@runtime_checkable
class TellsOfItsServer(Protocol):
    """A store on a server, such as PostgreSQL, MySQL or Redis."""

    async def server_facts(self) -> Mapping[str, str]:
        """The server's settings by their own names; `server`: which and what version, `clock_offset`: how many seconds
        its clock is ahead of this machine's. What the user may not read is left out. Raises StoreError."""
        ...


def offset(server: int) -> str:
    """`clock_offset` from the server's time in microseconds."""
    return f"{(server - micros(utc_now())) / 1e6:.3f}"
