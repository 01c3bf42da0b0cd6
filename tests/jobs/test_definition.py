"""Definitions: still the function they decorate, with verbs that say what is wrong."""

from __future__ import annotations

import copy
import functools
import inspect
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import pytest

from dispatch.app import Dispatch
from dispatch.errors import DuplicateJob, InvalidArguments, InvalidDefinition
from dispatch.jobs.definition import LARGEST_BATCH, AsyncJobDefinition, JobDefinition, PlainJobDefinition
from dispatch.jobs.model import CountOptions, JobState
from dispatch.registry import Registry
from dispatch.stores.memory import MemoryStore


@pytest.fixture
async def app(registry: Registry) -> AsyncIterator[Dispatch]:
    async with Dispatch(MemoryStore(), registry=registry) as opened:
        yield opened


@pytest.fixture
def double(registry: Registry) -> PlainJobDefinition[[int], int]:
    @registry.job
    def double(n: int) -> int:
        """Doubles a number.

        More of it.
        """
        return n * 2

    return double


async def waiting(app: Dispatch) -> int:
    return (await app.jobs.count(CountOptions()))[JobState.PENDING]


# still a function


async def test_a_definition_stays_the_function_and_queues_nothing(registry: Registry, app: Dispatch) -> None:
    @registry.job
    async def later(n: int) -> int:
        return n + 1

    @registry.job(queue="x", max_retries=1)
    def now(n: int) -> int:
        return n + 1

    assert await later(1) == 2
    assert now(1) == 2
    assert (type(later), type(now)) == (AsyncJobDefinition, PlainJobDefinition)
    assert await waiting(app) == 0


def test_a_definition_looks_like_its_function(double: PlainJobDefinition[[int], int]) -> None:
    assert double.name == "double"
    assert double.__name__ == "double"
    assert double.__module__ == __name__
    assert double.summary == "Doubles a number."
    assert str(inspect.signature(double)) == "(n: 'int') -> 'int'"
    assert __file__ in repr(double)


def test_attributes_of_the_function_do_not_become_those_of_the_job(registry: Registry) -> None:
    def work() -> None: ...

    work.name = "impostor"  # type: ignore[attr-defined]
    work.function = None  # type: ignore[attr-defined]
    work.label = "kept"  # type: ignore[attr-defined]
    made = registry.job(work)
    assert (made.name, made.function, made.__dict__["label"]) == ("work", work, "kept")


@pytest.mark.parametrize("name", ["delay", "apply_async", "send", "defer", "kiq"])
def test_the_verbs_of_other_libraries_are_answered_with_ours(double: Any, name: str) -> None:
    with pytest.raises(
        AttributeError, match=rf"double.{name}: use `await double.enqueue\(...\)`, or double.sync.enqueue"
    ):
        getattr(double, name)


def test_looking_at_a_definition_does_no_harm(double: Any) -> None:
    assert not hasattr(double, "delay")
    assert not hasattr(double, "anything")
    with pytest.raises(AttributeError, match="the job double has no attribute 'anything'"):
        _ = double.anything
    assert copy.copy(double).name == "double"
    assert not hasattr(JobDefinition.__new__(JobDefinition), "name")


def test_a_partial_can_be_a_job_under_a_name(registry: Registry) -> None:
    def add(a: int, b: int) -> int:
        return a + b

    made: Any = registry.job(name="add-one")(functools.partial(add, 1))
    assert made(2) == 3
    assert made.place.startswith(__file__)
    assert made.call(5).payload == b'{"b":5}'


# refused


def generator() -> Iterator[int]:
    yield 1


async def async_generator() -> AsyncIterator[int]:
    yield 1


@pytest.mark.parametrize("function", [generator, async_generator])
def test_a_generator_is_refused(registry: Registry, function: Callable[..., Any]) -> None:
    with pytest.raises(InvalidDefinition, match="a generator function cannot be a job; return a value instead"):
        registry.job(function)


def test_a_lambda_needs_a_name(registry: Registry) -> None:
    with pytest.raises(InvalidDefinition, match=r"'<lambda>' cannot be a job's name.*needs name="):
        registry.job(lambda: None)
    assert registry.job(name="nothing")(lambda: None)() is None


def test_only_functions_are_decorated(registry: Registry) -> None:
    with pytest.raises(InvalidDefinition, match="decorates a function, not 'send'"):
        registry.job("send")  # type: ignore[call-overload]


def test_a_job_is_not_made_of_a_job(registry: Registry, double: Any) -> None:
    with pytest.raises(InvalidDefinition, match="is a job already: @job stands once, directly above the function"):
        registry.job(queue="x")(double)


@pytest.mark.parametrize("name", ["", "two words", "ä", "x" * 129, "a\n"])
def test_a_name_is_plain(registry: Registry, name: str) -> None:
    def work() -> None: ...

    with pytest.raises(InvalidDefinition, match="cannot be a job's name: 1 to 128 of"):
        registry.job(name=name)(work)


