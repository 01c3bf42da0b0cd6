"""Group commit for one store verb: what comes in one turn of the loop, or during a flush, is written together."""

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


class Flusher(Generic[Item, Answer]):
    """Collects items and hands them to `call`, at most 500 at once; each writer gets its own answer.

    The call runs in a task of its own, out of reach of the writer's cancellation, and is repeated until the store
    answers or `give_up` says that the leases are lost.
    """

    def __init__(
        self,
        call: Callable[[list[Item]], Awaitable[Sequence[Answer]]],
        *,
        name: str,
        give_up: Callable[[], bool],
        call_timeout: float,
        logger: logging.Logger,
    ) -> None:
        self._call = call
        self._name = name
        self._give_up = give_up
        self._call_timeout = call_timeout
        self._logger = logger
        self._waiting: list[tuple[Item, asyncio.Future[Answer | None]]] = []
        self._flushing: asyncio.Task[None] | None = None

    async def write(self, item: Item) -> Answer | None:
        """The store's answer to this item; None when it was given up, as the lease is lost.

        Raises DataRejected: the store refuses this item for what it holds.
        """
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[Answer | None] = loop.create_future()
        self._waiting.append((item, answer))
        if self._flushing is None:
            self._flushing = loop.create_task(self._flush(), name=f"dispatch {self._name}")
        return await answer

    async def _flush(self) -> None:
        try:
            while self._waiting:
                batch, self._waiting = self._waiting[:BATCH], self._waiting[BATCH:]
                await self._write(batch)
        finally:
            self._flushing = None

    async def _write(self, batch: list[tuple[Item, asyncio.Future[Answer | None]]]) -> None:
        pause = _FIRST_PAUSE
        answers: Sequence[Answer | None]
        while True:
            try:
                async with asyncio.timeout(self._call_timeout):
                    answers = await self._call([item for item, _ in batch])
                break
            except DataRejected as error:
                if len(batch) == 1:
                    _fail(batch[0][1], error)
                else:
                    middle = len(batch) // 2
                    await self._write(batch[:middle])
                    await self._write(batch[middle:])
                return
            except Exception as error:  # whatever it is, what was to be written must not be lost with it
                if self._give_up():
                    self._logger.error(
                        "gave up on %s of %d runs, their leases are lost: %r", self._name, len(batch), error
                    )
                    answers = [None] * len(batch)
                    break
                unexpected = not isinstance(error, StoreError | TimeoutError)
                text = "%s of %d runs wait for the store: %r"
                self._logger.warning(text, self._name, len(batch), error, exc_info=unexpected)
            await asyncio.sleep(pause * (0.5 + random.random() / 2))
            pause = min(pause * 2, _LONGEST_PAUSE)
        for (_, future), answer in zip(batch, answers, strict=True):
            if not future.done():
                future.set_result(answer)


def _fail(future: asyncio.Future[Answer | None], error: Exception) -> None:
    if not future.done():
        future.set_exception(error)
