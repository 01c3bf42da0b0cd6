"""Backoff strategies: their tables, and that they stay in bounds however often something fails (I13)."""

from __future__ import annotations

import random
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dispatch import backoff
from dispatch.backoff import Constant, Exponential, ExponentialWithJitter, Linear, Strategy, default_strategy
from dispatch.errors import InvalidDefinition

ATTEMPTS = st.one_of(st.integers(1, 100), st.integers(1, 10**6), st.just(10**6))
LENGTHS = st.floats(0, 10**6)
CHANCES = st.floats(0, 1, exclude_max=True)


def table(strategy: Strategy, attempts: int = 6) -> list[float]:
    return [strategy.delay(n, lambda: 0.5).total_seconds() for n in range(1, attempts + 1)]


@pytest.mark.parametrize(
    ("strategy", "expected"),
    [
        (Constant(3), [3, 3, 3, 3, 3, 3]),
        (Constant("1m"), [60] * 6),
        (Linear(base=2, max=7), [2, 4, 6, 7, 7, 7]),
        (Exponential(base=1, max=10), [1, 2, 4, 8, 10, 10]),
        (Exponential(base=timedelta(seconds=5)), [5, 10, 20, 40, 60, 60]),
        (ExponentialWithJitter(base=1, max=10), [0.5, 1, 2, 4, 5, 5]),
        (default_strategy(), [0.5, 1, 2, 4, 8, 16]),
    ],
)
def test_the_pauses_are_as_documented(strategy: Strategy, expected: list[float]) -> None:
    assert table(strategy) == expected


@given(attempt=ATTEMPTS, base=LENGTHS, ceiling=LENGTHS, chance=CHANCES)
def test_i13_no_pause_leaves_its_bounds_at_any_attempt(
    attempt: int, base: float, ceiling: float, chance: float
) -> None:
    strategies = (Linear(base, ceiling), Exponential(base, ceiling), ExponentialWithJitter(base, ceiling))
    for strategy in strategies:
        pause = strategy.delay(attempt, lambda: chance)
        assert timedelta(0) <= pause <= timedelta(seconds=ceiling) + timedelta(microseconds=1)


@given(attempt=st.integers(1, 10**6))
def test_i13_the_default_stays_within_a_minute(attempt: int) -> None:
    assert timedelta(0) <= default_strategy().delay(attempt) <= timedelta(minutes=1)


def test_jitter_spreads_over_the_whole_range() -> None:
    rng = random.Random(7)
    pauses = [ExponentialWithJitter(base=8, max=8).delay(1, rng.random).total_seconds() for _ in range(400)]
    assert min(pauses) < 0.5
    assert max(pauses) > 7.5
    assert 3.5 < sum(pauses) / len(pauses) < 4.5


@pytest.mark.parametrize(
    "strategy", [Constant("5s"), Linear(2, 9), Exponential(timedelta(seconds=1), "1h"), ExponentialWithJitter(1, 60)]
)
def test_a_strategy_travels_with_a_call_as_a_document(strategy: Strategy) -> None:
    back = backoff.from_json(backoff.to_json(strategy))
    assert type(back) is type(strategy)
    assert table(back, 12) == table(strategy, 12)


def test_a_strategy_of_one_s_own_stays_with_its_definition() -> None:
    class Weekly:
        def delay(self, attempt: int, rng: object = None) -> timedelta:
            return timedelta(weeks=1)

    assert isinstance(Weekly(), Strategy)
    with pytest.raises(InvalidDefinition, match=r"Weekly cannot be stored with one call; give it to @job\(backoff="):
        backoff.to_json(Weekly())


def test_a_subclass_of_a_built_in_is_not_mistaken_for_it() -> None:
    class Doubled(Constant):
        def delay(self, attempt: int, rng: object = None) -> timedelta:
            return timedelta(seconds=2)

    with pytest.raises(InvalidDefinition):
        backoff.to_json(Doubled(1))
