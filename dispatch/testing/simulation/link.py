"""A node's way to the store: what it asks is delayed, lost or done twice, and what it is answered may never arrive."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from dispatch.errors import StoreUnreachable
from dispatch.store import Store
from dispatch.testing.simulation.faults import Fate

_REPEATABLE = frozenset(
    {"load", "record", "wait", "park", "finish", "compensate", "undoing", "block", "renew", "release"}
)
"""What the engine itself sends again when no answer comes."""
_UNTIL_GIVEN_UP = 0.5
Told = Callable[[str, str], None]


class Link:
    """Stands where a node's store stands; its parts lead to those of the real one.

    Args:
        store: the one store of the world.
        fate: what becomes of messages.
        told: hears of each message: the verb with what it is about, and how it went.
    """

    def __init__(self, store: Store, *, fate: Fate, told: Told) -> None:
        self.url = store.url
        self.wakeups = store.wakeups
        for part in ("jobs", "queues", "dlq", "events", "crons", "cluster", "records", "stream", "workflows"):
            setattr(self, part, _Part(getattr(store, part), part, fate=fate, told=told))


class _Part:
    """One part of the store; any verb of it."""

    def __init__(self, part: Any, name: str, *, fate: Fate, told: Told) -> None:
        self._part = part
        self._name = name
        self._fate = fate
        self._told = told

    def __getattr__(self, verb: str) -> Any:
        act = getattr(self._part, verb)
        label = f"{self._name}.{verb}"

        async def send(*args: Any, **kwargs: Any) -> Any:
            fate = self._fate
            what = f"{label}{subject(args)}"
            await asyncio.sleep(fate.delay())
            if fate.loses_request():
                self._told(what, "request lost")
                await asyncio.sleep(_UNTIL_GIVEN_UP)
                raise StoreUnreachable(f"{label}: the request was lost")
            answer = await act(*args, **kwargs)
            if verb in _REPEATABLE and fate.repeats():
                self._told(what, "done twice")
                answer = await act(*args, **kwargs)
            self._told(what, "done")
            await asyncio.sleep(fate.delay())
            if fate.loses_reply():
                self._told(what, "reply lost")
                await asyncio.sleep(_UNTIL_GIVEN_UP)
                raise StoreUnreachable(f"{label}: the reply was lost")
            return answer

        setattr(self, verb, send)
        return send


def subject(args: tuple[Any, ...]) -> str:
    """The names of steps, waits and ends that a request is about; ids say nothing that lasts."""
    names: list[str] = []
    for argument in args:
        for one in argument if isinstance(argument, list | tuple) else ():
            names += [c.name for c in getattr(one, "checkpoints", ())]
            for field in ("name", "state", "verdict"):
                value = getattr(one, field, None)
                if isinstance(value, str):
                    names.append(str(value))
    return f" {', '.join(names)}" if names else ""
