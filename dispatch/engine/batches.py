"""Group commit: what comes in one turn of the loop, or while the last batch is written, is written together."""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable, Sequence
from typing import Generic, TypeVar

from dispatch.errors import DataRejected, StoreError

Item = TypeVar("Item")
Answer = TypeVar("Answer")

BATCH = 500
_FIRST_PAUSE = 0.05
_LONGEST_PAUSE = 2.0


class Batches(Generic[Item, Answer]):
    """Hands items to `call`, at most 500 at once, again and again until the store answers.

    The calls run in a task of their own, out of reach of the cancellation of whoever adds.

    Args:
        call: writes items and answers one answer each, in order. what: what is written, for the log ("outcomes").
        told: hears of each item and its answer; None: it was given up.
        refused: the store refuses this item for what it holds; answers what to write in its place, or None.
        give_up: whether it is too late to write. call_timeout: seconds that one call may take.
    """

    def __init__(
        self,
        call: Callable[[list[Item]], Awaitable[Sequence[Answer]]],
        *,
        what: str,
        told: Callable[[Item, Answer | None], None],
        refused: Callable[[Item, DataRejected], Item | None],
        give_up: Callable[[], bool],
        call_timeout: float,
        logger: logging.Logger,
    ) -> None:
        self._call = call
        self._what = what
        self._told = told
        self._refused = refused
        self._give_up = give_up
        self._call_timeout = call_timeout
        self._logger = logger
        self._waiting: list[Item] = []
        self._flushing: asyncio.Task[None] | None = None
        self._idle = asyncio.Event()
        self._idle.set()

    def add(self, item: Item) -> None:
        """Takes an item; it is written with whatever else has come by the end of this turn of the loop."""
        self._waiting.append(item)
        if self._flushing is None:
            self._idle.clear()
            self._flushing = asyncio.get_running_loop().create_task(self._flush(), name=f"dispatch {self._what}")

    async def drained(self) -> None:
        """Waits until nothing is left to write."""
        await self._idle.wait()

    async def _flush(self) -> None:
        try:
            while self._waiting:
                batch, self._waiting = self._waiting[:BATCH], self._waiting[BATCH:]
                await self._write(batch)
        finally:
            self._flushing = None
            self._idle.set()

    async def _write(self, batch: list[Item]) -> None:
        pause = _FIRST_PAUSE
        answers: Sequence[Answer | None]
        while True:
            try:
                async with asyncio.timeout(self._call_timeout):
                    answers = await self._call(batch)
                break
            except DataRejected as error:
                await self._halve(batch, error)
                return
            except Exception as error:  # whatever it is, what was to be written must not be lost with it
                if self._give_up():
                    text = "gave up on %d %s, their leases are lost: %r"
                    self._logger.error(text, len(batch), self._what, error)
                    answers = [None] * len(batch)
                    break
                unexpected = not isinstance(error, StoreError | TimeoutError)
                text = "%d %s wait for the store: %r"
                self._logger.warning(text, len(batch), self._what, error, exc_info=unexpected)
            await asyncio.sleep(pause * (0.5 + random.random() / 2))
            pause = min(pause * 2, _LONGEST_PAUSE)
        for item, answer in zip(batch, answers, strict=True):
            self._told(item, answer)

    async def _halve(self, batch: list[Item], error: DataRejected) -> None:
        """Halves a refused batch until the item at fault stands alone."""
        if len(batch) > 1:
            middle = len(batch) // 2
            await self._write(batch[:middle])
            await self._write(batch[middle:])
            return
        instead = self._refused(batch[0], error)
        if instead is not None:
            await self._write([instead])
