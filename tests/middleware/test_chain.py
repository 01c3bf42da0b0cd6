"""Composition: the order, the empty chain, and what the standard chain leaves out."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.trace import TracerProvider

from dispatch.jobs.model import Job
from dispatch.middleware import Middleware, Next, chain, standard

MakeJob = Callable[..., Job]


async def handler(job: Job) -> str:
    return f"ran {job.name}"


def named(name: str, seen: list[str]) -> Middleware:
    async def middleware(job: Job, call_next: Next) -> Any:
        seen.append(f"{name} in")
        result = await call_next(job)
        seen.append(f"{name} out")
        return result

    return middleware


def test_an_empty_chain_is_the_handler_itself() -> None:
    assert chain([], handler) is handler


async def test_the_first_middleware_is_outermost(make_job: MakeJob) -> None:
    seen: list[str] = []
    assert await chain([named("a", seen), named("b", seen)], handler)(make_job()) == "ran mail.send"
    assert seen == ["a in", "b in", "b out", "a out"]


async def test_a_middleware_may_answer_without_calling_on(make_job: MakeJob) -> None:
    async def cached(job: Job, call_next: Next) -> Any:
        return "from the cache"

    assert await chain([cached], handler)(make_job()) == "from the cache"


async def test_a_composed_chain_runs_many_jobs(make_job: MakeJob) -> None:
    composed = chain(standard(), handler)
    assert [await composed(make_job(name=name)) for name in ("a", "b")] == ["ran a", "ran b"]


def test_the_standard_chain_holds_what_is_configured_in_the_documented_order() -> None:
    def kinds(members: list[Middleware]) -> list[str]:
        return [type(member).__name__ for member in members]

    assert kinds(standard()) == ["Logging", "Recover", "Timeout", "ScopeMiddleware"]
    tracers, meters = TracerProvider(), MeterProvider()
    assert kinds(standard(tracer_provider=tracers, meter_provider=meters)) == [
        "Logging",
        "Recover",
        "Timeout",
        "Tracing",
        "Metrics",
        "ScopeMiddleware",
    ]
    tracers.shutdown()
    meters.shutdown()


@pytest.mark.slow
def test_nothing_imports_opentelemetry_until_a_provider_is_used() -> None:
    code = """
import sys
from dispatch import plugins, telemetry
from dispatch.middleware import standard
standard()
metadata = {}
telemetry.inject(metadata)
assert metadata == {}
assert telemetry.extract({}) is None
assert telemetry.global_tracer_provider() is None
assert telemetry.global_meter_provider() is None
assert not [name for name in sys.modules if name.startswith("opentelemetry")]
"""
    subprocess.run([sys.executable, "-c", code], check=True)
