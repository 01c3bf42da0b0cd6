"""Runs a store call in its caller's task, and to its end whatever happens to the caller."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Generator
from contextvars import Context
from types import coroutine
from typing import Any, Generic, TypeVar

T = TypeVar("T")

Future = asyncio.Future[Any]


class Undisturbed(Generic[T]):
    """An awaitable for one call: where who awaits it is cancelled, a task of the call's own goes on with it.

    Two turns of the event loop quicker than such a task from the beginning, and nobody is cancelled nearly always.
    The call must not lean on the task that it runs in, as `asyncio.timeout` does.

    Args:
        call: the coroutine.
        limit: seconds after which the call is cancelled, wherever it runs then.
        leave: takes the coroutine that is the rest of the call, to run it as a task.

    Raises what the call raises; TimeoutError after `limit`.
    """

    __slots__ = ("_alarm", "_began", "_call", "_late", "_leave", "_limit", "_turn")

    _alarm: asyncio.TimerHandle

    def __init__(
        self, call: Coroutine[Any, Any, T], limit: float, leave: Callable[[Coroutine[Any, Any, T]], object]
    ) -> None:
        self._call = call
        self._limit = limit
        self._leave = leave
        self._began = self._late = False
        self._turn: Future | None = None
        """What the call that has begun waits for; None: the loop's next turn."""

    def __await__(self) -> Generator[Any, Any, T]:
        self._alarm = asyncio.get_running_loop().call_later(self._limit, self._expire)
        return self._steps(_Screen)

    async def _rest(self) -> T:
        return await self._steps_on()

    @coroutine
    def _steps_on(self) -> Generator[Any, Any, T]:
        return (yield from self._steps(_unscreened))

    def _steps(self, as_awaited: Callable[[Future], object]) -> Generator[Any, Any, T]:
        call, left = self._call, False
        try:
            while True:
                if self._began:
                    turn = self._turn
                    try:
                        yield None if turn is None else as_awaited(turn)
                    except GeneratorExit:
                        call.close()
                        raise
                    except BaseException as error:  # the call learns from the turn itself how that ended
                        if isinstance(error, asyncio.CancelledError) and (turn is None or not turn.cancelled()):
                            left = True
                            self._leave(self._rest())
                            raise
                self._began = True
                self._turn = call.send(None)
                if self._late and self._turn is not None:
                    self._turn.cancel()
        except StopIteration as end:
            answer: T = end.value
            return answer
        except asyncio.CancelledError:
            if self._late and not left:
                raise TimeoutError from None
            raise
        finally:
            if not left:
                self._alarm.cancel()

    def _expire(self) -> None:
        self._late = True
        if self._turn is not None:
            self._turn.cancel()


def _unscreened(turn: Future) -> Future:
    turn._asyncio_future_blocking = True
    return turn


class _Screen:
    """A future as a task awaits it, which the task's cancellation does not reach."""

    __slots__ = ("_asyncio_future_blocking", "_context", "_turn", "_wake")

    _wake: Callable[[Any], object]
    _context: Context

    def __init__(self, turn: Future) -> None:
        self._turn = turn
        self._asyncio_future_blocking = True

    def get_loop(self) -> asyncio.AbstractEventLoop:
        return self._turn.get_loop()

    def add_done_callback(self, wake: Callable[[Any], object], *, context: Context) -> None:
        self._wake, self._context = wake, context
        self._turn.add_done_callback(wake, context=context)

    def cancel(self, msg: object = None) -> bool:
        if not self._turn.remove_done_callback(self._wake):
            return False
        self.get_loop().call_soon(self._wake, self, context=self._context)
        return True

    def result(self) -> None:
        raise asyncio.CancelledError
