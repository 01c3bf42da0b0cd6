"""Options: what is refused, how the levels merge, and what of them reaches the row."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from typing import Any
from uuid import UUID

import pytest

from dispatch.backoff import Constant
from dispatch.errors import InvalidArguments, InvalidDefinition
from dispatch.jobs.definition import BoundJob, JobDefinition
from dispatch.jobs.model import NewJob
from dispatch.jobs.options import EnqueueOptions, build_job
from dispatch.registry import Registry
from dispatch.scope import NO_SCOPE, Scope

WHEN = datetime(2026, 3, 1, 12, tzinfo=UTC)


def row(
    door: JobDefinition[..., Any] | BoundJob[..., Any], *args: Any, scope: Scope = NO_SCOPE, **kwargs: Any
) -> NewJob:
    return door.call(*args, **kwargs).new_job(scope=scope, idempotency_ttl=86400.0)


@pytest.fixture
def greet(registry: Registry) -> JobDefinition[..., Any]:
    @registry.job
    async def greet(name: str, *, loud: bool = False, extra: list[int] | None = None) -> None: ...

    return greet


# refused


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"run_at": datetime(2026, 1, 1)}, "run_at has no time zone"),
        ({"run_at": WHEN, "delay": 5}, "delay and run_at both say when"),
        ({"tags": "urgent"}, "tags is the text 'urgent'; give a list"),
        ({"priority": 32768}, "priority is 32768; it must lie between -32768 and 32767"),
        ({"priority": -32769}, "must lie between"),
        ({"max_retries": -1}, "max_retries is -1; it must lie between 0 and 1,000,000"),
        ({"max_retries": 10**9}, "it must lie between 0 and 1,000,000"),
        ({"tags": ["t"] * 65}, "there are 65 tags; a job has at most 64"),
        ({"tags": ["t" * 257]}, "has 257 characters; a tag has 1 to 256"),
        ({"tags": [""]}, "has 0 characters; a tag has 1 to 256"),
        ({"delay": 1e12}, "delay is 1000000000000.0; a duration is at most a hundred years"),
        ({"run_at": datetime.max.replace(tzinfo=timezone(timedelta(hours=-5)))}, "outside of the years 1 to 9999"),
        ({"run_at": "2026-01-01"}, "run_at is '2026-01-01'; it must be of type datetime"),
        ({"priority": "5"}, "priority is '5'; it must be of type int"),
        ({"priority": 1.5}, "priority is 1.5; it must be of type int"),
        ({"max_retries": 1.5}, "max_retries is 1.5; it must be of type int"),
        ({"queue": 5}, "queue is 5; it must be of type str"),
        ({"metadata": 5}, "metadata is 5; it must be of type Mapping"),
        ({"scope": "x"}, "scope is 'x'; it must be of type Scope"),
        ({"tags": 5}, "tags is 5; give a list of texts"),
        ({"tags": [1]}, r"tags is \[1\]; give a list of texts"),
        ({"idempotency_key": ""}, "idempotency_key is empty"),
        ({"unique": ""}, "unique is empty"),
        ({"delay": "soon"}, "delay: 'soon' is not a duration"),
        ({"delay": -1}, "delay is -1; it must be a finite duration that is not negative"),
        ({"timeout": float("nan")}, "timeout is nan"),
        ({"expires_in": float("inf")}, "expires_in is inf"),
        ({"timeout": 0}, "timeout is 0, which no attempt can meet"),
        ({"queue": "two words"}, "'two words' is no queue name"),
        ({"queue": ""}, "'' is no queue name"),
        ({"on_conflict": "repalce"}, "on_conflict is 'repalce'; it is one of return, raise, skip, replace"),
        ({"unique_until": "end"}, "unique_until is 'end'; it is one of finish, start"),
        ({"prioriti": 1}, "there is no option 'prioriti'; did you mean 'priority'"),
        ({"qqq": 1}, "there is no option 'qqq'; there are queue, priority"),
    ],
)
def test_an_option_that_makes_no_sense_is_refused_where_it_is_given(
    greet: JobDefinition[..., Any], options: Any, message: str
) -> None:
    with pytest.raises(InvalidArguments, match=message):
        greet.options(**options)


def test_at_import_the_same_mistake_names_the_job(registry: Registry) -> None:
    def work() -> None: ...

    with pytest.raises(InvalidDefinition, match="@job on work: timeout: 'soon' is not a duration"):
        registry.job(timeout="soon")(work)
    with pytest.raises(
        InvalidDefinition, match="@job on work: there is no option 'retries'; did you mean 'max_retries'"
    ):
        registry.job(retries=3)(work)  # type: ignore[call-overload]
    assert registry.jobs == {}


@pytest.mark.parametrize("priority", [-32768, 0, 32767])
def test_every_priority_in_range_is_taken(greet: JobDefinition[..., Any], priority: int) -> None:
    assert row(greet.options(priority=priority), "x").priority == priority


# merged


def test_an_option_of_the_call_wins_over_the_decorator_s(registry: Registry) -> None:
    @registry.job(queue="mails", priority=1, delay=60, tags=["a"], metadata={"k": 1, "l": 1})
    async def work() -> None: ...

    plain = row(work)
    assert (plain.queue, plain.priority, plain.delay, plain.tags) == ("mails", 1, 60, ("a",))
    chosen = row(work.options(queue="fast", tags=["b", "a"], metadata={"k": 2}).options(priority=9))
    assert (chosen.queue, chosen.priority, chosen.delay) == ("fast", 9, 60)
    assert chosen.tags == ("a", "b")
    assert chosen.metadata == {"k": 2, "l": 1}


def test_when_a_call_says_when_the_definition_s_when_is_forgotten(registry: Registry) -> None:
    @registry.job(delay=60)
    async def work() -> None: ...

    assert (row(work.options(run_at=WHEN)).delay, row(work.options(run_at=WHEN)).run_at) == (None, WHEN)
    assert row(work.options(run_at=WHEN).options(delay="5s")).run_at is None


def test_a_time_in_another_zone_is_stored_in_utc(greet: JobDefinition[..., Any]) -> None:
    there = WHEN.astimezone(timezone(timedelta(hours=-7)))
    stored = row(greet.options(run_at=there), "x").run_at
    assert stored == WHEN
    assert stored is not None
    assert stored.tzinfo is UTC


def test_what_the_worker_can_take_from_its_definition_is_left_open(registry: Registry) -> None:
    @registry.job(max_retries=7, timeout="5s", backoff=Constant(1), keep_result=False)
    async def work() -> None: ...

    stored = row(work)
    assert (stored.max_retries, stored.timeout, stored.backoff, stored.keep_result) == (None, None, None, None)
    chosen = row(work.options(max_retries=0, timeout=9, backoff=Constant("2s"), keep_result=True))
    assert (chosen.max_retries, chosen.timeout, chosen.keep_result) == (0, 9.0, True)
    assert chosen.backoff == {"kind": "constant", "interval": 2.0}


def test_a_call_without_options_brings_nothing_but_itself(greet: JobDefinition[..., Any]) -> None:
    stored = row(greet, "x")
    assert stored == NewJob(stored.id, "greet", b'{"name":"x"}', "default")


def test_a_call_belongs_to_the_scope_it_is_made_in_unless_it_names_one(greet: JobDefinition[..., Any]) -> None:
    here = Scope("shop", "t-1")
    assert row(greet, "x", scope=here).scope == here
    assert row(greet.options(scope=Scope("shop", "t-2")), "x", scope=here).scope.org_id == "t-2"
    assert row(greet.options(scope=Scope()), "x", scope=here).scope == Scope()


# unique


def key_of(door: JobDefinition[..., Any] | BoundJob[..., Any], *args: Any, **kwargs: Any) -> str:
    unique = row(door, *args, **kwargs).unique
    assert unique is not None
    return unique.key


def test_unique_true_is_unique_by_all_arguments(greet: JobDefinition[..., Any]) -> None:
    once = greet.options(unique=True)
    assert key_of(once, "x") == key_of(once, name="x")
    assert key_of(once, "x") != key_of(once, "y")
    assert key_of(once, "x", loud=True) != key_of(once, "x")


def test_unique_by_a_value_or_a_function_of_the_arguments(greet: JobDefinition[..., Any]) -> None:
    assert key_of(greet.options(unique="a"), "x") == key_of(greet.options(unique="a"), "y") == "|greet|a"
    by_name = greet.options(unique=lambda name: name.lower())
    assert key_of(by_name, "X") == key_of(by_name, "x", loud=True) == "|greet|x"
    by_both = greet.options(unique=lambda name, loud: (name, loud))
    assert key_of(by_both, "x") == key_of(by_both, "x", loud=False)
    assert key_of(by_both, "x") != key_of(by_both, "x", loud=True)


def test_a_function_may_name_any_of_the_arguments(greet: JobDefinition[..., Any]) -> None:
    assert key_of(greet.options(unique=lambda loud: f"loud-{loud}"), "x") == "|greet|loud-False"


@pytest.mark.parametrize("value", [True, False, 0, "", 1.5, UUID(int=1), ("a", 1), {"b": 1, "a": 2}, {"x", "y", "z"}])
def test_whatever_a_function_answers_is_a_key_of_its_own(greet: JobDefinition[..., Any], value: Any) -> None:
    keys = {key_of(greet.options(unique=lambda name: value), name) for name in ("x", "y")}
    assert len(keys) == 1
    assert keys != {key_of(greet.options(unique=lambda name: "other"), "x")}


def test_a_key_is_the_same_in_every_process(greet: JobDefinition[..., Any]) -> None:
    assert key_of(greet.options(unique=lambda name: {"b", "a", "c"}), "x") == '|greet|["a", "b", "c"]'
    with pytest.raises(InvalidArguments, match="object cannot be a unique key"):
        key_of(greet.options(unique=lambda name: object()), "x")


def test_a_function_that_answers_none_is_refused(greet: JobDefinition[..., Any]) -> None:
    with pytest.raises(InvalidArguments, match="the unique rule returned None"):
        row(greet.options(unique=lambda name: None), "x")


def test_a_rule_with_more_arguments_than_the_job_is_refused(registry: Registry) -> None:
    def work(a: int) -> None: ...

    with pytest.raises(InvalidDefinition, match="the unique rule takes 2 arguments, the job fewer"):
        registry.job(unique=lambda x, y: x)(work)


def test_keys_of_tenants_and_of_other_jobs_are_apart(registry: Registry, greet: JobDefinition[..., Any]) -> None:
    @registry.job(unique="a")
    async def other() -> None: ...

    same = greet.options(unique="a")
    assert key_of(other) != key_of(same, "x")
    assert key_of(same, "x", scope=Scope("shop", "t-1")) == "shop/t-1|greet|a"


def test_a_long_key_is_stored_short(greet: JobDefinition[..., Any]) -> None:
    assert len(key_of(greet.options(unique="k" * 5000), "x")) < 128
    assert key_of(greet.options(unique="k" * 5000), "x") != key_of(greet.options(unique="k" * 5001), "x")


def test_the_rules_around_a_key_reach_the_row(greet: JobDefinition[..., Any]) -> None:
    unique = row(greet.options(unique=7, on_conflict="replace", unique_for="1h", unique_until="start"), "x").unique
    assert unique is not None
    assert (unique.key, unique.on_conflict, unique.hold_for, unique.until) == ("|greet|7", "replace", 3600.0, "start")
    plain = row(greet.options(unique=7), "x").unique
    assert plain is not None
    assert (plain.on_conflict, plain.hold_for, plain.until) == ("return", None, "finish")


def test_one_call_can_switch_uniqueness_off(registry: Registry) -> None:
    @registry.job(unique=True)
    async def work() -> None: ...

    assert row(work).unique is not None
    assert row(work.options(unique=False)).unique is None


# idempotency


def test_the_fingerprint_is_of_name_and_arguments_and_not_of_options(greet: JobDefinition[..., Any]) -> None:
    first = row(greet.options(idempotency_key="order-42"), "x").idempotency
    again = row(greet.options(idempotency_key="order-42", priority=5, delay=3), "x").idempotency
    other = row(greet.options(idempotency_key="order-42"), "y").idempotency
    assert first == again
    assert first is not None
    assert other is not None
    assert (first.key, first.ttl) == ("|order-42", 86400.0)
    assert first.fingerprint != other.fingerprint


def test_options_over_options_take_what_is_said_last() -> None:
    base = EnqueueOptions(queue="a", delay=5, keep_result=False)
    merged = EnqueueOptions(queue="b").over(base)
    assert (merged.queue, merged.delay, merged.keep_result) == ("b", 5.0, False)


def test_a_job_that_would_expire_before_it_is_due_is_refused() -> None:
    options = EnqueueOptions(delay=30, expires_in="10s")
    with pytest.raises(InvalidArguments, match="before the job is due"):
        build_job(name="f", payload=b"{}", options=options, row=options, scope=NO_SCOPE, idempotency_ttl=1.0)