def test_the_executor_fits_the_function(registry: Registry) -> None:
    async def later() -> None: ...
    def now() -> None: ...

    with pytest.raises(InvalidDefinition, match="drop executor='thread'"):
        registry.job(executor="thread")(later)
    with pytest.raises(InvalidDefinition, match="drop executor='async'"):
        registry.job(executor="async")(now)
    with pytest.raises(InvalidDefinition, match="executor is 'proces'"):
        registry.job(executor="proces")(now)  # type: ignore[call-overload]
    assert registry.job(later).executor == "async"
    assert registry.job(now).executor == "thread"
    assert registry.job(executor="process", name="p")(now).executor == "process"


# enqueue


async def test_enqueue_validates_before_anything_is_written(
    app: Dispatch, double: PlainJobDefinition[[int], int]
) -> None:
    with pytest.raises(InvalidArguments, match="double: n: Input should be a valid integer"):
        await double.enqueue("many")  # type: ignore[arg-type]
    assert await waiting(app) == 0


async def test_a_handle_knows_its_job(app: Dispatch, double: PlainJobDefinition[[int], int]) -> None:
    handle = await double.enqueue(4)
    job = await handle.job()
    assert (job.name, job.payload, job.state) == ("double", b'{"n":4}', JobState.PENDING)
    assert handle.created
    assert await handle.status() is JobState.PENDING
    assert handle.id in repr(handle)
    assert await handle.cancel() is JobState.CANCELLED


async def test_enqueue_many_takes_calls_and_bare_arguments(
    app: Dispatch, double: PlainJobDefinition[[int], int]
) -> None:
    handles = await double.enqueue_many([double.call(1), ((2,), {}), ([], {"n": 3})])
    assert [(await h.job()).payload for h in handles] == [b'{"n":1}', b'{"n":2}', b'{"n":3}']
    assert await double.enqueue_many([]) == []


@pytest.mark.parametrize("item", [{"n": 1}, {"n": 1, "m": 2}, 5, "ab", (1, 2), ("ab", {}), ((1,), {}, {}), None])
async def test_enqueue_many_says_what_a_call_is(
    item: object, app: Dispatch, double: PlainJobDefinition[[int], int]
) -> None:
    with pytest.raises(InvalidArguments, match=r"give double\.call\(\.\.\.\), or a pair"):
        await double.enqueue_many([item])  # type: ignore[list-item]


async def test_enqueue_many_is_all_or_nothing(app: Dispatch, double: PlainJobDefinition[[int], int]) -> None:
    once = double.options(unique=lambda n: n, on_conflict="raise")
    held = await once.enqueue(3)
    with pytest.raises(DuplicateJob) as caught:
        await once.enqueue_many([once.call(n) for n in range(5)])
    assert caught.value.existing == held.id
    with pytest.raises(InvalidArguments):
        await double.enqueue_many([((1,), {}), (("many",), {})])
    assert await waiting(app) == 1


async def test_enqueue_many_has_a_largest_size(app: Dispatch, double: PlainJobDefinition[[int], int]) -> None:
    call = double.call(1)
    with pytest.raises(InvalidArguments, match="10001 calls in one enqueue_many; at most 10000"):
        await double.enqueue_many([call] * (LARGEST_BATCH + 1))
    assert len(await double.enqueue_many([call] * LARGEST_BATCH)) == await waiting(app) == LARGEST_BATCH


async def test_enqueue_many_leaves_out_what_was_skipped(app: Dispatch, double: PlainJobDefinition[[int], int]) -> None:
    once = double.options(unique=lambda n: n, on_conflict="skip")
    first = await once.enqueue(3)
    handles = await once.enqueue_many([once.call(n) for n in range(5)])
    assert [(await h.job()).payload for h in handles] == [b'{"n":0}', b'{"n":1}', b'{"n":2}', b'{"n":4}']
    assert await once.enqueue_many([once.call(3)]) == []
    again = await once.enqueue(3)
    assert (again.id, again.created) == (first.id, False)


async def test_a_unique_twin_is_returned(app: Dispatch, double: PlainJobDefinition[[int], int]) -> None:
    once = double.options(unique=True)
    first, again = await once.enqueue(1), await once.enqueue(1)
    assert (first.id, first.created, again.created) == (again.id, True, False)


def test_a_call_is_a_value(double: PlainJobDefinition[[int], int]) -> None:
    call = double.options(priority=3).call(4)
    assert (call.payload, call.options.priority, repr(call)) == (b'{"n":4}', 3, "<Call double>")


async def test_the_app_s_own_spelling_is_the_same(app: Dispatch, double: PlainJobDefinition[[int], int]) -> None:
    handle = await app.enqueue(double, 21)
    assert (await handle.job()).payload == b'{"n":21}'
