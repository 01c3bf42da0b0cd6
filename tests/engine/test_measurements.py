"""Every measurement that is promised, of jobs, runs, ticks, queues and the worker."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader

from dispatch import Config, Dispatch, Fail, WorkflowContext, testing
from dispatch.backoff import Constant
from dispatch.hookspecs import WorkerService, hookimpl
from dispatch.jobs.model import JobState
from dispatch.observability import LOOK_EVERY, Gauges, MetricsExtension
from dispatch.queues.model import QueueInfo
from dispatch.registry import Registry
from dispatch.scope import use_scope
from dispatch.store import Store
from dispatch.telemetry import instruments

from .conftest import Start
from .facts import eventually
from .family import family


@pytest.fixture
def reader() -> InMemoryMetricReader:
    return InMemoryMetricReader()


@pytest.fixture
def meters(reader: InMemoryMetricReader) -> Iterator[MeterProvider]:
    provider = MeterProvider([reader])
    yield provider
    provider.shutdown()


def values(reader: InMemoryMetricReader) -> dict[str, dict[tuple[tuple[str, Any], ...], Any]]:
    """Instrument → attributes → value (of histograms the count)."""
    data = reader.get_metrics_data()
    assert data is not None
    return {
        metric.name: {
            tuple(sorted((point.attributes or {}).items())): getattr(point, "value", getattr(point, "count", None))
            for point in metric.data.data_points
        }
        for resource in data.resource_metrics
        for scope in resource.scope_metrics
        for metric in scope.metrics
    }


def of(**attributes: str) -> tuple[tuple[str, str], ...]:
    return tuple(sorted(attributes.items()))


async def test_what_becomes_of_jobs_runs_and_ticks_is_counted(
    meters: MeterProvider, reader: InMemoryMetricReader
) -> None:
    registry = Registry()

    @registry.job(queue="q")
    async def good() -> None: ...

    @registry.job(queue="q", max_retries=1, backoff=Constant(1))
    async def bad() -> None:
        raise ValueError("no")

    @registry.job(queue="q")
    async def expected() -> None:
        raise Fail("no", dead_letter=False)

    @registry.cron("* * * * *", name="each")
    @registry.workflow
    async def run(ctx: WorkflowContext) -> None: ...

    async with testing.app(registry, meter_provider=meters) as app:
        await good.enqueue()
        await bad.enqueue()
        await expected.enqueue()
        await (await good.options(delay=1000).enqueue()).cancel()
        await app.travel(60)
        found = values(reader)
    q = {name: found[f"dispatch.job.{name}"] for name in ("enqueued", "completed", "failed", "retried", "dlq")}
    assert q["enqueued"] == {of(name=name, queue="q"): n for name, n in (("good", 2), ("bad", 1), ("expected", 1))}
    assert q["completed"] == {of(name="good", queue="q"): 1}
    assert q["failed"] == {of(name="bad", queue="q"): 1, of(name="expected", queue="q"): 1}
    assert q["retried"] == q["dlq"] == {of(name="bad", queue="q"): 1}
    assert found["dispatch.job.cancelled"] == {of(name="good", queue="q"): 1}
    assert found["dispatch.cron.fired"] == {of(name="each"): 1}
    runs = of(name="run", queue="default")
    assert (found["dispatch.workflow.started"], found["dispatch.workflow.completed"]) == ({runs: 1}, {runs: 1})
    assert found["dispatch.job.duration"][of(name="bad", queue="q", state="failed")] == 2
    assert found["dispatch.job.wait"][of(name="good", queue="q")] == 1
    assert found["dispatch.worker.running"][of(name="good", queue="q")] == 0
    assert found["dispatch.store.call.duration"][of(name="jobs.enqueue")] == 4


async def test_a_worker_looks_at_the_queues_and_its_loop(
    registry: Registry, start: Start, meters: MeterProvider, reader: InMemoryMetricReader
) -> None:
    @registry.job(queue="later")
    async def work() -> None: ...

    app = await start(app={"meter_provider": meters, "queues": ["default"]})
    await app.enqueue(work)
    await eventually(lambda: "dispatch.queue.depth" in values(reader))
    found = values(reader)
    assert set(found["dispatch.queue.depth"]) <= {of(queue="later")}
    assert set(found) >= {"dispatch.queue.oldest_age", "dispatch.worker.loop_lag"}


class CountedRounds:
    """The metrics' look at the queues; tells when the worker has asked for it how often."""

    name = "counted"

    def __init__(self, service: WorkerService) -> None:
        self._service = service
        self.rounds = 0

    async def run_once(self) -> float:
        pause = await self._service.run_once()
        self.rounds += 1
        return pause


