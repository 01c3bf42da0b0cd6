"""Drives plans on SQLite: a writer behind the gate and a reader beside it, one thread hop for a whole plan."""

from __future__ import annotations

import asyncio
import os
import sqlite3
import time
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from dispatch.clock import Clock, micros
from dispatch.errors import DispatchError, StoreTimeout, StoreUnreachable
from dispatch.store import SchemaStatus
from dispatch.stores import sqlite_schema
from dispatch.stores.inside.sqlite import run_inside
from dispatch.stores.sql.plan import Do, Each, Lock, Plan, Rows, Step
from dispatch.stores.sql.statements import Statement, load
from dispatch.stores.sqlite_connection import Connection, Occupied, create_file
from dispatch.stores.sqlite_errors import is_busy, store_error
from dispatch.stores.sqlite_gate import Gate
from dispatch.stores.sqlite_wakeups import SQLiteWakeups

T = TypeVar("T")

_STATEMENTS = Path(__file__).parent / "sql" / "sqlite"
DATA_VERSION = Statement("data_version", "PRAGMA data_version")
"""Differs from what it was when any other connection has committed since."""
_BEHIND_GATE = 0.1
"""Seconds that SQLite itself may wait for a lock held by a program that does not know the gate."""


class _Broken(Exception):
    """The connection could not roll back and must be thrown away."""

    def __init__(self, reason: BaseException) -> None:
        super().__init__(reason)
        self.reason = reason


class _Caller:
    """Who asked for a write."""

    __slots__ = ("gave_up",)

    def __init__(self) -> None:
        self.gave_up = False


class _Told:
    """Turns what SQLite and the file system complain about into store errors."""

    def __init__(self, path: str) -> None:
        self._path = path

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, Exception) and not isinstance(error, DispatchError | Occupied):
            told = store_error(error, self._path)
            if told is not None:
                raise told from error


