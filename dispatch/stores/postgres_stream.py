"""The stream part of the PostgreSQL store: triggers that exist only while somebody listens, made in nobody's way."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection

from dispatch.backoff import ExponentialWithJitter
from dispatch.clock import boot_seconds
from dispatch.errors import StoreBusy
from dispatch.stores.postgres_executor import PostgresExecutor
from dispatch.stores.sql.plan import Plan, Rows
from dispatch.stores.sql.rows import span
from dispatch.stores.sql.stream import SQLStream

_LIMIT = 10.0
"""Seconds in which the triggers must stand; somebody's own transaction that has written may be open for longer."""
_PAUSES = ExponentialWithJitter(base=0.1, max=2.0)
"""Between two tries: others wait for as long as one of them lasts."""
_PATIENCE = 1.0
"""Seconds to wait for transactions that began before a listener could be seen; somebody's own may be open for long."""
_PAUSE = 0.01


class PostgresStream(SQLStream):
    """StreamStore over an executor on PostgreSQL."""

    def __init__(self, executor: PostgresExecutor, *, limit: float = _LIMIT) -> None:
        super().__init__(executor)
        self._shown = executor.place.shown
        self._limit = limit

    async def listen(self, channels: Collection[str], listener: str, *, lease: float) -> None:
        def act() -> Plan[int | None]:
            known = yield Rows("listens", {"listener": listener})
            began = yield from self._listen(channels, listener, self._executor.now(), span(lease))
            return (yield Rows("own_transaction", {}))[0][0] if began or not known else None

        await self._tell_changes()
        own = await self._executor.run(act, wake=False)
        until = boot_seconds() + _PATIENCE
        while own is not None and boot_seconds() < until:
            if await self._executor.run(_oldest, write=False, single=True) > own:
                return
            await asyncio.sleep(_PAUSE)

    async def prune(self, *, older_than: float, limit: int = 1000, dry_run: bool = False) -> int:
        count = await super().prune(older_than=older_than, limit=limit, dry_run=dry_run)
        if limit > 0 and not dry_run:
            for table in await self._executor.run(_tables("told_to_nobody"), write=False, single=True):
                if not await self._try("keep_quiet", table):
                    break  # the next round tries again
        return count

    async def _tell_changes(self) -> None:
        """Returns once the triggers stand: one table after the other, so that nobody waits while two are locked."""
        until = boot_seconds() + self._limit
        tries = 0
        while untold := await self._executor.run(_tables("untold"), write=False, single=True):
            if await self._try("tell", untold[0]):
                continue
            if boot_seconds() > until:
                raise StoreBusy(
                    f"{self._shown}: the feed cannot tell yet what changes in {untold[0]}, as others have written to "
                    f"it and kept their transactions open for {self._limit:g} s. Listen again when they have ended; "
                    "pg_stat_activity shows them"
                )
            tries += 1
            await asyncio.sleep(_PAUSES.delay(tries).total_seconds())

    async def _try(self, name: str, table: str) -> bool:
        """One statement that is its own transaction: whoever dies or stands still behind it holds no lock."""

        def plan() -> Plan[bool]:
            done: bool = (yield Rows(name, {"about": table}))[0][0]
            return done

        return await self._executor.run(plan, wake=False, single=True)


def _tables(name: str) -> Callable[[], Plan[list[str]]]:
    def plan() -> Plan[list[str]]:
        return [table for (table,) in (yield Rows(name, {}))]

    return plan


def _oldest() -> Plan[int]:
    oldest: int = (yield Rows("oldest_transaction", {}))[0][0]
    return oldest
