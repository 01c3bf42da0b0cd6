"""An enqueue inside of the caller's transaction on the database of a PostgreSQL store, over asyncpg or psycopg."""

from __future__ import annotations

import asyncio
import random
import re
import time
from collections.abc import Callable, Generator
from functools import cache
from typing import Any, NamedTuple, TypeVar

from asyncpg import exceptions as pg

from dispatch.errors import DispatchError, NotTransactional, StoreUnreachable
from dispatch.stores.inside.connections import Inside
from dispatch.stores.postgres_asks import Ask, asks
from dispatch.stores.postgres_errors import store_error
from dispatch.stores.postgres_executor import Request, put
from dispatch.stores.postgres_schema import identity
from dispatch.stores.postgres_url import Place
from dispatch.stores.sql.plan import Plan

T = TypeVar("T")

_SAVEPOINT = "dispatch_enqueue"
_TRIES = 100
_LONGEST_PAUSE = 0.02
_NOT_THERE = (pg.UndefinedTableError.sqlstate, pg.InvalidSchemaNameError.sqlstate)
_NUMBERED = re.compile(r"\$(\d+)")


class Pause(NamedTuple):
    """Nothing is asked for so long."""

    seconds: float


Talk = Generator[Ask | Pause, Any, T]


async def run_inside(found: Inside, request: Request, plan: Callable[[], Plan[T]]) -> T:
    """Runs the plan as a part of the transaction that the connection is in; all of it is done, or none.

    A refusal leaves the transaction as it was. Cancelled, it goes on to its end first, so that no half of it can be
    committed.

    Raises:
        NotTransactional: the connection is to another database, or commits each statement by itself.
    """
    if found.blocking:
        return run_inside_here(found, request, plan)
    ask = _ask_asyncpg if found.driver == "asyncpg" else _ask_psycopg
    _refuse_autocommit(found)
    call = asyncio.get_running_loop().create_task(
        _converse(_told(request.place, _talk(request, plan)), found.connection, ask), name="dispatch enqueue inside"
    )
    try:
        return await asyncio.shield(call)
    except asyncio.CancelledError:
        await asyncio.wait([call])
        raise


def run_inside_here(found: Inside, request: Request, plan: Callable[[], Plan[T]]) -> T:
    """As `run_inside`, in the calling thread."""
    _refuse_autocommit(found)
    talk = _told(request.place, _talk(request, plan))
    answer: Any = None
    failed: Exception | None = None
    try:
        while True:
            ask = talk.send(answer) if failed is None else talk.throw(failed)
            answer, failed = None, None
            if isinstance(ask, Pause):
                time.sleep(ask.seconds)
                continue
            try:
                with _tuples(found.connection) as cursor:
                    cursor.execute(_pyformat(ask.text), _named(ask.values))
                    if ask.wants == "rows":
                        answer = cursor.fetchall() if cursor.description else []
                    else:
                        answer = cursor.rowcount
            except Exception as error:
                failed = error
    except StopIteration as end:
        result: T = end.value
        return result


async def _converse(talk: Talk[T], connection: Any, put_question: Callable[[Any, Ask], Any]) -> T:
    answer: Any = None
    failed: Exception | None = None
    try:
        while True:
            ask = talk.send(answer) if failed is None else talk.throw(failed)
            answer, failed = None, None
            if isinstance(ask, Pause):
                await asyncio.sleep(ask.seconds)
                continue
            try:
                answer = await put_question(connection, ask)
            except Exception as error:
                failed = error
    except StopIteration as end:
        result: T = end.value
        return result


def _talk(request: Request, plan: Callable[[], Plan[T]]) -> Talk[T]:
    """A savepoint, the check of the database, the plan: again from the savepoint where a lock was not free at once."""
    for tries in range(_TRIES + 1):
        yield _word(f"SAVEPOINT {_SAVEPOINT}")
        try:
            yield from _check(request)
            answer = yield from asks(plan(), request.statements)
        except Exception as error:
            yield _word(f"ROLLBACK TO SAVEPOINT {_SAVEPOINT}")
            yield _word(f"RELEASE SAVEPOINT {_SAVEPOINT}")
            if getattr(error, "sqlstate", None) != pg.LockNotAvailableError.sqlstate or tries == _TRIES:
                raise
        else:
            yield _word(f"RELEASE SAVEPOINT {_SAVEPOINT}")
            return answer
        yield Pause(random.uniform(0, _LONGEST_PAUSE))
    raise AssertionError("not reached")


