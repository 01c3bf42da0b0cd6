"""An enqueue inside of the caller's transaction on the database of a MySQL store, over asyncmy."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from typing import Any, TypeVar

from dispatch.errors import DispatchError, NotTransactional, StoreBusy
from dispatch.stores.inside.connections import Inside
from dispatch.stores.mysql_asks import asks
from dispatch.stores.mysql_errors import code_of, is_again, store_error
from dispatch.stores.mysql_executor import Request
from dispatch.stores.mysql_put import put, rows, say
from dispatch.stores.mysql_schema import identity
from dispatch.stores.sql.plan import Plan

T = TypeVar("T")

_SAVEPOINT = "dispatch_enqueue"
_TRIES = 100
_LONGEST_PAUSE = 0.02
_DEADLOCK = 1213
_NOT_THERE = (1044, 1049, 1142, 1146)


async def run_inside(found: Inside, request: Request, plan: Callable[[], Plan[T]]) -> T:
    """Runs the plan as a part of the transaction that the connection is in; all of it is done, or none.

    A refusal leaves the transaction as it was, but for a deadlock, which the server ends by rolling all of it back.
    Cancelled, it goes on to its end first, so that no half of it can be committed.

    Raises:
        NotTransactional: the connection is to another database, or commits each statement by itself.
    """
    connection = found.connection
    if connection.get_autocommit() and not connection.get_transaction_status():
        raise NotTransactional(
            "connection commits each statement by itself and is in no transaction: begin one around the enqueue, so "
            "that there is a commit that the job can belong to"
        )
    call = asyncio.get_running_loop().create_task(_told(connection, request, plan), name="dispatch enqueue inside")
    try:
        return await asyncio.shield(call)
    except asyncio.CancelledError:
        await asyncio.wait([call])
        raise


async def _told(connection: Any, request: Request, plan: Callable[[], Plan[T]]) -> T:
    shown = request.place.shown
    try:
        return await _repeated(connection, request, plan)
    except DispatchError:
        raise
    except Exception as error:
        if code_of(error) == _DEADLOCK:
            raise StoreBusy(
                f"{shown}: a deadlock with another transaction; the server has rolled back yours. Begin it again"
            ) from error
        told = store_error(error, shown)
        if told is None:
            raise
        raise told from error


async def _repeated(connection: Any, request: Request, plan: Callable[[], Plan[T]]) -> T:
    """A savepoint, the check of the database, the plan: again from the savepoint where somebody else was first."""
    for tries in range(_TRIES + 1):
        await say(connection, f"SAVEPOINT {_SAVEPOINT}")
        try:
            await _check(connection, request)
            answer = await _drive(connection, request, plan())
        except Exception as error:
            if code_of(error) == _DEADLOCK:
                raise  # the savepoint has gone with everything else
            await say(connection, f"ROLLBACK TO SAVEPOINT {_SAVEPOINT}", f"RELEASE SAVEPOINT {_SAVEPOINT}")
            if not is_again(error) or tries == _TRIES:
                raise
        else:
            await say(connection, f"RELEASE SAVEPOINT {_SAVEPOINT}")
            return answer
        await asyncio.sleep(random.uniform(0, _LONGEST_PAUSE))
    raise AssertionError("not reached")


async def _check(connection: Any, request: Request) -> None:
    """NotTransactional where the connection does not see the store's tables."""
    answered: tuple[Any, ...] | None = None
    try:
        answered = tuple((await rows(connection, identity(request.place)))[0])
    except Exception as error:
        if code_of(error) not in _NOT_THERE:
            raise
    if answered != request.identity:
        raise NotTransactional(
            f"connection is to another server than the store {request.place.shown}: a transaction spans one. Connect "
            "to the store's, or enqueue without connection= after the commit"
        )


async def _drive(connection: Any, request: Request, plan: Plan[T]) -> T:
    talk = asks(plan, request.statements)
    answer: Any = None
    try:
        while True:
            answer = await put(connection, talk.send(answer))
    except StopIteration as end:
        result: T = end.value
        return result
    finally:
        talk.close()
