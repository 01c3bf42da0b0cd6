"""A store call goes on where its caller is cancelled, and ends at its limit wherever it runs."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from dispatch.stores.undisturbed import Undisturbed

Made = tuple[Callable[[Coroutine[Any, Any, Any], float], Undisturbed[Any]], list[asyncio.Task[Any]]]


@pytest.fixture
def made() -> Made:
    rests: list[asyncio.Task[Any]] = []

    def make(call: Coroutine[Any, Any, Any], limit: float = 60) -> Undisturbed[Any]:
        return Undisturbed(call, limit, lambda rest: rests.append(asyncio.create_task(rest)))

    return make, rests


async def turns(*parts: asyncio.Future[Any] | None, said: list[str] | None = None) -> list[Any]:
    answers: list[Any] = []
    for part in parts:
        if said is not None:
            said.append("asked")
        answers.append(await (asyncio.sleep(0, "slept") if part is None else part))
    return answers


def future(answer: Any = None) -> asyncio.Future[Any]:
    made = asyncio.get_running_loop().create_future()
    if answer is not None:
        made.set_result(answer)
    return made


async def test_what_the_call_answers_is_answered_in_the_callers_task(made: Made) -> None:
    make, rests = made
    late = future()
    asyncio.get_running_loop().call_soon(late.set_result, "late")

    assert await make(turns(None, future("now"), late), 60) == ["slept", "now", "late"]
    assert rests == []


async def test_what_the_call_raises_is_raised(made: Made) -> None:
    make, _ = made
    broken = future()
    asyncio.get_running_loop().call_soon(broken.set_exception, ZeroDivisionError("broken"))

    with pytest.raises(ZeroDivisionError, match="broken"):
        await make(turns(broken), 60)


async def test_a_call_that_is_cancelled_from_within_is_cancelled(made: Made) -> None:
    make, rests = made
    gone = future()
    asyncio.get_running_loop().call_soon(gone.cancel)

    with pytest.raises(asyncio.CancelledError):
        await make(turns(gone), 60)
    assert rests == []


@pytest.mark.parametrize("before", [0, 1, 2, 3])
async def test_a_cancelled_caller_hears_it_at_once_and_the_call_goes_to_its_end(made: Made, before: int) -> None:
    make, rests = made
    said: list[str] = []
    parts = [None, future(), None, future()]
    caller = asyncio.create_task(_caller(make(turns(*parts, said=said), 60)))
    while len(said) <= before:
        await asyncio.sleep(0)
        for part in parts[:before]:
            if part is not None and not part.done():
                part.set_result("given")

    caller.cancel()
    with pytest.raises(asyncio.CancelledError):
        await caller
    for part in parts:
        if part is not None and not part.done():
            part.set_result("given")
    (rest,) = rests
    assert await rest == ["slept", "given", "slept", "given"]


async def test_a_caller_that_is_cancelled_in_the_turn_of_the_answer_hears_it_too(made: Made) -> None:
    make, rests = made
    answer = future()
    caller = asyncio.create_task(_caller(make(turns(answer), 60)))
    await asyncio.sleep(0)

    answer.set_result("given")
    caller.cancel()
    with pytest.raises(asyncio.CancelledError):
        await caller
    (rest,) = rests
    assert await rest == ["given"]


async def test_a_call_ends_at_its_limit(made: Made) -> None:
    make, rests = made
    never = future()

    with pytest.raises(TimeoutError):
        await make(turns(never), 0.001)
    assert never.cancelled()
    assert rests == []


async def test_a_call_whose_caller_has_left_ends_at_its_limit_all_the_same(made: Made) -> None:
    make, rests = made
    never = future()
    caller = asyncio.create_task(_caller(make(turns(never), 0.01)))
    await asyncio.sleep(0)

    caller.cancel()
    with pytest.raises(asyncio.CancelledError):
        await caller
    (rest,) = rests
    with pytest.raises(TimeoutError):
        await rest
    assert never.cancelled()


async def test_a_caller_that_is_thrown_away_closes_the_call() -> None:
    closed: list[bool] = []

    async def call() -> None:
        try:
            await future()
        finally:
            closed.append(True)

    waiting = _caller(Undisturbed(call(), 60, lambda rest: rest.close()))
    waiting.send(None)
    waiting.close()
    assert closed == [True]


async def _caller(call: Undisturbed[Any]) -> Any:
    return await call
