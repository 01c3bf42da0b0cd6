"""What a store says of itself that people should know: how hard its server keeps things, whether it takes writes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol, runtime_checkable

from dispatch.clock import micros, utc_now
from dispatch.errors import StoreFull, StoreReadOnly


@runtime_checkable
class TellsOfItsServer(Protocol):
    """A store on a server, such as PostgreSQL, MySQL or Redis."""

    async def server_facts(self) -> Mapping[str, str]:
        """The server's settings by their own names; `server`: which and what version, `clock_offset`: how many seconds
        its clock is ahead of this machine's. What the user may not read is left out. Raises StoreError."""
        ...


@runtime_checkable
class ChecksWrites(Protocol):
    """A store that can tell whether it would take a write now, without writing anything."""

    async def check_writes(self) -> None:
        """Raises StoreFull or StoreReadOnly, as a write would now; any other StoreError when it cannot be asked."""
        ...


async def refusal(store: object) -> str:
    """Why the store takes no writes now, in the words of the error; "" when it does, or cannot tell beforehand."""
    if isinstance(store, ChecksWrites):
        try:
            await store.check_writes()
        except (StoreFull, StoreReadOnly) as error:
            return str(error)
    return ""


def offset(server: int) -> str:
    """`clock_offset` from the server's time in microseconds."""
    return f"{(server - micros(utc_now())) / 1e6:.3f}"
