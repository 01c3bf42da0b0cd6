"""Clocks that never run backwards, exact microseconds, and the spelling of durations."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import time_machine
from hypothesis import given
from hypothesis import strategies as st

from dispatch.clock import ManualClock, SystemClock, boot_seconds, from_micros, micros, seconds, utc_now


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (0, 0.0),
        (2, 2.0),
        (0.25, 0.25),
        (timedelta(minutes=1, milliseconds=5), 60.005),
        ("30s", 30.0),
        ("0.4s", 0.4),
        (".5s", 0.5),
        ("150ms", 0.15),
        ("10us", 1e-5),
        ("5m", 300.0),
        ("2h", 7200.0),
        ("7d", 604800.0),
        ("1w", 604800.0),
        ("1h30m", 5400.0),
        ("1d12h", 129600.0),
        ("2 h", 7200.0),
        (" 30s ", 30.0),
        ("90", 90.0),
        ("1.5", 1.5),
    ],
)
def test_a_duration_is_seconds_a_timedelta_or_text(value: Any, expected: float) -> None:
    assert seconds(value) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("text", ["", "s", "5 minutes", "1h 30m x", "h1", "1hh", "five", "5M", "1,5s", "٣s"])
def test_text_that_is_no_duration_says_what_would_be(text: str) -> None:
    with pytest.raises(
        ValueError, match=r"is not a duration; write seconds or a number with a unit: 0.4s 30s 5m 2h 7d"
    ):
        seconds(text)


@given(st.datetimes(min_value=datetime(1800, 1, 1), max_value=datetime(9000, 1, 1)))
def test_microseconds_are_exact(moment: datetime) -> None:
    aware = moment.replace(tzinfo=UTC)
    assert from_micros(micros(aware)) == aware


def test_a_clock_set_back_a_little_stands_still_until_time_has_caught_up() -> None:
    start = datetime(2026, 1, 1, 12, tzinfo=UTC)
    with time_machine.travel(start, tick=False) as traveller:
        clock = SystemClock()
        assert clock.now() == start
        traveller.move_to(start - timedelta(seconds=59))
        assert clock.now() == start
        traveller.move_to(start + timedelta(seconds=1))
        assert clock.now() == start + timedelta(seconds=1)


def test_a_clock_set_back_a_lot_is_followed() -> None:
    start = datetime(2026, 1, 1, 12, tzinfo=UTC)
    with time_machine.travel(start, tick=False) as traveller:
        clock = SystemClock()
        clock.now()
        traveller.move_to(start - timedelta(hours=1))
        assert clock.now() == start - timedelta(hours=1)


def test_the_manual_clock_moves_only_when_told() -> None:
    clock = ManualClock()
    start = clock.now()
    assert clock.now() == start
    assert clock.advance(1.5) == start + timedelta(seconds=1.5)
    assert clock.advance(timedelta(days=1)) == clock.now()


def test_times_are_aware_and_boot_time_rises() -> None:
    assert utc_now().tzinfo is UTC
    assert SystemClock().now().tzinfo is UTC
    first = boot_seconds()
    assert boot_seconds() >= first > 0
