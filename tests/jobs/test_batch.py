"""Rows of many calls at once are the rows that each call makes alone."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from dispatch import Limit
from dispatch.backoff import Constant
from dispatch.jobs.batch import new_jobs
from dispatch.jobs.definition import Call, JobDefinition
from dispatch.jobs.model import NewJob
from dispatch.registry import Registry
from dispatch.scope import Scope

HERE = Scope("shop", "t-1")


@pytest.fixture
def greet(registry: Registry) -> JobDefinition[..., Any]:
    @registry.job
    async def greet(name: str) -> None: ...

    return greet


@pytest.fixture
def mail(registry: Registry) -> JobDefinition[..., Any]:
    @registry.job(queue="mails", max_retries=3, timeout=30, priority=2, metadata={"team": "a"}, tags=["x"])
    async def mail(name: str) -> None: ...

    return mail


def made(calls: list[Call[Any]], metadata: dict[str, Any] | None = None) -> list[NewJob]:
    return new_jobs(calls, scope=HERE, idempotency_ttl=60.0, metadata=metadata or {})


def agree(calls: list[Call[Any]], metadata: dict[str, Any] | None = None) -> None:
    """Fails unless each row is what its call makes alone, but for the id."""
    together = made(calls, metadata)
    alone = [call.new_job(scope=HERE, idempotency_ttl=60.0, metadata=metadata or {}) for call in calls]
    assert [replace(one, id=other.id) for one, other in zip(together, alone, strict=True)] == alone
    ids = [job.id for job in together]
    assert ids == sorted(set(ids))


def batch(door: Any, n: int = 3) -> list[Call[Any]]:
    """What `enqueue_many` makes of pairs."""
    calls: list[Call[Any]] = door._calls([((f"n{i}",), {}) for i in range(n)])
    return calls


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"queue": "q", "priority": -1, "delay": 5, "expires_in": 60},
        {"run_at": datetime(2026, 11, 22, tzinfo=UTC), "max_retries": 0, "keep_result": False, "timeout": 9},
        {"metadata": {"k": [1]}, "tags": ["a", "b"], "scope": Scope("other", "t-2")},
        {"unique": True, "unique_for": 10},
        {"unique": lambda name: name.upper(), "on_conflict": "replace"},
        {"idempotency_key": "order-1"},
        {"concurrency": Limit(key=lambda name: name, max=2)},
        {"backoff": Constant(3)},
    ],
    ids=["none", "place", "time", "texts", "unique", "unique by", "idempotency", "concurrency", "backoff"],
)
def test_each_row_is_the_one_that_its_call_makes_alone(
    greet: JobDefinition[..., Any], mail: JobDefinition[..., Any], options: dict[str, Any]
) -> None:
    for definition in (greet, mail):
        calls = batch(definition.options(**options) if options else definition)
        agree(calls)
        agree(calls, {"traceparent": "00-1"})


def test_calls_of_several_jobs_and_with_several_options_are_told_apart(
    greet: JobDefinition[..., Any], mail: JobDefinition[..., Any]
) -> None:
    agree([*batch(greet, 2), *batch(mail, 2), *batch(greet, 1)])
    agree([*batch(mail, 2), mail.options(queue="other").call("eve"), mail.call("bob")])
    agree([greet.options(delay=5).call("ada"), greet.options(delay=6).call("bob")])
    agree([greet.call("ada")])
    agree([])


def test_a_row_shares_its_metadata_with_no_other(greet: JobDefinition[..., Any], mail: JobDefinition[..., Any]) -> None:
    for definition in (greet, mail):
        first, second, third = made(batch(definition), {"k": 1} if definition is mail else None)
        for job in (first, second):
            assert isinstance(job.metadata, dict)
            job.metadata["mine"] = job.id
        assert "mine" not in third.metadata
        assert first.metadata != second.metadata


def test_options_that_add_to_the_definition_s_are_found_once_for_a_batch(mail: JobDefinition[..., Any]) -> None:
    one, two, _ = batch(mail.options(metadata={"k": 1}))
    assert one.effective is two.effective
    assert one.effective.metadata == {"team": "a", "k": 1}
