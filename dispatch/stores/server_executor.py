"""Drives plans on a server: one transaction each, out of reach of the caller's cancellation, within a time limit."""

from __future__ import annotations

import asyncio
import random
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager, suppress
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

from dispatch.clock import Clock, boot_seconds
from dispatch.errors import DispatchError, StoreError, StoreTimeout, StoreUnreachable
from dispatch.store import SchemaStatus
from dispatch.stores.facts import offset
from dispatch.stores.server_clock import ServerClock
from dispatch.stores.sql.plan import Plan

T = TypeVar("T")

Connection = Any
"""The driver's connection: drivers have no types."""

_MIGRATE_LIMIT = 600.0
_CLOSE_LIMIT = 5.0
_FIRST_PAUSE, _LONGEST_PAUSE = 0.001, 0.05


class Pool(Protocol):
    """Where connections come from."""

    def connection(self) -> AbstractAsyncContextManager[Connection]:
        """A connection for one transaction; it is kept unless the block was cut short or left it in a transaction."""
        ...

    async def listener(self) -> Connection:
        """A connection beside the others, for listening; whoever listens terminates it, one at a time."""
        ...

    def drop_idle(self) -> None:
        """Forgets the connections that nobody uses: where one was lost the others often are too."""
        ...

    async def close(self) -> None:
        """Ends every connection, those in use at once; idempotent."""
        ...


