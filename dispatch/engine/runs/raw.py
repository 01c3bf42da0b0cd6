"""Finds what a body awaits that is no verb: it would be cut off if the run were left now."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import FrameType
from typing import Any

_OF_ASYNCIO = asyncio.__file__.rpartition("/")[0]
_BETWEEN_BRANCHES = ("/locks.py", "/queues.py")
"""Where asyncio waits for what only another branch can do."""


@dataclass(frozen=True, slots=True)
class RawAwait:
    """A task of the body that waits for something other than a verb."""

    future: asyncio.Future[Any] | None
    """What it waits for; None: its turn on the loop."""
    place: str
    """Where, as `file:line`."""


def raw_awaits(
    body: asyncio.Task[Any],
    waits: Collection[asyncio.Future[Any]],
    joins: Mapping[asyncio.Task[Any], Sequence[asyncio.Future[Any]]],
) -> list[RawAwait]:
    """What the body and the branches that it waits for await, apart from the futures of verbs (`waits`).

    `joins` tells what the verbs that wait for several tasks wait for. Branches that wait for each other, by a lock or a
    queue, are no raw awaits; nor is a task seen that nobody waits for.
    """
    found: list[RawAwait] = []
    seen: set[asyncio.Future[Any]] = set()
    left: list[asyncio.Future[Any]] = [body]
    while left:
        future = left.pop()
        if future in seen or future in waits or future.done():
            continue
        seen.add(future)
        children = getattr(future, "_children", None)  # of a gather
        if children is not None:
            left += children
        elif not isinstance(future, asyncio.Task):
            found.append(RawAwait(future, ""))
        elif future in joins:
            left += joins[future]
        else:
            left += _below(future, waits, found)
    return found


def _below(
    task: asyncio.Task[Any], waits: Collection[asyncio.Future[Any]], found: list[RawAwait]
) -> Iterable[asyncio.Future[Any]]:
    """The tasks that a task waits for; what else it waits for is noted."""
    awaited: asyncio.Future[Any] | None = getattr(task, "_fut_waiter", None)
    if awaited is not None and (awaited in waits or isinstance(awaited, asyncio.Task) or hasattr(awaited, "_children")):
        return (awaited,)
    frames = _frames(task)
    inner = frames[-1] if frames else None
    if inner is not None and inner.f_code.co_filename.startswith(_OF_ASYNCIO):
        if inner.f_code.co_filename.endswith(_BETWEEN_BRANCHES):
            return ()
        several = inner.f_locals.get("fs")  # of asyncio.wait
        if several is not None:
            return tuple(several)
        one = inner.f_locals.get("fut")  # of asyncio.wait_for
        if isinstance(one, asyncio.Task):
            return (one,)
    own = [frame for frame in frames if not frame.f_code.co_filename.startswith(_OF_ASYNCIO)]
    found.append(RawAwait(awaited, f"{own[-1].f_code.co_filename}:{own[-1].f_lineno}" if own else ""))
    return ()


def _frames(task: asyncio.Task[Any]) -> list[FrameType]:
    """The frames of a suspended task's coroutines, the outermost first."""
    frames = []
    awaited: Any = task.get_coro()
    while awaited is not None:
        frame = getattr(awaited, "cr_frame", None)
        if frame is not None:
            frames.append(frame)
        awaited = getattr(awaited, "cr_await", None)
    return frames
