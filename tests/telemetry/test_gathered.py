"""What a histogram takes in at once is read as if it had been recorded one by one."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import pytest
from opentelemetry import metrics
from opentelemetry.metrics import CallbackOptions
from opentelemetry.sdk.metrics import Histogram, MeterProvider
from opentelemetry.sdk.metrics.export import AggregationTemporality, InMemoryMetricReader
from opentelemetry.sdk.metrics.view import (
    ExplicitBucketHistogramAggregation,
    ExponentialBucketHistogramAggregation,
    View,
)

from dispatch.telemetry import gathered, instruments
from dispatch.telemetry.gathered import MOST, Spread


@pytest.fixture
def reader() -> InMemoryMetricReader:
    return InMemoryMetricReader()


@pytest.fixture
def provider(reader: InMemoryMetricReader) -> Iterator[MeterProvider]:
    provider = MeterProvider([reader])
    yield provider
    provider.shutdown()


def points(reader: InMemoryMetricReader, name: str) -> list[Any]:
    data: Any = reader.get_metrics_data()
    scopes = [] if data is None else [scope for resource in data.resource_metrics for scope in resource.scope_metrics]
    return [
        point
        for scope in scopes
        for metric in scope.metrics
        if metric.name == name
        for point in metric.data.data_points
    ]


def wait(reader: InMemoryMetricReader) -> list[tuple[dict[str, Any], int]]:
    return [(dict(point.attributes), point.count) for point in points(reader, "dispatch.job.wait")]


def test_the_installed_sdk_takes_in_many_at_once(provider: MeterProvider) -> None:
    assert instruments(provider).duration._gathers


def test_a_reader_misses_nothing_of_what_waits_and_reads_nothing_twice(
    provider: MeterProvider, reader: InMemoryMetricReader
) -> None:
    made = instruments(provider)
    for number in range(MOST + 3):
        made.wait.record(number, "a", "q")
    made.wait.record(1.0, "b", "q")
    a, b = {"name": "a", "queue": "q"}, {"name": "b", "queue": "q"}
    assert wait(reader) == wait(reader) == [(a, MOST + 3), (b, 1)]
    made.wait.record(1.0, "a", "q")
    assert wait(reader) == [(a, MOST + 4), (b, 1)]
    point = points(reader, "dispatch.job.wait")[0]
    assert (point.sum, point.min, point.max) == (sum(range(MOST + 3)) + 1, 0, MOST + 2)
    assert sum(point.bucket_counts) == MOST + 4


def test_each_of_several_readers_reads_all_of_it() -> None:
    delta = InMemoryMetricReader({Histogram: AggregationTemporality.DELTA})
    cumulative = InMemoryMetricReader()
    provider = MeterProvider([delta, cumulative])
    made = instruments(provider)
    for expected in ((2, 2), (2, 4)):
        for _ in range(2):
            made.wait.record(1.0, "a", "q")
        assert tuple(wait(reader)[0][1] for reader in (delta, cumulative)) == expected
    provider.shutdown()


def test_views_are_obeyed(reader: InMemoryMetricReader) -> None:
    views = [
        View(instrument_name="dispatch.job.wait", attribute_keys={"queue"}),
        View(instrument_name="dispatch.job.duration", aggregation=ExponentialBucketHistogramAggregation()),
    ]
    provider = MeterProvider([reader], views=views)
    made = instruments(provider)
    for name in ("a", "b"):
        made.wait.record(1.0, name, "q")
        made.duration.record(1.0, name, "q", "completed")
    assert wait(reader) == [({"queue": "q"}, 2)]
    assert [(point.count, point.scale) for point in points(reader, "dispatch.job.duration")] == [(1, 20), (1, 20)]
    provider.shutdown()


def test_values_beside_and_on_the_boundaries_are_counted_where_the_sdk_counts_them(
    reader: InMemoryMetricReader,
) -> None:
    views = [
        View(instrument_name=name, aggregation=ExplicitBucketHistogramAggregation((1.0, 5.0), record_min_max=extremes))
        for name, extremes in (("dispatch.job.wait", False), ("dispatch.job.duration", True))
    ]
    provider = MeterProvider([reader], views=views)
    made = instruments(provider)
    for value in (0.5, 1.0, 1.5, 5.0, 9.0, 9.5):
        made.wait.record(value, "a", "q")
        made.duration.record(value, "a", "q", "completed")
    (waits,), (durations,) = points(reader, "dispatch.job.wait"), points(reader, "dispatch.job.duration")
    assert list(waits.bucket_counts) == list(durations.bucket_counts) == [2, 2, 2]
    assert (waits.sum, waits.count, durations.min, durations.max) == (26.5, 6, 0.5, 9.5)
    assert (waits.min, waits.max) == (float("inf"), float("-inf"))
    provider.shutdown()


def test_nothing_is_lost_between_threads_that_record_and_one_that_reads(
    provider: MeterProvider, reader: InMemoryMetricReader
) -> None:
    made, rounds = instruments(provider), 20 * MOST
    ready = threading.Barrier(4)

    def record() -> None:
        ready.wait()
        for _ in range(rounds):
            made.wait.record(1.0, "a", "q")

    threads = [threading.Thread(target=record) for _ in range(3)]
    for thread in threads:
        thread.start()
    ready.wait()
    while any(thread.is_alive() for thread in threads):
        wait(reader)
    assert wait(reader) == [({"name": "a", "queue": "q"}, 3 * rounds)]


def test_a_histogram_of_another_kind_records_one_by_one(
    provider: MeterProvider, reader: InMemoryMetricReader, monkeypatch: pytest.MonkeyPatch
) -> None:
    nobody = metrics.NoOpMeterProvider().get_meter("x").create_histogram("y")
    assert not Spread("y", nobody, ("name",))._gathers

    def changed(*args: object) -> None:
        raise AttributeError("renamed")

    monkeypatch.setattr(gathered, "_fold", changed)
    gathered._can_fold.cache_clear()
    try:
        histogram = provider.get_meter("x").create_histogram("z")
        spread = Spread("z", histogram, ("name",))
    finally:
        gathered._can_fold.cache_clear()
    spread.record(1.0, "a")
    assert spread.hand_over(CallbackOptions()) == []
    assert [point.count for point in points(reader, "z")] == [1]
