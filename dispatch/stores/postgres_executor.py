"""Drives plans on PostgreSQL: what a transaction, a statement and an error are there."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import asyncpg

from dispatch.clock import Clock
from dispatch.errors import DispatchError, StoreError, StoreUnreachable
from dispatch.store import SchemaStatus
from dispatch.stores import postgres_schema
from dispatch.stores.postgres_asks import Ask, asks
from dispatch.stores.postgres_errors import AGAIN, store_error
from dispatch.stores.postgres_pool import OwnPool, connector
from dispatch.stores.postgres_url import Place
from dispatch.stores.postgres_wakeups import PostgresWakeups
from dispatch.stores.server_executor import Connection, Pool, ServerExecutor
from dispatch.stores.sql.plan import Plan
from dispatch.stores.sql.statements import Statement, load

T = TypeVar("T")


class Request(NamedTuple):
    """What a transaction that is not this store's own needs to know to take part in it."""

    place: Place
    identity: tuple[Any, ...]
    """What the question for it is answered in the store's own database."""
    statements: Mapping[str, Statement]


_STATEMENTS = Path(__file__).parent / "sql" / "postgres"
_FACTS = """
SELECT pg_backend_pid() AS pid, current_setting('server_version') AS version, current_setting('fsync') AS fsync,
  current_setting('synchronous_commit') AS synchronous_commit, coalesce((
    SELECT extract(epoch FROM max(clock_timestamp() - xact_start))::int8 FROM pg_stat_activity
    WHERE datname = current_database() AND pid <> pg_backend_pid()), 0) AS oldest_transaction
"""
_CLOCK = "SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::int8"


class PostgresExecutor(ServerExecutor):
    """A small pool of connections to one schema."""

    def __init__(
        self,
        place: Place,
        *,
        clock: Clock | None,
        pool_size: int,
        statement_cache_size: int,
        pooler: bool,
        connect_timeout: float,
        command_timeout: float,
        wakeups: PostgresWakeups,
        make_pool: Callable[[], Pool] | None = None,
    ) -> None:
        super().__init__(shown=place.shown, clock=clock, command_timeout=command_timeout, bump=wakeups.bump)
        self.place = place
        self.wakeups = wakeups
        self._size = pool_size
        self._pooler = pooler
        self._connect = connector(
            place,
            statement_cache_size=statement_cache_size,
            pooler=pooler,
            connect_timeout=connect_timeout,
            command_timeout=command_timeout,
            name=f"dispatch {place.namespace}",
        )
        self._statements: dict[str, Statement] = load(_STATEMENTS, "$", place.schema)
        self._make_pool = make_pool

    def _new_pool(self) -> Pool:
        if self._make_pool is not None:
            return self._make_pool()
        return OwnPool(self._connect, size=self._size, shown=self.place.shown)

    async def _time(self, connection: Connection) -> int:
        now: int = await connection.fetchval(_CLOCK)
        return now

    async def _status(self, connection: Connection) -> SchemaStatus:
        return await postgres_schema.status(connection, self.place)

    async def _bring_up(self, connection: Connection) -> list[str]:
        return await postgres_schema.migrate(connection, self.place)

    def _refuse(self, found: SchemaStatus) -> None:
        postgres_schema.refuse_newer(found, self.place)
        postgres_schema.refuse_older(found, self.place)

    async def _look_who(self, connection: Connection) -> tuple[Any, ...]:
        return tuple(await connection.fetchrow(postgres_schema.identity(self.place)))

    async def _tell(self, connection: Connection) -> dict[str, str]:
        row = await connection.fetchrow(_FACTS)
        # a pooler in between hands out other servers' processes than the one that greeted
        pooled = connection.get_server_pid() != row["pid"]
        return {
            "server": f"PostgreSQL {row['version']}",
            **{name: str(row[name]) for name in ("fsync", "synchronous_commit", "oldest_transaction")},
            "pooled": "on" if pooled else "off",
        }

    def _store_error(self, error: Exception) -> StoreError | None:
        return store_error(error, self.place.shown)

    def _is_again(self, error: Exception) -> bool:
        return isinstance(error, AGAIN)

    async def request(self) -> Request:
        """What an enqueue inside of somebody's transaction needs to know of this store."""
        return Request(self.place, await self.identity(), self._statements)

    async def notify(self) -> None:
        """Tells everybody who listens that something may have changed."""

        async def act() -> None:
            async with self._connection() as connection:
                await connection.execute(
                    "SELECT set_config('synchronous_commit', 'off', true), pg_notify($1, $2)",
                    self.place.channel,
                    self.wakeups.sender,
                )

        await self._shielded(act(), self._timeout)

    async def connect(self) -> Connection:
        """A connection beside the pool, for listening; the caller closes it."""
        if self._pool is None:
            raise StoreUnreachable(f"{self.place.shown}: the store is closed")
        return await self._pool.listener()

    async def _attempt(
        self, connection: Connection, plan: Callable[[], Plan[T]], *, write: bool, durable: bool, single: bool
    ) -> T:
        if single and not self._pooler:
            return await self._drive(connection, plan())
        if not write:
            await connection.execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
        elif durable:
            await connection.execute("BEGIN")
        else:
            await connection.execute("BEGIN; SET LOCAL synchronous_commit TO off")
        try:
            answer = await self._drive(connection, plan())
        except (DispatchError, asyncpg.PostgresError):
            with suppress(OSError, asyncpg.PostgresError, asyncpg.InterfaceError):
                await connection.execute("ROLLBACK")
            raise
        await connection.execute("COMMIT")
        return answer

    async def _drive(self, connection: Connection, plan: Plan[T]) -> T:
        talk = asks(plan, self._statements)
        answer: Any = None
        try:
            while True:
                answer = await put(connection, talk.send(answer))
        except StopIteration as end:
            result: T = end.value
            return result
        finally:
            talk.close()


async def put(connection: Connection, ask: Ask) -> Any:
    """Asks on a connection of asyncpg."""
    if ask.wants == "rows":
        return await connection.fetch(ask.text, *ask.values)
    status = await connection.execute(ask.text, *ask.values)
    # how many rows a statement changed stands last: "UPDATE 3", "INSERT 0 3"
    return int(status.rpartition(" ")[2]) if ask.wants == "count" else None