class SQLiteExecutor:
    """One writer and one reader on one file."""

    def __init__(
        self,
        path: str,
        *,
        clock: Clock,
        synchronous: str,
        busy_timeout: float,
        beats: bool,
        wakeups: SQLiteWakeups,
        connection: Callable[..., Connection] = Connection,
    ) -> None:
        self.path = path
        self._clock = clock
        self._full = synchronous
        self._timeout = busy_timeout
        self._gate = Gate(path, timeout=busy_timeout, first=beats)
        self._wakeups = wakeups
        self._statements: dict[str, Statement] = {**load(_STATEMENTS), DATA_VERSION.name: DATA_VERSION}
        self._writer = connection(
            path, readonly=False, busy_timeout=_BEHIND_GATE, checkpoints=not beats, synchronous=synchronous
        )
        self._reader = connection(
            path, readonly=True, busy_timeout=busy_timeout, checkpoints=False, synchronous=synchronous
        )
        self._synchronous = synchronous
        self._ready = False
        self._broken = False
        """The writer could not roll back, on a thread that cannot open it anew."""
        self._told = _Told(path)
        self._file: tuple[int, int] | None = None
        """Which file was opened."""
        self.openings = 0
        """How often: `data_version` belongs to a connection."""

    def now(self) -> int:
        return micros(self._clock.now())

    async def open(self) -> None:
        """Creates the file if need be, connects both, turns the write-ahead log on."""
        try:
            with self._told:
                create_file(self.path)
                await self._writer.open()
                self._synchronous = self._full
                await self._writer.run(self._turn_on_wal)
                await self._reader.open()
                self._file = _identity(self.path)
                self.openings += 1
        except BaseException:
            await self.close()
            raise

    async def close(self) -> None:
        """Disconnects; idempotent. The last one out folds the log into the file."""
        self._ready, self._file = False, None
        try:
            await self._reader.close()
        finally:
            try:
                await self._writer.close()
            finally:
                self._gate.close()

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
        if not write:
            with self._told:
                await self._prepare()
                return await self._reader.run(lambda raw: self._read(raw, plan, single))
        caller = _Caller()
        try:
            return await self._act(lambda raw: self._write(raw, plan, durable, caller), wake=wake)
        except asyncio.CancelledError:
            caller.gave_up = not late
            raise

    def run_here(self, plan: Callable[[], Plan[T]]) -> T:
        """As `run` of a durable write, in the calling thread; Occupied, with nothing done, where only `run` can.

        Unlike the writer's own thread, the caller's may be interrupted by a signal's exception at any line.
        """
        return self._act_here(lambda raw: self._write(raw, plan, True, _Caller()))

    async def insert(self, name: str, columns: tuple[str, ...], row: Callable[[int], tuple[Any, ...]]) -> int:
        """As `run` of the one statement with what `row` makes of the time now; answers how many rows it added."""
        return await self._act(partial(self._gated, partial(self._insert, name, columns, row)))

    def insert_here(self, name: str, columns: tuple[str, ...], row: Callable[[int], tuple[Any, ...]]) -> int:
        """As `insert`, where `run_here` may."""
        return self._act_here(partial(self._gated, partial(self._insert, name, columns, row)))

    async def _act(self, act: Callable[[sqlite3.Connection], T], *, wake: bool = True) -> T:
        with self._told:
            await self._prepare()
            if self._broken:
                await self._open_writer_anew()
            try:
                answer = await self._writer.run(act)
            except _Broken as broken:
                await self._open_writer_anew()
                raise broken.reason from None
        if wake:
            self._wakeups.bump()
        return answer

    def _act_here(self, act: Callable[[sqlite3.Connection], T]) -> T:
        if not self._ready or self._broken:
            raise Occupied
        with self._told:
            try:
                answer = self._writer.run_here(act)
            except _Broken as broken:
                self._broken = True
                raise broken.reason from None
            except Occupied:
                raise
            except BaseException:
                # a signal may have cut off the rolling back, too: whoever else writes would be kept out
                with suppress(Occupied, sqlite3.Error):
                    self._writer.run_here(self._roll_back)
                raise
        self._wakeups.bump()
        return answer

    def run_inside(self, raw: sqlite3.Connection, *, plan: Callable[[], Plan[T]]) -> T:
        """Runs the plan in the transaction of somebody else's connection, on the thread that it belongs to."""
        return run_inside(raw, plan, path=self.path, drive=self._drive)

    def wake(self) -> None:
        """Says, from any thread, that something changed."""
        self._wakeups.bump()

    async def _prepare(self) -> None:
        if not self._ready:
            await self.check_schema()

    async def _open_writer_anew(self) -> None:
        await self._writer.close()
        await self._writer.open()
        self._synchronous, self._broken = self._full, False

    async def schema(self) -> SchemaStatus:
        """What the file's schema is."""
        if self._file is not None:
            self._check_file()
        with self._told:
            return await self._reader.run(lambda raw: sqlite_schema.status(raw, self.path))

    async def check_schema(self) -> None:
        """SchemaMismatch unless the file has this library's schema."""
        found = await self.schema()
        sqlite_schema.refuse_newer(found, self.path)
        sqlite_schema.refuse_older(found, self.path)
        self._ready = True

    async def migrate(self) -> list[str]:
        """Applies what is pending, each migration under the gate; answers the names."""
        with self._told:
            return await self._writer.run(self._migrate)

    def _migrate(self, raw: sqlite3.Connection) -> list[str]:
        applied: list[str] = []
        while True:
            name = self._gated(lambda raw: sqlite_schema.apply_next(raw, self.path), raw)
            if name is None:
                return applied
            applied.append(name)

    def _turn_on_wal(self, raw: sqlite3.Connection) -> None:
        sqlite_schema.status(raw, self.path)
        if raw.execute("PRAGMA journal_mode").fetchone()[0] != "wal":
            self._gated(lambda raw: raw.execute("PRAGMA journal_mode = WAL").fetchall(), raw)

    def _gated(self, act: Callable[[sqlite3.Connection], T], raw: sqlite3.Connection) -> T:
        """Runs the act behind the gate, again while a program that does not know the gate is in the way."""
        deadline = time.monotonic() + self._timeout
        while True:
            try:
                self._gate.acquire(deadline)
                return act(raw)
            except sqlite3.OperationalError as error:
                if not is_busy(error) or time.monotonic() >= deadline:
                    raise
            finally:
                self._gate.release()

    def _read(self, raw: sqlite3.Connection, plan: Callable[[], Plan[T]], single: bool) -> T:
        if not single:
            raw.execute("BEGIN")
        try:
            self._check_file()
            return self._drive(raw, plan())
        finally:
            self._roll_back(raw)

    def _write(self, raw: sqlite3.Connection, plan: Callable[[], Plan[T]], durable: bool, caller: _Caller) -> T:
        def transaction(raw: sqlite3.Connection) -> T:
            self._roll_back(raw)
            self._synchronise(raw, self._full if durable or self._full == "NORMAL" else "NORMAL")
            try:
                raw.execute("BEGIN IMMEDIATE")
                if caller.gave_up:
                    raise StoreTimeout(
                        f"{self.path}: the caller stopped waiting before the write began; nothing was written"
                    )
                self._check_file()
                answer = self._drive(raw, plan())
                raw.execute("COMMIT")
            except BaseException as error:
                try:
                    self._roll_back(raw)
                except sqlite3.Error:
                    raise _Broken(error) from error
                raise
            return answer

        return self._gated(transaction, raw)

    def _insert(
        self, name: str, columns: tuple[str, ...], row: Callable[[int], tuple[Any, ...]], raw: sqlite3.Connection
    ) -> int:
        """A statement outside of a transaction locks and commits as BEGIN IMMEDIATE and COMMIT around it do."""
        self._roll_back(raw)
        self._synchronise(raw, self._full)
        self._check_file()
        statement = self._statements[name]
        (params,) = statement.arrange(columns, [row(self.now())])
        return raw.execute(statement.text, params).rowcount

    def _synchronise(self, raw: sqlite3.Connection, wanted: str) -> None:
        if wanted != self._synchronous:
            raw.execute(f"PRAGMA synchronous = {wanted}")
            self._synchronous = wanted

    def _check_file(self) -> None:
        """SQLite itself goes on with a file that has lost its name, and nobody else would ever see what it writes."""
        if _identity(self.path) != self._file:
            raise StoreUnreachable(
                f"{self.path}: the file that was opened here has been moved, deleted or replaced; nothing was written. "
                "Put it back, or start again with what is there now"
            )

    def _roll_back(self, raw: sqlite3.Connection) -> None:
        """Ends a transaction that is open: one that failed, or that a signal's exception left in the caller's thread,
        where a statement of the next write would become part of it and never be committed."""
        if raw.in_transaction:
            raw.execute("ROLLBACK")

    def _drive(self, raw: sqlite3.Connection, plan: Plan[T]) -> T:
        cursor = raw.cursor()
        statements = self._statements
        answer: Any = None
        try:
            while True:
                step: Step = plan.send(answer)
                if isinstance(step, Lock):
                    answer = ()
                    continue
                statement = statements[step.name]
                if isinstance(step, Rows):
                    params = step.params
                    answer = cursor.execute(statement.text, [params[name] for name in statement.names]).fetchall()
                elif isinstance(step, Do):
                    params = step.params
                    answer = cursor.execute(statement.text, [params[name] for name in statement.names]).rowcount
                elif isinstance(step, Each):
                    text, execute, answer = statement.text, cursor.execute, []
                    for row in statement.arrange(step.columns, step.rows):
                        answer.append(execute(text, row).rowcount)
                else:
                    cursor.executemany(statement.text, statement.arrange(step.columns, step.rows))
                    answer = cursor.rowcount
        except StopIteration as end:
            result: T = end.value
            return result
        finally:
            plan.close()
            cursor.close()


def _identity(path: str) -> tuple[int, int] | None:
    try:
        found = os.stat(path)  # noqa: PTH116 - before each write, and Path.stat takes three times as long
    except FileNotFoundError:
        return None
    return found.st_dev, found.st_ino
