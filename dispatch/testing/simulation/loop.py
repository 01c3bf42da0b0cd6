"""An event loop on virtual time: it never waits, it runs what is ready in an order of its chooser, and it can freeze or
drop what belongs to one node."""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Callable
from contextlib import suppress
from contextvars import Context, ContextVar
from typing import Any

owner: ContextVar[object | None] = ContextVar("dispatch_simulated_node", default=None)
"""The node that this code runs on; None: the harness, and what plays the outside world."""
_RESOLUTION = 1e-9


class Selector(selectors.BaseSelector):
    """Lets time pass instead of waiting for it; what is told by threads and sockets is looked at in between."""

    def __init__(self, wait: Callable[[float | None], None]) -> None:
        self._real = selectors.DefaultSelector()
        self._wait = wait

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        self._wait(timeout)
        return self._real.select(0)

    def register(self, fileobj: Any, events: int, data: Any = None) -> selectors.SelectorKey:
        return self._real.register(fileobj, events, data)

    def unregister(self, fileobj: Any) -> selectors.SelectorKey:
        return self._real.unregister(fileobj)

    def modify(self, fileobj: Any, events: int, data: Any = None) -> selectors.SelectorKey:
        return self._real.modify(fileobj, events, data)

    def close(self) -> None:
        self._real.close()

    def get_map(self) -> Any:
        return self._real.get_map()


class VirtualLoop(asyncio.SelectorEventLoop):
    """One world's loop.

    Args:
        turn: told before each turn what is ready; answers what runs in it, in which order.
        idle: told that nothing is ready for so many seconds; answers how many pass.
    """

    def __init__(
        self,
        turn: Callable[[list[asyncio.Handle]], list[asyncio.Handle]],
        idle: Callable[[float], float],
    ) -> None:
        self._virtual = 0.0
        self._turn = turn
        self._idle = idle
        self.tasks: dict[asyncio.Task[Any], None] = {}
        """All that have not ended, in the order in which they began."""
        super().__init__(Selector(self._let_pass))
        self._clock_resolution = _RESOLUTION
        self.set_exception_handler(_heard)

    def time(self) -> float:
        return self._virtual

    def create_task(  # type: ignore[override]
        self, coro: Any, *, name: str | None = None, context: Context | None = None
    ) -> asyncio.Task[Any]:
        task: asyncio.Task[Any] = super().create_task(coro, name=name, context=context)
        self.tasks[task] = None
        task.add_done_callback(self._ended)
        return task

    def timers(self) -> list[tuple[float, object | None]]:
        """When each timer that is set is due, and whose it is."""
        scheduled: list[asyncio.TimerHandle] = self._scheduled  # type: ignore[attr-defined]
        return [(timer.when(), owner_of(timer)) for timer in scheduled if not timer.cancelled()]

    def bury(self) -> None:
        """Ends the tasks that are left without letting them run on."""
        for task in list(self.tasks):
            task._log_destroy_pending = False  # type: ignore[attr-defined]
            coroutine: Any = task.get_coro()
            with suppress(Exception, asyncio.CancelledError):  # a `finally:` of a process that is dead
                coroutine.close()
        self.tasks.clear()

    def _let_pass(self, timeout: float | None) -> None:
        ready: Any = self._ready  # type: ignore[attr-defined]
        if ready:
            chosen = self._turn(list(ready))
            ready.clear()
            ready.extend(chosen)
        elif timeout is None or timeout > 0:
            self._virtual += self._idle(float("inf") if timeout is None else timeout)

    def _ended(self, task: asyncio.Task[Any]) -> None:
        self.tasks.pop(task, None)


def _heard(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """What failed on a node that died before it looked is no concern."""
    if "never retrieved" not in str(context.get("message")):
        loop.default_exception_handler(context)


def owner_of(handle: asyncio.Handle) -> object | None:
    """The node that a callback belongs to."""
    context: Context = handle._context  # type: ignore[attr-defined]
    return context.get(owner)
