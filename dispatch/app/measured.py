"""A store whose calls are timed: `dispatch.store.call.duration`, by part and verb."""

from __future__ import annotations

import functools
import inspect
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, cast

from dispatch.store import Store

if TYPE_CHECKING:
    from dispatch.telemetry import Spread

PARTS = ("jobs", "workflows", "crons", "dlq", "events", "cluster", "queues", "records", "stream")


def measured(store: Store, spread: Spread) -> Store:
    """The same store, seen through a face that records how long each call takes ("jobs.claim", seconds)."""
    parts = {name: _face(getattr(store, name), name, spread) for name in PARTS}
    return cast("Store", _wrapping(store, parts))


def _face(part: Any, prefix: str, spread: Spread) -> Any:
    kind = type(part)
    verbs = [name for name in dir(kind) if not name.startswith("_")]
    timed = {
        name: _timed(getattr(part, name), f"{prefix}.{name}", spread)
        for name in verbs
        if inspect.iscoroutinefunction(getattr(kind, name))
    }
    plain = {name: getattr(part, name) for name in verbs if name not in timed and callable(getattr(kind, name, None))}
    return _wrapping(part, {**timed, **plain})


def _wrapping(inner: Any, members: dict[str, Any]) -> Any:
    """An object of a class of its own that has these members; everything else is asked of `inner`."""

    def other(self: object, name: str) -> Any:
        return getattr(inner, name)

    namespace = {name: _Member(value) for name, value in members.items()}
    return type(f"Measured{type(inner).__name__}", (), {"__getattr__": other, "__slots__": (), **namespace})()


class _Member:
    """Answers the same value for every instance, and is there for those who look at the class."""

    def __init__(self, value: Any) -> None:
        self._value = value

    def __get__(self, instance: object, owner: type) -> Any:
        return self._value


def _timed(call: Callable[..., Any], name: str, spread: Spread) -> Callable[..., Any]:
    @functools.wraps(call)
    async def timed(*args: Any, **kwargs: Any) -> Any:
        started = time.perf_counter()
        try:
            return await call(*args, **kwargs)
        finally:
            spread.record(time.perf_counter() - started, name)

    return timed
