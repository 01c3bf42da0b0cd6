"""The stream part of the PostgreSQL store: who begins to listen waits for those who cannot know it yet."""

from __future__ import annotations

import asyncio
from collections.abc import Collection

from dispatch.clock import boot_seconds
from dispatch.stores.sql.plan import Plan, Rows
from dispatch.stores.sql.rows import span
from dispatch.stores.sql.stream import SQLStream

_PATIENCE = 1.0
"""Seconds to wait for transactions that began before a listener could be seen; somebody's own may be open for long."""
_PAUSE = 0.01


class PostgresStream(SQLStream):
    """StreamStore over an executor on PostgreSQL."""

    async def listen(self, channels: Collection[str], listener: str, *, lease: float) -> None:
        def act() -> Plan[int | None]:
            began = yield from self._listen(channels, listener, self._executor.now(), span(lease))
            return (yield Rows("own_transaction", {}))[0][0] if began else None

        own = await self._executor.run(act, wake=False)
        until = boot_seconds() + _PATIENCE
        while own is not None and boot_seconds() < until:
            if await self._executor.run(_oldest, write=False, single=True) > own:
                return
            await asyncio.sleep(_PAUSE)


def _oldest() -> Plan[int]:
    oldest: int = (yield Rows("oldest_transaction", {}))[0][0]
    return oldest
