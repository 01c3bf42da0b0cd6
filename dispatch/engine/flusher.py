"""Group commit for one store verb whose callers wait: each gets its own answer."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from typing import Generic, TypeVar

from dispatch.engine.batches import Batches
from dispatch.errors import DataRejected

Item = TypeVar("Item")
Answer = TypeVar("Answer")


class Flusher(Generic[Item, Answer]):
    """Writes what callers bring together with what others bring; see Batches."""

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
        self._batches: Batches[tuple[Item, asyncio.Future[Answer | None]], Answer] = Batches(
            self._write,
            what=f"runs' {name}",
            told=_tell,
            refused=_fail,
            give_up=give_up,
            call_timeout=call_timeout,
            logger=logger,
        )

    async def write(self, item: Item) -> Answer | None:
        """The store's answer to this item; None when it was given up, as the lease is lost.

        Raises DataRejected: the store refuses this item for what it holds.
        """
        answer: asyncio.Future[Answer | None] = asyncio.get_running_loop().create_future()
        self._batches.add((item, answer))
        return await answer

    async def _write(self, batch: list[tuple[Item, asyncio.Future[Answer | None]]]) -> Sequence[Answer]:
        return await self._call([item for item, _ in batch])


def _tell(waiting: tuple[object, asyncio.Future[Answer | None]], answer: Answer | None) -> None:
    future = waiting[1]
    if not future.done():
        future.set_result(answer)


def _fail(waiting: tuple[object, asyncio.Future[Answer | None]], error: DataRejected) -> None:
    future = waiting[1]
    if not future.done():
        future.set_exception(error)
