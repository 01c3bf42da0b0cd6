"""Group commit of any verb: what is written together, what is repeated, who hears of a refusal."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence

import pytest

from dispatch.engine.batches import BATCH
from dispatch.engine.flusher import Flusher
from dispatch.errors import DataRejected, StoreUnreachable

Call = Callable[[list[int]], Awaitable[Sequence[int]]]


def flusher(call: Call, give_up: Callable[[], bool] = lambda: False) -> Flusher[int, int]:
    return Flusher(call, name="test", give_up=give_up, call_timeout=5, logger=logging.getLogger("test"))


async def test_one_turn_s_items_are_written_together_and_each_gets_its_own_answer() -> None:
    batches: list[list[int]] = []

    async def call(items: list[int]) -> list[int]:
        batches.append(items)
        return [item * 2 for item in items]

    writes = flusher(call)
    assert await asyncio.gather(*(writes.write(n) for n in range(5))) == [0, 2, 4, 6, 8]
    assert batches == [[0, 1, 2, 3, 4]]


async def test_what_comes_during_a_flush_waits_for_the_next() -> None:
    batches: list[list[int]] = []
    free = asyncio.Event()

    async def call(items: list[int]) -> list[int]:
        batches.append(items)
        await free.wait()
        return items

    writes = flusher(call)
    first = asyncio.create_task(writes.write(1))
    while not batches:
        await asyncio.sleep(0)
    later = [asyncio.create_task(writes.write(n)) for n in range(BATCH + 1)]
    await asyncio.sleep(0)
    free.set()
    await asyncio.gather(first, *later)
    assert [len(batch) for batch in batches] == [1, BATCH, 1]


async def test_a_refused_item_is_found_and_the_others_are_written() -> None:
    async def call(items: list[int]) -> list[int]:
        if 3 in items:
            raise DataRejected("three")
        return items

    writes = flusher(call)
    answers = await asyncio.gather(*(writes.write(n) for n in range(6)), return_exceptions=True)
    assert [answer for answer in answers if not isinstance(answer, BaseException)] == [0, 1, 2, 4, 5]
    assert isinstance(answers[3], DataRejected)


async def test_a_store_that_is_away_is_asked_again() -> None:
    tries = 0

    async def call(items: list[int]) -> list[int]:
        nonlocal tries
        tries += 1
        if tries < 3:
            raise StoreUnreachable("away")
        return items

    assert await flusher(call).write(1) == 1
    assert tries == 3


async def test_what_is_given_up_is_answered_with_nothing() -> None:
    async def call(items: list[int]) -> list[int]:
        raise StoreUnreachable("away")

    assert await flusher(call, give_up=lambda: True).write(1) is None


async def test_a_writer_that_is_cancelled_does_not_stop_the_write() -> None:
    written: list[int] = []
    free, began = asyncio.Event(), asyncio.Event()

    async def call(items: list[int]) -> list[int]:
        began.set()
        await free.wait()
        written.extend(items)
        return items

    writes = flusher(call)
    writer = asyncio.create_task(writes.write(1))
    await began.wait()
    writer.cancel()
    with pytest.raises(asyncio.CancelledError):
        await writer
    free.set()
    assert await writes.write(2) == 2
    assert written == [1, 2]
