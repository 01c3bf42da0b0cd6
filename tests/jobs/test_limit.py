"""Concurrency limits as options: what is refused, and which key reaches the row."""

from __future__ import annotations

import re
from typing import Any

import pytest

from dispatch import Limit
from dispatch.app.announce import announcement
from dispatch.errors import InvalidArguments, InvalidDefinition
from dispatch.jobs.definition import JobDefinition
from dispatch.jobs.model import NewJob
from dispatch.jobs.options import EnqueueOptions
from dispatch.registry import Registry
from dispatch.scope import NO_SCOPE, Scope
from dispatch.services.named import named_job


def row(door: Any, *args: Any, scope: Scope = NO_SCOPE, **kwargs: Any) -> NewJob:
    made: NewJob = door.call(*args, **kwargs).new_job(scope=scope, idempotency_ttl=86400.0)
    return made


@pytest.fixture
def greet(registry: Registry) -> JobDefinition[..., Any]:
    @registry.job
    async def greet(name: str, *, loud: bool = False) -> None: ...

    return greet


def limit_of(door: Any, *args: Any, **kwargs: Any) -> tuple[str | None, int | None]:
    new = row(door, *args, **kwargs)
    return new.concurrency_key, new.concurrency_max


def test_a_limit_by_a_function_a_value_or_for_the_whole_job(greet: JobDefinition[..., Any]) -> None:
    by_name = greet.options(concurrency=Limit(key=lambda name: name.lower(), max=2))
    assert limit_of(by_name, "X") == limit_of(by_name, "x", loud=True) == ("|greet|x", 2)
    assert limit_of(greet.options(concurrency=Limit(key="gpu", max=1)), "x") == ("|greet|gpu", 1)
    assert limit_of(greet.options(concurrency=Limit(max=3)), "x") == ("|greet|", 3)
    assert limit_of(greet, "x") == (None, None)


def test_a_limit_with_a_name_is_shared_by_jobs_but_not_by_tenants(
    registry: Registry, greet: JobDefinition[..., Any]
) -> None:
    @registry.job(concurrency=Limit(name="api", max=2))
    async def other() -> None: ...

    same = greet.options(concurrency=Limit(name="api", max=2))
    assert limit_of(other) == limit_of(same, "x") == ("|api|", 2)
    assert limit_of(same, "x", scope=Scope("shop", "t-1")) == ("shop/t-1|api|", 2)


def test_the_option_of_a_call_wins_over_the_definitions_limit(registry: Registry) -> None:
    @registry.job(concurrency=Limit(key=lambda customer: customer, max=1))
    async def sync(customer: str) -> None: ...

    assert limit_of(sync, "ada") == ("|sync|ada", 1)
    assert limit_of(sync.options(concurrency=Limit(key=lambda customer: customer, max=5)), "ada") == ("|sync|ada", 5)


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"max": 0}, "max is 0; it is a whole number from 1 to 1,000,000,000"),
        ({"max": True}, "max is True"),
        ({"max": 1.5}, "max is 1.5"),
        ({"max": 1, "key": ""}, "key is ''"),
        ({"max": 1, "key": object()}, "give a function of the arguments"),
        ({"max": 1, "name": "a b"}, "'a b' is no name"),
        ({"max": 1, "name": 5}, "5 is no name"),
        ({"max": 10**30}, "from 1 to 1,000,000,000"),
    ],
)
def test_a_limit_that_makes_no_sense_is_refused(given: dict[str, Any], told: str) -> None:
    with pytest.raises(InvalidArguments, match=re.escape(told)):
        Limit(**given)


def test_a_limit_needs_the_class_and_a_key_that_fits_the_job(
    registry: Registry, greet: JobDefinition[..., Any]
) -> None:
    with pytest.raises(InvalidArguments, match=r"concurrency is 3; give Limit\(max=2\)"):
        greet.options(concurrency=3)
    with pytest.raises(InvalidArguments, match="the concurrency key returned None"):
        row(greet.options(concurrency=Limit(key=lambda name: None, max=1)), "x")
    with pytest.raises(InvalidArguments, match="object cannot be a concurrency key"):
        row(greet.options(concurrency=Limit(key=lambda name: object(), max=1)), "x")

    def work(a: int) -> None: ...

    with pytest.raises(InvalidDefinition, match="the concurrency key takes 2 arguments, the job fewer"):
        registry.job(concurrency=Limit(key=lambda x, y: x, max=1))(work)


def test_a_long_concurrency_key_is_stored_short(greet: JobDefinition[..., Any]) -> None:
    key, _ = limit_of(greet.options(concurrency=Limit(key=lambda name: name, max=1)), "x" * 1000)
    assert key is not None
    assert len(key) < 100


def test_a_limit_with_a_plain_key_is_announced_and_kept_by_an_enqueue_by_name(registry: Registry) -> None:
    @registry.job(concurrency=Limit(key="gpu", max=2, name="render"))
    async def render() -> None: ...

    announced = announcement(render)
    new = named_job("render", {}, EnqueueOptions(), announced=announced, scope=Scope(), idempotency_ttl=1.0)
    assert (new.concurrency_key, new.concurrency_max) == ("|render|gpu", 2) == limit_of(render)


def test_keys_that_only_the_module_can_make_are_announced_as_such_and_left_out_by_name() -> None:
    registry = Registry()

    @registry.job(concurrency=Limit(key=lambda batch: batch, max=2), unique=lambda batch: batch)
    async def load(batch: str) -> None: ...

    @registry.job(concurrency=Limit(max=2), unique=True)
    async def plain(batch: str) -> None: ...

    announced = announcement(load)
    assert announced.by_function == ("unique", "concurrency")
    new = named_job("load", {"batch": "a"}, EnqueueOptions(), announced=announced, scope=Scope(), idempotency_ttl=1.0)
    assert (new.unique, new.concurrency_key, new.concurrency_max) == (None, None, None)
    assert announcement(plain).by_function == ()
    assert announcement(plain).schema == plain.signature.schema


@pytest.mark.parametrize("odd", ["\0", "a\0b", "\ud800", "x" * 10_000])
def test_a_key_that_not_every_store_could_keep_is_a_digest(odd: str, greet: JobDefinition[..., Any]) -> None:
    key, _ = limit_of(greet.options(concurrency=Limit(key=odd, max=1)), "x")
    assert key is not None
    assert re.fullmatch(r"\|greet\|#[0-9a-f]{32}", key)
    assert row(greet.options(unique=odd), "x").unique.key == key
    assert limit_of(greet.options(concurrency=Limit(key=odd + "c", max=1)), "x") != (key, 1)
