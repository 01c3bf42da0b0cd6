"""Drives plans on PostgreSQL: one transaction each, out of reach of the caller's cancellation, within a time limit."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import asyncpg

from dispatch.clock import Clock, boot_seconds
from dispatch.errors import DispatchError, StoreTimeout, StoreUnreachable
from dispatch.store import SchemaStatus
from dispatch.stores import postgres_schema
from dispatch.stores.postgres_asks import Ask, asks
from dispatch.stores.postgres_clock import ServerClock
from dispatch.stores.postgres_errors import AGAIN, store_error
from dispatch.stores.postgres_pool import Connection, OwnPool, Pool, connector
from dispatch.stores.postgres_url import Place
from dispatch.stores.postgres_wakeups import PostgresWakeups
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
_CLOCK = "SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::int8"
_MIGRATE_LIMIT = 600.0
_CLOSE_LIMIT = 5.0
_FIRST_PAUSE, _LONGEST_PAUSE = 0.001, 0.05


class PostgresExecutor:
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
        self.place = place
        self._clock = ServerClock(clock)
        self._size = pool_size
        self._pooler = pooler
        self._timeout = command_timeout
        self._connect = connector(
            place,
            statement_cache_size=statement_cache_size,
            pooler=pooler,
            connect_timeout=connect_timeout,
            command_timeout=command_timeout,
            name=f"dispatch {place.namespace}",
        )
        self._wakeups = wakeups
        self._statements: dict[str, Statement] = load(_STATEMENTS, "$", place.schema)
        self._make_pool = make_pool or self._own_pool
        self._pool: Pool | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._identity: tuple[Any, ...] | None = None
        self._calls: set[asyncio.Task[Any]] = set()
        self._ready = False

    def now(self) -> int:
        return self._clock.now()

    async def open(self) -> None:
        """Makes the first connection, so that a wrong URL is told now."""
        self._pool = self._make_pool()
        self._loop = asyncio.get_running_loop()
        try:
            await self._shielded(self._measure(), self._timeout)
        except BaseException:
            await self.close()
            raise

    def _own_pool(self) -> Pool:
        return OwnPool(self._connect, size=self._size, shown=self.place.shown)

    async def _measure(self) -> None:
        async with self._connection() as connection:
            if self._clock.stale:
                await self._clock.measure(partial(connection.fetchval, _CLOCK))

    async def close(self) -> None:
        """Waits for the calls under way, briefly, and disconnects; idempotent."""
        self._ready = False
        pool, self._pool = self._pool, None
        if self._calls:
            await asyncio.wait(self._calls, timeout=_CLOSE_LIMIT)
        if pool is not None:
            await pool.close()
        if self._calls:
            await asyncio.wait(self._calls)

    async def run(
        self,
        plan: Callable[[], Plan[T]],
        *,
        write: bool = True,
        durable: bool = True,
        wake: bool = True,
        late: bool = True,
        single: bool = False,
    ) -> T:
        if not self._ready:
            await self.check_schema()
        waiting = _Waiting()

        async def call() -> T:
            answer = await self._transact(plan, write, durable, single, None if late else waiting)
            if write and wake:
                self._wakeups.bump()
            return answer

        return await self._shielded(call(), self._timeout, waiting)

    async def schema(self) -> SchemaStatus:
        """What the store's schema is."""

        async def look() -> SchemaStatus:
            async with self._connection() as connection:
                return await postgres_schema.status(connection, self.place)

        found = await self._shielded(look(), self._timeout)
        self._ready = found.current == found.wanted
        return found

    async def check_schema(self) -> None:
        """SchemaMismatch unless the store has this library's schema."""
        found = await self.schema()
        postgres_schema.refuse_newer(found, self.place)
        postgres_schema.refuse_older(found, self.place)

    async def migrate(self) -> list[str]:
        """Applies what is pending; answers the names."""

        async def act() -> list[str]:
            async with self._connection() as connection:
                return await postgres_schema.migrate(connection, self.place)

        applied = await self._shielded(act(), _MIGRATE_LIMIT)
        self._ready = True
        return applied

    async def request(self) -> Request:
        """What an enqueue inside of somebody's transaction needs to know of this store."""
        if self._identity is None:
            await self.check_schema()

            async def look() -> tuple[Any, ...]:
                async with self._connection() as connection:
                    return tuple(await connection.fetchrow(postgres_schema.identity(self.place)))

            self._identity = await self._shielded(look(), self._timeout)
        return Request(self.place, self._identity, self._statements)

    def wake_soon(self) -> None:
        """Says, from any thread, that something changed."""
        loop = self._loop
        if loop is not None:
            with suppress(RuntimeError):  # that loop has ended: nobody waits there any more
                loop.call_soon_threadsafe(self._wakeups.bump)

    async def notify(self) -> None:
        """Tells everybody who listens that something may have changed."""

        async def act() -> None:
            async with self._connection() as connection:
                await connection.execute(
                    "SELECT set_config('synchronous_commit', 'off', true), pg_notify($1, '')", self.place.channel
                )

        await self._shielded(act(), self._timeout)

    async def connect(self) -> Connection:
        """A connection beside the pool, for listening; the caller closes it."""
        if self._pool is None:
            raise StoreUnreachable(f"{self.place.shown}: the store is closed")
        return await self._pool.listener()

    async def _shielded(self, call: Awaitable[T], limit: float, waiting: _Waiting | None = None) -> T:
        """Awaits the call as a task of its own: cancelling the caller leaves it to its end, which is never far."""

        async def limited() -> T:
            try:
                async with asyncio.timeout(limit):
                    return await call
            except DispatchError:
                raise
            except Exception as error:
                told = store_error(error, self.place.shown)
                if isinstance(told, StoreUnreachable):
                    self._clock.forget()
                    self._identity = None
                    if self._pool is not None:
                        self._pool.drop_idle()
                if told is None:
                    raise
                raise told from error

        task = asyncio.get_running_loop().create_task(limited(), name="dispatch store call")
        self._calls.add(task)
        task.add_done_callback(self._calls.discard)
        try:
            return await asyncio.shield(task)
        except asyncio.CancelledError:
            if waiting is not None:
                waiting.over = True
            raise

    @asynccontextmanager
    async def _connection(self) -> AsyncIterator[Connection]:
        pool = self._pool
        if pool is None:
            raise StoreUnreachable(f"{self.place.shown}: the store is closed; open it (`async with`) before use")
        async with pool.connection() as connection:
            yield connection

    async def _transact(
        self, plan: Callable[[], Plan[T]], write: bool, durable: bool, single: bool, waiting: _Waiting | None
    ) -> T:
        """Runs the plan, again from its beginning while others are in its way."""
        until = boot_seconds() + self._timeout / 2
        pause = _FIRST_PAUSE
        while True:
            try:
                async with self._connection() as connection:
                    if self._clock.stale:
                        await self._clock.measure(partial(connection.fetchval, _CLOCK))
                    if waiting is not None and waiting.over:
                        raise StoreTimeout(
                            f"{self.place.shown}: the caller stopped waiting before the write began; "
                            "nothing was written"
                        )
                    if single and not self._pooler:
                        return await self._drive(connection, plan())
                    return await self._in_transaction(connection, plan, write, durable)
            except AGAIN:
                if boot_seconds() > until:
                    raise
            await asyncio.sleep(random.uniform(0, pause))
            pause = min(2 * pause, _LONGEST_PAUSE)

    async def _in_transaction(
        self, connection: Connection, plan: Callable[[], Plan[T]], write: bool, durable: bool
    ) -> T:
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


@dataclass(slots=True)
class _Waiting:
    """Whether the caller of a write has stopped waiting for it."""

    over: bool = False
