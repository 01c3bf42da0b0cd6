"""Awaits what a plugin's hook wants awaited: for so long and no longer, whatever it does when it is cancelled."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Awaitable
from concurrent.futures import Future
from contextvars import ContextVar, copy_context
from dataclasses import dataclass
from typing import Any

GRACE = 1.0
"""Seconds that a call which was cancelled may take to tidy up."""

_callers: ContextVar[frozenset[asyncio.Task[Any]]] = ContextVar("dispatch_hook_callers", default=frozenset())


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of a call."""

    value: Any = None
    error: BaseException | None = None
    late: bool = False
    """Whether it was cut off because its time was up."""
    tenacious: bool = False
    """Whether it went on although it was cancelled, so that it had to be ended."""


async def contained(awaitable: Awaitable[Any], *, limit: float) -> Outcome:
    """Awaits it in a task of its own; raises nothing but the caller's own cancellation.

    A call whose time is up is cancelled. One that goes on all the same is closed: its next step finds nothing to go on
    with, so that nobody ever waits for it, be it the event loop that ends.

    Args:
        limit: seconds that it may take.
    """
    caller = asyncio.current_task()
    assert caller is not None
    context = copy_context()
    context.run(_callers.set, _callers.get() | {caller})
    task = asyncio.get_running_loop().create_task(_watched(awaitable), name="dispatch plugin", context=context)
    try:
        done, _ = await asyncio.wait({task}, timeout=limit)
    except asyncio.CancelledError:
        await _stop(task)
        raise
    if done:
        return _read(task)
    tenacious = await _stop(task)
    if tenacious or (outcome := _read(task)).error is not None:
        return Outcome(error=TimeoutError(), late=True, tenacious=tenacious)
    return outcome  # in spite of the cancellation


def callers() -> frozenset[asyncio.Task[Any]]:
    """The tasks that wait for the hook in which this is asked."""
    return _callers.get()


def drop(answer: Future[Outcome]) -> None:
    """Closes what came too late to be awaited."""
    if not answer.cancelled() and inspect.iscoroutine(answer.result().value):
        answer.result().value.close()


async def _watched(awaitable: Awaitable[Any]) -> Outcome:
    try:
        return Outcome(await awaitable)
    except BaseException as error:
        return Outcome(error=error)


def _read(task: asyncio.Task[Outcome]) -> Outcome:
    return Outcome(error=asyncio.CancelledError()) if task.cancelled() else task.result()


async def _stop(task: asyncio.Task[Outcome]) -> bool:
    """Cancels a task, and takes what it runs from it if it goes on; answers whether it did."""
    task.cancel()
    try:
        await asyncio.wait({task}, timeout=GRACE)
    except asyncio.CancelledError:
        _close(task)
        raise
    return _close(task)


def _close(task: asyncio.Task[Outcome]) -> bool:
    if task.done():
        return False
    task.add_done_callback(lambda ended: ended.cancelled() or ended.exception())  # that it was closed is no news
    running: Any = task.get_coro()
    running.close()
    task.cancel()  # wakes it
    return True
