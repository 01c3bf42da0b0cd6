"""Measurements of attempts."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import pytest
from opentelemetry import trace
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import TracerProvider

from dispatch import telemetry
from dispatch.errors import HandlerTimeout, Snooze
from dispatch.jobs.model import Job
from dispatch.middleware import Metrics, Timeout, Tracing, chain

MakeJob = Callable[..., Job]


@pytest.fixture
def reader() -> InMemoryMetricReader:
    return InMemoryMetricReader()


@pytest.fixture
def provider(reader: InMemoryMetricReader) -> Iterator[MeterProvider]:
    provider = MeterProvider([reader])
    yield provider
    provider.shutdown()


def read(reader: InMemoryMetricReader) -> dict[str, list[Any]]:
    data = reader.get_metrics_data()
    assert data is not None
    return {
        metric.name: list(metric.data.data_points)
        for resource in data.resource_metrics
        for scope in resource.scope_metrics
        for metric in scope.metrics
    }


async def test_a_completed_attempt_is_counted_with_duration_and_wait(
    provider: MeterProvider, reader: InMemoryMetricReader, make_job: MakeJob
) -> None:
    async def handler(job: Job) -> str:
        return "done"

    job = make_job()
    job.started_at = job.run_at + timedelta(seconds=3)
    assert await chain([Metrics(provider)], handler)(job) == "done"
    points = read(reader)
    assert set(points) == {"dispatch.worker.running", "dispatch.job.duration", "dispatch.job.wait"}
    duration, wait = (points[f"dispatch.job.{name}"][0] for name in ("duration", "wait"))
    (running,) = points["dispatch.worker.running"]
    assert (running.value, dict(running.attributes)) == (0, {"name": "mail.send", "queue": "mails"})
    assert dict(duration.attributes) == {"name": "mail.send", "queue": "mails", "state": "completed"}
    assert (wait.count, wait.sum) == (1, 3.0)
    assert max(wait.explicit_bounds) == 7200


async def test_a_clock_that_ran_backwards_gives_no_negative_wait(
    provider: MeterProvider, reader: InMemoryMetricReader, make_job: MakeJob
) -> None:
    async def handler(job: Job) -> None: ...

    job = make_job()
    job.started_at = job.run_at - timedelta(seconds=3)
    await chain([Metrics(provider)], handler)(job)
    assert read(reader)["dispatch.job.wait"][0].sum == 0


@pytest.mark.parametrize(
    ("error", "state"), [(ValueError(), "failed"), (Snooze(1), "snoozed"), (asyncio.CancelledError(), "cancelled")]
)
async def test_other_endings_are_durations_with_their_state(
    provider: MeterProvider, reader: InMemoryMetricReader, make_job: MakeJob, error: BaseException, state: str
) -> None:
    async def handler(job: Job) -> None:
        raise error

    with pytest.raises(type(error)):
        await chain([Metrics(provider)], handler)(make_job())
    points = read(reader)
    assert "dispatch.job.completed" not in points
    assert [point.attributes["state"] for point in points["dispatch.job.duration"]] == [state]


async def test_a_timeout_is_a_failure(provider: MeterProvider, reader: InMemoryMetricReader, make_job: MakeJob) -> None:
    async def hangs(job: Job) -> None:
        await asyncio.Event().wait()

    with pytest.raises(HandlerTimeout):
        await chain([Timeout(0.01), Metrics(provider)], hangs)(make_job())
    assert read(reader)["dispatch.job.duration"][0].attributes["state"] == "failed"


async def test_the_duration_of_a_long_attempt_is_noted_with_its_span(
    provider: MeterProvider, reader: InMemoryMetricReader, make_job: MakeJob
) -> None:
    current: list[int] = []

    async def handler(job: Job) -> None:
        current.append(trace.get_current_span().get_span_context().span_id)
        await asyncio.sleep(0.02)

    await chain([Tracing(TracerProvider()), Metrics(provider)], handler)(make_job())
    (duration,) = read(reader)["dispatch.job.duration"]
    assert [exemplar.span_id for exemplar in duration.exemplars] == current


def test_instruments_are_made_once_a_provider(provider: MeterProvider) -> None:
    assert telemetry.instruments(provider) is telemetry.instruments(provider)
    other = MeterProvider()
    assert telemetry.instruments(other) is not telemetry.instruments(provider)
    other.shutdown()