def _check(request: Request) -> Talk[None]:
    """NotTransactional where the connection does not see the store's tables."""
    found: tuple[Any, ...] | None = None
    try:
        found = tuple((yield Ask(identity(request.place), [], "rows"))[0])
    except Exception as error:
        if getattr(error, "sqlstate", None) not in _NOT_THERE:
            raise
    if found != request.identity:
        raise NotTransactional(
            f"connection is to another database than the store {request.place.shown} (schema {request.place.schema}): "
            "a transaction spans one database. Connect to the store's, or enqueue without connection= after the commit"
        )


def _word(text: str) -> Ask:
    return Ask(text, [], "nothing")


def _told(place: Place, talk: Talk[T]) -> Talk[T]:
    """The same talk, with what the server and the driver complain about as store errors."""
    try:
        return (yield from talk)
    except DispatchError:
        raise
    except Exception as error:
        told = _store_error(error, place.shown)
        if told is None:
            raise
        raise told from error


def _store_error(error: Exception, shown: str) -> Exception | None:
    if not type(error).__module__.startswith("psycopg"):
        return store_error(error, shown)
    state = getattr(error, "sqlstate", None)
    if state:
        # the two drivers know the same codes
        return store_error(pg.PostgresError.new({"C": state, "M": str(error), "S": "ERROR"}), shown)
    import psycopg

    if isinstance(error, psycopg.DataError):
        return store_error(UnicodeError(str(error)), shown)
    return StoreUnreachable(f"{shown}: the caller's connection failed ({type(error).__name__}: {error})")


def _refuse_autocommit(found: Inside) -> None:
    if found.driver == "asyncpg":
        open_now = found.connection.is_in_transaction()
    else:
        from psycopg.pq import TransactionStatus

        idle = found.connection.info.transaction_status == TransactionStatus.IDLE
        open_now = not (idle and found.connection.autocommit)
    if not open_now:
        raise NotTransactional(
            "connection commits each statement by itself and is in no transaction: begin one around the enqueue "
            "(asyncpg, psycopg: `async with connection.transaction():`; Django: `with transaction.atomic():`), so that "
            "there is a commit that the job can belong to"
        )


async def _ask_asyncpg(connection: Any, ask: Ask) -> Any:
    return await put(connection, ask)


async def _ask_psycopg(connection: Any, ask: Ask) -> Any:
    async with _tuples(connection) as cursor:
        await cursor.execute(_pyformat(ask.text), _named(ask.values))
        if ask.wants == "rows":
            return await cursor.fetchall() if cursor.description else []
        return cursor.rowcount


def _tuples(connection: Any) -> Any:
    """A cursor that binds on the server and answers tuples, however the caller has set up the connection."""
    import psycopg
    from psycopg.rows import tuple_row

    kind: Any = psycopg.AsyncCursor if isinstance(connection, psycopg.AsyncConnection) else psycopg.Cursor
    return kind(connection, row_factory=tuple_row)


@cache
def _pyformat(text: str) -> str:
    """`$1` as psycopg writes it."""
    return _NUMBERED.sub(r"%(p\1)s", text.replace("%", "%%"))


def _named(values: list[Any]) -> dict[str, Any] | None:
    return {f"p{number}": _list(value) for number, value in enumerate(values, 1)} or None


def _list(value: Any) -> Any:
    """A column as psycopg takes it for an array: numbers of one type, and no booleans, which become none."""
    if not isinstance(value, tuple | list):
        return value
    kinds = {type(each) for each in value}
    if float in kinds:
        return [None if each is None else float(each) for each in value]
    return [int(each) if isinstance(each, bool) else each for each in value] if bool in kinds else list(value)
