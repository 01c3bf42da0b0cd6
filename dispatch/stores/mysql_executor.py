"""Drives plans on MySQL and MariaDB: what a transaction, a statement and an error are there."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import Any, NamedTuple, TypeVar

from dispatch.clock import Clock
from dispatch.errors import DispatchError, StoreError
from dispatch.store import SchemaStatus
from dispatch.stores import mysql_schema
from dispatch.stores.mysql_asks import asks
from dispatch.stores.mysql_errors import is_again, store_error, survives
from dispatch.stores.mysql_place import Place
from dispatch.stores.mysql_put import put, rows, say
from dispatch.stores.mysql_statements import Statement, load
from dispatch.stores.server_executor import Connection, Pool, ServerExecutor
from dispatch.stores.sql.plan import Plan

T = TypeVar("T")

# the store says for each transaction which isolation it needs
_FACTS = "SELECT @@version, @@GLOBAL.innodb_flush_log_at_trx_commit, @@GLOBAL.{isolation}".format(
    isolation="/*!80000 transaction_isolation *//*M!100600 tx_isolation */"
)
_CLOCK = "SELECT TIMESTAMPDIFF(MICROSECOND, '1970-01-01', UTC_TIMESTAMP(6))"
_READ = (
    "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ",
    "START TRANSACTION WITH CONSISTENT SNAPSHOT, READ ONLY",
)
# each statement sees what was committed before it, and locks no gaps between rows
_WRITE = ("SET TRANSACTION ISOLATION LEVEL READ COMMITTED", "START TRANSACTION")


class Request(NamedTuple):
    """What a transaction that is not this store's own needs to know to take part in it."""

    place: Place
    identity: tuple[Any, ...]
    """What the question for it is answered in the store's own database."""
    statements: dict[str, Statement]


class MySQLExecutor(ServerExecutor):
    """The connections of an engine, used for the tables of one namespace."""

    def __init__(
        self,
        place: Place,
        *,
        clock: Clock | None,
        command_timeout: float,
        bump: Callable[[], None],
        make_pool: Callable[[], Pool],
    ) -> None:
        super().__init__(shown=place.shown, clock=clock, command_timeout=command_timeout, bump=bump)
        self.place = place
        self._new = make_pool
        self._statements = load(place)

    def _new_pool(self) -> Pool:
        return self._new()

    async def _greet(self) -> None:
        async with self._connection() as connection:
            await mysql_schema.refuse_lax(connection, self.place)
            await self._measure(connection)

    async def _time(self, connection: Connection) -> int:
        ((now,),) = await rows(connection, _CLOCK)
        return int(now)

    async def _status(self, connection: Connection) -> SchemaStatus:
        return await mysql_schema.status(connection, self.place)

    async def _bring_up(self, connection: Connection) -> list[str]:
        return await mysql_schema.migrate(connection, self.place)

    def _refuse(self, found: SchemaStatus) -> None:
        mysql_schema.refuse_newer(found, self.place)
        mysql_schema.refuse_older(found, self.place)

    async def _look_who(self, connection: Connection) -> tuple[Any, ...]:
        found = await rows(connection, mysql_schema.identity(self.place))
        await connection.rollback()
        return tuple(found[0])

    async def _tell(self, connection: Connection) -> dict[str, str]:
        ((version, flush, isolation),) = await rows(connection, _FACTS)
        await connection.rollback()
        return {
            "server": f"{'MariaDB' if 'MariaDB' in version else 'MySQL'} {version.partition('-')[0]}",
            "innodb_flush_log_at_trx_commit": str(flush),
            "transaction_isolation": str(isolation),
        }

    def _store_error(self, error: Exception) -> StoreError | None:
        return store_error(error, self.place.shown)

    def _is_again(self, error: Exception) -> bool:
        return is_again(error)

    async def request(self) -> Request:
        """What an enqueue inside of somebody's transaction needs to know of this store."""
        return Request(self.place, await self.identity(), self._statements)

    async def _attempt(
        self, connection: Connection, plan: Callable[[], Plan[T]], *, write: bool, durable: bool, single: bool
    ) -> T:
        # when a commit reaches the disk is the server's own setting, the same for everybody
        await say(connection, *(_WRITE if write else _READ))
        try:
            answer = await self._drive(connection, plan())
        except Exception as error:
            if isinstance(error, DispatchError) or survives(error):
                with suppress(Exception):  # the first error is the one to be told
                    await connection.rollback()
            raise
        await connection.commit()
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
