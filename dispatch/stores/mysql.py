"""The MySQL store: tables of one database of MySQL or MariaDB, over connections that somebody else makes."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from dispatch.clock import Clock
from dispatch.errors import ConfigError
from dispatch.store import SchemaStatus
from dispatch.stores import mysql_schema
from dispatch.stores.mysql_executor import MySQLExecutor
from dispatch.stores.mysql_jobs import MySQLJobs
from dispatch.stores.mysql_place import Place
from dispatch.stores.polled_wakeups import PolledWakeups
from dispatch.stores.server_executor import Pool
from dispatch.stores.sql.parts import SQLParts, part

if TYPE_CHECKING:
    from dispatch.stores.sql.stream import SQLStream

_MIGRATE = ("auto", "empty", "never")


class MySQLStore(SQLParts[MySQLExecutor]):
    """A store in the tables of one database whose names begin with the namespace; made by the SQLAlchemy store.

    Args:
        place: the database and the namespace.
        make_pool: where connections come from.
        clock: what the store takes for now; the server's clock unless a test says otherwise.
        migrate: "auto" creates and migrates on open; "empty" creates but refuses an older schema; "never" leaves both
            to `migrate()`.
        command_timeout: seconds that one call may take.
    """

    def __init__(
        self,
        place: Place,
        *,
        make_pool: Callable[[], Pool],
        clock: Clock | None = None,
        migrate: str = "empty",
        command_timeout: float = 8.0,
    ) -> None:
        if migrate not in _MIGRATE:
            raise ConfigError(f"migrate = {migrate!r}: choose one of {', '.join(map(repr, _MIGRATE))}")
        self._place = place
        self._migrate = migrate
        self._opened = False
        self.wakeups = PolledWakeups(f"{place.shown} {place.database} {place.namespace}")
        super().__init__(
            MySQLExecutor(
                place, clock=clock, command_timeout=command_timeout, bump=self.wakeups.bump, make_pool=make_pool
            )
        )
        self.jobs = MySQLJobs(self._executor)

    @part
    def stream(self) -> SQLStream:
        from dispatch.stores.sql.stream import SQLStream

        return SQLStream(self._executor)

    async def open(self) -> None:
        """Connects; creates an empty store unless `migrate` is "never"; "empty" refuses an older one."""
        if self._opened:
            return
        await self._executor.open()
        try:
            found = await self._executor.schema()
            mysql_schema.refuse_newer(found, self._place)
            if found.pending and (self._migrate == "auto" or (self._migrate == "empty" and not found.current)):
                await self._executor.migrate()
            elif self._migrate == "empty":
                mysql_schema.refuse_older(found, self._place)
        except BaseException:
            await self._executor.close()
            raise
        self.wakeups.open()
        self._opened = True

    async def close(self) -> None:
        """Disconnects; idempotent."""
        self._opened = False
        self.wakeups.close()
        await self._executor.close()

    async def ping(self) -> None:
        """Answers when the server does; raises a StoreError otherwise."""
        await self._executor.schema()

    async def server_facts(self) -> dict[str, str]:
        """What the server says of itself."""
        return await self._executor.facts()

    async def migrate(self) -> list[str]:
        """Applies what is pending; answers the names applied."""
        return await self._executor.migrate()

    async def schema(self) -> SchemaStatus:
        """The state of the schema."""
        return await self._executor.schema()