class ServerExecutor(ABC):
    """An Executor over a small pool of connections; what a statement is and what an error means is its dialect's."""

    def __init__(self, *, shown: str, clock: Clock | None, command_timeout: float, bump: Callable[[], None]) -> None:
        self._shown = shown
        self._clock = ServerClock(clock)
        self._timeout = command_timeout
        self._bump = bump
        self._pool: Pool | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._identity: tuple[Any, ...] | None = None
        self._calls: set[asyncio.Task[Any]] = set()
        self._ready = False

    @abstractmethod
    def _new_pool(self) -> Pool:
        """The pool of an executor that is being opened."""

    @abstractmethod
    async def _time(self, connection: Connection) -> int:
        """The server's clock, in microseconds since 1970."""

    @abstractmethod
    async def _status(self, connection: Connection) -> SchemaStatus:
        """What the store's schema is."""

    @abstractmethod
    async def _bring_up(self, connection: Connection) -> list[str]:
        """Applies the migrations that are pending; answers their names."""

    @abstractmethod
    def _refuse(self, found: SchemaStatus) -> None:
        """SchemaMismatch unless that is this library's schema."""

    @abstractmethod
    async def _look_who(self, connection: Connection) -> tuple[Any, ...]:
        """What tells this store from every other, its copy on another server included."""

    @abstractmethod
    async def _tell(self, connection: Connection) -> dict[str, str]:
        """What the server says of itself."""

    @abstractmethod
    def _store_error(self, error: Exception) -> StoreError | None:
        """The store error that stands for one of the driver's; None when it is none of the driver's."""

    @abstractmethod
    def _is_again(self, error: Exception) -> bool:
        """Whether nothing was written, and the same transaction may go through at once."""

    @abstractmethod
    async def _attempt(
        self, connection: Connection, plan: Callable[[], Plan[T]], *, write: bool, durable: bool, single: bool
    ) -> T:
        """Runs the plan once, as one transaction."""

    def now(self) -> int:
        return self._clock.now()

    async def open(self) -> None:
        """Makes the first connection, so that a wrong URL is told now."""
        self._pool = self._new_pool()
        self._loop = asyncio.get_running_loop()
        try:
            await self._shielded(self._greet(), self._timeout)
        except BaseException:
            await self.close()
            raise

    async def _greet(self) -> None:
        async with self._connection() as connection:
            await self._measure(connection)

    async def _measure(self, connection: Connection) -> None:
        await self._clock.measure(lambda: self._time(connection))

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
        then: Callable[[T], None] | None = None,
    ) -> T:
        """As an Executor does; `then` is called with the answer once it is committed, in place of the wake-up."""
        if not self._ready:
            await self.check_schema()
        waiting = None if late else _Waiting()
        call = self._transact(plan, write=write, durable=durable, wake=wake, single=single, waiting=waiting, then=then)
        return await self._shielded(call, self._timeout, waiting)

    async def schema(self) -> SchemaStatus:
        """What the store's schema is."""

        async def look() -> SchemaStatus:
            async with self._connection() as connection:
                return await self._status(connection)

        found = await self._shielded(look(), self._timeout)
        self._ready = found.current == found.wanted
        return found

    async def check_schema(self) -> None:
        """SchemaMismatch unless the store has this library's schema."""
        self._refuse(await self.schema())

    async def migrate(self) -> list[str]:
        """Applies what is pending; answers the names."""

        async def act() -> list[str]:
            async with self._connection() as connection:
                return await self._bring_up(connection)

        applied = await self._shielded(act(), _MIGRATE_LIMIT)
        self._ready = True
        return applied

    async def identity(self) -> tuple[Any, ...]:
        """What tells this store from every other."""
        if self._identity is None:
            await self.check_schema()

            async def look() -> tuple[Any, ...]:
                async with self._connection() as connection:
                    return await self._look_who(connection)

            self._identity = await self._shielded(look(), self._timeout)
        return self._identity

    async def facts(self) -> dict[str, str]:
        """What the server says of itself, by the names of its settings."""

        async def look() -> dict[str, str]:
            async with self._connection() as connection:
                return {**await self._tell(connection), "clock_offset": offset(await self._time(connection))}

        return await self._shielded(look(), self._timeout)

    def wake_soon(self) -> None:
        """Says, from any thread, that something changed."""
        loop = self._loop
        if loop is not None:
            with suppress(RuntimeError):  # that loop has ended: nobody waits there any more
                loop.call_soon_threadsafe(self._bump)

    async def _shielded(self, call: Awaitable[T], limit: float, waiting: _Waiting | None = None) -> T:
        """Awaits the call as a task of its own: cancelling the caller leaves it to its end, which is never far."""
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[T] = loop.create_future()

        async def limited() -> None:
            try:
                async with asyncio.timeout(limit):
                    value = await call
            except Exception as error:
                told = self._told(error)
                if not answer.done():
                    answer.set_exception(told)
            else:
                if not answer.done():
                    answer.set_result(value)

        def ended(task: asyncio.Task[None]) -> None:
            self._calls.discard(task)
            answer.cancel()  # which changes nothing where it was given

        task = loop.create_task(limited(), name="dispatch store call")
        self._calls.add(task)
        task.add_done_callback(ended)
        try:
            # not by way of asyncio.shield, which takes another turn of the loop
            return await answer
        except asyncio.CancelledError:
            if waiting is not None:
                waiting.over = True
            raise

    def _told(self, error: Exception) -> Exception:
        """What the caller is told in place of the driver's error."""
        told = None if isinstance(error, DispatchError) else self._store_error(error)
        if told is None:
            return error
        if isinstance(told, StoreUnreachable):
            self._clock.forget()
            self._identity = None
            if self._pool is not None:
                self._pool.drop_idle()
        told.__cause__ = error
        return told

    def _connection(self) -> AbstractAsyncContextManager[Connection]:
        if self._pool is None:
            raise StoreUnreachable(f"{self._shown}: the store is closed; open it (`async with`) before use")
        return self._pool.connection()

    async def _transact(
        self,
        plan: Callable[[], Plan[T]],
        *,
        write: bool,
        durable: bool,
        wake: bool,
        single: bool,
        waiting: _Waiting | None,
        then: Callable[[T], None] | None,
    ) -> T:
        """Runs the plan, again from its beginning while others are in its way."""
        until = boot_seconds() + self._timeout / 2
        pause = _FIRST_PAUSE
        while True:
            try:
                async with self._connection() as connection:
                    if self._clock.stale:
                        await self._measure(connection)
                    if waiting is not None and waiting.over:
                        raise StoreTimeout(
                            f"{self._shown}: the caller stopped waiting before the write began; nothing was written"
                        )
                    answer = await self._attempt(connection, plan, write=write, durable=durable, single=single)
                break
            except Exception as error:
                if not self._is_again(error) or boot_seconds() > until:
                    raise
            await asyncio.sleep(random.uniform(0, pause))
            pause = min(2 * pause, _LONGEST_PAUSE)
        if then is not None:
            then(answer)
        elif write and wake:
            # in the turn in which the caller has its answer: a worker looks once for what both bring
            asyncio.get_running_loop().call_soon(self._bump)
        return answer


@dataclass(slots=True)
class _Waiting:
    """Whether the caller of a write has stopped waiting for it."""

    over: bool = False
