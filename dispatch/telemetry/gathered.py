"""Histograms that take in many values at once: one by one, an SDK's histogram takes five times as long.

Values wait until there are enough of them or somebody reads, so that a reader never misses one. Taking them in at once
rests on inner names of the SDK, so it is done only where a trial with the installed version shows no difference;
elsewhere every value is recorded by itself.
"""

from __future__ import annotations

import threading
from bisect import bisect_left
from collections import deque
from collections.abc import Sequence
from functools import cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from opentelemetry.metrics import CallbackOptions, Histogram, Observation

MOST = 256
"""Values with the same attributes that wait at most."""


class Spread:
    """A histogram by the values of the attributes that it names.

    Args:
        histogram: where the values go. keys: the names of its attributes.
    """

    def __init__(self, name: str, histogram: Histogram, keys: Sequence[str]) -> None:
        self.name = name
        self._histogram = histogram
        self._keys = tuple(keys)
        self._gathers = _can_fold(type(histogram))
        self._parts: dict[tuple[str, ...], Part] = {}

    def of(self, *values: str) -> Part:
        """Where measurements with these attributes go; for those who have many."""
        part = self._parts.get(values)
        if part is None:
            attributes = dict(zip(self._keys, values, strict=True))
            part = self._parts.setdefault(values, Part(self._histogram, attributes, gathers=self._gathers))
        return part

    def record(self, value: float, *values: str) -> None:
        """Takes a measurement in, from any thread."""
        self.of(*values).record(value)

    def hand_over(self, options: CallbackOptions) -> list[Observation]:
        """Takes in what waits; a callback of an instrument that is read together with the histogram."""
        for part in list(self._parts.values()):
            part.hand_over()
        return []


class Part:
    """What a histogram has with the same attributes."""

    __slots__ = ("_attributes", "_gathers", "_histogram", "_taking", "_waiting")

    def __init__(self, histogram: Histogram, attributes: dict[str, str], *, gathers: bool) -> None:
        self._histogram = histogram
        self._attributes = attributes
        self._gathers = gathers
        self._waiting: deque[float] = deque()
        self._taking = threading.Lock()

    def record(self, value: float, *, at_once: bool = False) -> None:
        """Takes a measurement in, from any thread; `at_once`, the SDK can note the current span beside it."""
        if at_once or not self._gathers:
            self._histogram.record(value, self._attributes)
            return
        self._waiting.append(value)
        if len(self._waiting) >= MOST:
            self.hand_over()

    def hand_over(self) -> None:
        """Takes in what waits."""
        with self._taking:
            found = [self._waiting.popleft() for _ in range(len(self._waiting))]
            if found:
                _fold(self._histogram, dict(self._attributes), found)


class _Measured:
    """What an aggregation looks at of a measurement without an exemplar."""

    __slots__ = ("value",)
    value: float


def _fold(histogram: Any, attributes: dict[str, Any], values: list[float]) -> None:
    """`histogram.record` for each value, but each aggregation is looked up once."""
    from opentelemetry.sdk.metrics._internal._view_instrument_match import _hash_attributes
    from opentelemetry.sdk.metrics._internal.aggregation import _ExplicitBucketHistogramAggregation

    if not histogram._is_enabled():
        return
    measured = _Measured()
    for storage in histogram._measurement_consumer._reader_storages.values():
        for match in storage._get_or_init_view_instrument_match(histogram):
            kept = match._view._attribute_keys
            chosen = attributes if kept is None else {key: attributes[key] for key in attributes if key in kept}
            key = _hash_attributes(chosen)
            with match._lock:
                aggregation = match._get_or_create_aggregation(key, chosen)
                if type(aggregation) is _ExplicitBucketHistogramAggregation:
                    _count(aggregation, values)
                else:
                    for measured.value in values:
                        aggregation.aggregate(measured, False)


def _count(aggregation: Any, values: list[float]) -> None:
    """`aggregation.aggregate` for each value, in a fifth of the time."""
    with aggregation._lock:
        if aggregation._value is None:
            aggregation._value = aggregation._get_empty_bucket_counts()
        aggregation._sum += sum(values)
        if aggregation._record_min_max:
            aggregation._min = min(aggregation._min, *values)
            aggregation._max = max(aggregation._max, *values)
        counts, boundaries = aggregation._value, aggregation._boundaries
        for value in values:
            counts[bisect_left(boundaries, value)] += 1


@cache
def _can_fold(kind: type) -> bool:
    """Whether values that such a histogram takes in at once are read as if each had been recorded, in a trial with a
    provider that nobody else sees."""
    if not kind.__module__.startswith("opentelemetry.sdk."):
        return False
    try:
        from opentelemetry.sdk.metrics import MeterProvider
        from opentelemetry.sdk.metrics.export import InMemoryMetricReader
        from opentelemetry.sdk.resources import Resource

        reader = InMemoryMetricReader()
        provider = MeterProvider([reader], resource=Resource.get_empty(), shutdown_on_exit=False)
        one_by_one, at_once = (provider.get_meter("trial").create_histogram(name) for name in ("a", "b"))
        values = [0.5, 7.0, 7.5, 20_000.0]
        for value in values:
            one_by_one.record(value, {"c": "d"})
        _fold(at_once, {"c": "d"}, values[:2])
        _fold(at_once, {"c": "d"}, values[2:])
        data: Any = reader.get_metrics_data()
        (metrics,) = (scope.metrics for resource in data.resource_metrics for scope in resource.scope_metrics)
        first, second = ([_facts(point) for point in metric.data.data_points] for metric in metrics)
        provider.shutdown()
        return type(at_once) is kind and len(first) == 1 and first == second
    except Exception:  # another version of the SDK, then
        return False


def _facts(point: Any) -> tuple[object, ...]:
    return (dict(point.attributes), point.count, point.sum, point.min, point.max, list(point.bucket_counts))