class Looking:
    """A plugin: a look at the queues in every worker; it stands in for them and counts how often it is asked."""

    def __init__(self, meters: MeterProvider) -> None:
        self._made = instruments(meters)
        self.looks = 0

    @hookimpl
    def register_services(self, store: Store) -> list[CountedRounds]:
        self.service = CountedRounds(Gauges(cast(Store, SimpleNamespace(queues=self)), self._made))
        return [self.service]

    async def list(self) -> list[QueueInfo]:
        self.looks += 1
        return []


async def test_the_queues_are_looked_at_when_it_is_time_however_often_the_store_changes(
    registry: Registry, start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    @registry.job(queue="later")
    async def work() -> None: ...

    now = 1000.0
    monkeypatch.setattr("dispatch.observability.boot_seconds", lambda: now)
    plugin = Looking(MeterProvider())
    app = await start(app={"plugins": [plugin], "queues": ["default"]})

    async def round_after_a_change() -> None:
        before = plugin.service.rounds
        await app.enqueue(work)
        await eventually(lambda: plugin.service.rounds > before)

    for looks in (1, 2):
        for _ in range(4):
            await round_after_a_change()
        assert plugin.looks == looks
        now += LOOK_EVERY


def test_every_promised_instrument_is_there(meters: MeterProvider) -> None:
    made = instruments(meters)
    names = {getattr(made, field).name for field in made.__slots__}
    assert names == {
        *(f"dispatch.job.{name}" for name in ("enqueued", "completed", "failed", "retried", "dlq", "cancelled")),
        *("dispatch.job.stolen", "dispatch.job.duration", "dispatch.job.wait"),
        *(f"dispatch.workflow.{name}" for name in ("started", "completed", "failed")),
        *("dispatch.cron.fired", "dispatch.cron.missed", "dispatch.store.stale_writes", "dispatch.store.call.duration"),
        *("dispatch.queue.depth", "dispatch.queue.oldest_age", "dispatch.worker.running", "dispatch.worker.loop_lag"),
    }


async def test_the_extension_given_as_a_plugin_brings_its_provider(
    meters: MeterProvider, reader: InMemoryMetricReader
) -> None:
    registry = Registry()

    @registry.job
    async def work() -> None: ...

    async with testing.app(registry, plugins=[MetricsExtension(meters)]) as app:
        await work.enqueue()
        await app.run_until_idle()
        assert app.plugins.names == ["dispatch.observability.MetricsExtension"]
    assert values(reader)["dispatch.job.completed"] == {of(name="work", queue="default"): 1}
    assert "dispatch.job.duration" in values(reader)


async def test_no_attribute_of_a_measurement_is_an_id_or_a_tenant(
    meters: MeterProvider, reader: InMemoryMetricReader
) -> None:
    registry = Registry()
    order = family(registry)
    async with testing.app(registry, meter_provider=meters) as app:
        with use_scope("shop", "t-1"):
            await app.enqueue(order)
        await app.run_until_idle()
    attributes = {pair for points in values(reader).values() for point in points for pair in point}
    assert {key for key, _ in attributes} <= {"name", "queue", "state"}
    assert not [value for _, value in attributes if "_0" in str(value) or "t-1" in str(value)]


def test_a_measured_store_keeps_what_only_some_stores_can_do(meters: MeterProvider, tmp_path: Path) -> None:
    registry = Registry()

    @registry.job
    def work() -> None: ...

    with Dispatch(f"sqlite:///{tmp_path}/a.db", config=Config(), registry=registry, meter_provider=meters) as app:
        assert app.jobs._here is not None
        assert work.sync.enqueue().status() is JobState.PENDING


def test_a_blocking_enqueue_is_counted_in_the_caller_s_thread_unless_a_plugin_needs_the_loop(
    meters: MeterProvider, reader: InMemoryMetricReader, tmp_path: Path
) -> None:
    registry = Registry()

    @registry.job
    def work() -> None: ...

    class Theirs:
        @hookimpl
        def job_enqueued(self) -> None: ...

    url = f"sqlite:///{tmp_path}/a.db"
    with Dispatch(url, config=Config(), registry=registry, meter_provider=meters) as app:
        (answer,) = app.jobs.enqueue_here([work.call()], app.loop) or []
        assert app.sync.jobs.get(answer.id).state is JobState.PENDING
        assert values(reader)["dispatch.job.enqueued"] == {of(name="work", queue="default"): 1}
    with Dispatch(url, config=Config(), registry=registry, meter_provider=meters, plugins=[Theirs()]) as app:
        assert app.jobs.enqueue_here([work.call()], app.loop) is None
