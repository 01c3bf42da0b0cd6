"""Schedules: against a minute-by-minute reference in every zone's changes, against another library, and by hand."""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta
from functools import cache
from zoneinfo import ZoneInfo, available_timezones

import pytest
from cronsim import CronSim

from dispatch.crons.schedule import InvalidSchedule, parse, ticks

MINUTE = timedelta(minutes=1)
FIRST, LAST = datetime(2020, 1, 1, tzinfo=UTC), datetime(2030, 1, 1, tzinfo=UTC)
EXPRESSIONS = ("*/7 * * * *", "30 2 * * *", "0 * * * *", "59 23 * * *", "0 0 * * *", "15 1-3 * * *")


@cache
def changes(zone: ZoneInfo) -> tuple[datetime, ...]:
    """The instants in ten years at which the zone's offset changes, to the minute."""
    found, moment = [], FIRST
    offset = moment.astimezone(zone).utcoffset()
    while moment < LAST:
        after = moment + timedelta(days=1)
        if after.astimezone(zone).utcoffset() != offset:
            step = moment
            while step.astimezone(zone).utcoffset() == offset:
                step += timedelta(minutes=15)
            found.append(step)
            offset = after.astimezone(zone).utcoffset()
        moment = after
    return tuple(found)


@cache
def distinct_zones() -> tuple[tuple[str, tuple[datetime, ...]], ...]:
    """A zone for each sequence of changes that the zones of the world have."""
    seen: dict[tuple[object, ...], tuple[str, tuple[datetime, ...]]] = {}
    for name in sorted(available_timezones() - {"localtime"}):
        zone = ZoneInfo(name)
        found = changes(zone)
        if found:
            signature = (found, *(moment.astimezone(zone).utcoffset() for moment in found))
            seen.setdefault(signature, (name, found))
    return tuple(seen.values())


def matching(expression: str) -> set[tuple[int, int]]:
    """The (hour, minute) pairs of a daily expression, by reading its first two fields."""
    minute, hour, *_ = expression.split()

    def values(field: str, size: int) -> set[int]:
        if field == "*":
            return set(range(size))
        if field.startswith("*/"):
            return set(range(0, size, int(field[2:])))
        low, _, high = field.partition("-")
        return set(range(int(low), int(high or low) + 1))

    return {(h, m) for h in values(hour, 24) for m in values(minute, 60)}


def reference(expression: str, zone: ZoneInfo, start: datetime, end: datetime) -> list[datetime]:
    """The ticks in (start, end], minute by minute: what the wall shows for the first time, and what a gap swallowed."""
    wanted, found = matching(expression), set()
    previous = start.astimezone(zone).replace(tzinfo=None)
    latest = previous
    moment = start
    while moment < end:
        moment += MINUTE
        wall = moment.astimezone(zone).replace(tzinfo=None)
        swallowed = previous + MINUTE
        while swallowed < wall:
            if swallowed > latest and (swallowed.hour, swallowed.minute) in wanted:
                found.add(moment)
            swallowed += MINUTE
        if wall > latest and (wall.hour, wall.minute) in wanted:
            found.add(moment)
        latest = max(latest, wall)
        previous = wall
    return sorted(found)


def test_ticks_around_some_changes_of_every_zone_in_ten_years_equal_the_reference() -> None:
    chosen = random.Random(7)
    compared = 0
    for name, found in distinct_zones():
        zone = ZoneInfo(name)
        for change in chosen.sample(found, 1):
            start, end = change - timedelta(hours=5), change + timedelta(hours=5)
            expression = chosen.choice(EXPRESSIONS)
            expected = reference(expression, zone, start, end)
            assert list(ticks(parse(expression, name), start, end)) == expected, (name, change, expression)
            compared += len(expected)
    assert compared > 300


@pytest.mark.proof
@pytest.mark.timeout(900)
def test_every_expression_around_every_change_equals_the_reference() -> None:
    for name, found in distinct_zones():
        zone = ZoneInfo(name)
        for change in found:
            for expression in EXPRESSIONS:
                start, end = change - timedelta(hours=6), change + timedelta(hours=6)
                expected = reference(expression, zone, start, end)
                assert list(ticks(parse(expression, name), start, end)) == expected, (name, change, expression)


@pytest.mark.parametrize(
    "expression",
    ["*/7 3-9 * * *", "0 0 1 * *", "0 12 * * MON-FRI", "5 4 13 * FRI", "0 0 29 2 *", "0 9 L * *", "30 6 * JAN,JUL 2#1"],
)
def test_without_changes_of_the_clock_ticks_equal_those_of_another_library(expression: str) -> None:
    other = CronSim(expression, datetime(2026, 1, 1, tzinfo=UTC))
    tick = datetime(2026, 1, 1, tzinfo=UTC)
    for _ in range(12):
        following = parse(expression).after(tick)
        assert following is not None
        assert following == next(other)
        tick = following


def test_a_time_that_does_not_exist_ticks_when_the_gap_ends() -> None:
    berlin = parse("30 2 * * *", "Europe/Berlin")
    assert berlin.after(datetime(2026, 3, 28, 12, tzinfo=UTC)) == datetime(2026, 3, 29, 1, 0, tzinfo=UTC)


def test_a_time_that_happens_twice_ticks_the_first_time_only() -> None:
    berlin = parse("30 2 * * *", "Europe/Berlin")
    assert list(ticks(berlin, datetime(2026, 10, 24, 12, tzinfo=UTC), datetime(2026, 10, 26, tzinfo=UTC))) == [
        datetime(2026, 10, 25, 0, 30, tzinfo=UTC)
    ]


def test_every_follows_elapsed_time_from_its_anchor_whatever_the_clock_on_the_wall_does() -> None:
    anchor = datetime(2026, 10, 25, 0, 10, tzinfo=UTC)
    every = parse("@every 40m", "Europe/Berlin", anchor=anchor)
    assert list(ticks(every, anchor, anchor + timedelta(hours=2))) == [
        anchor + timedelta(minutes=40) * number for number in (1, 2, 3)
    ]


def test_a_sixth_field_stands_first_and_means_seconds() -> None:
    assert parse("30 15 3 * * *").after(FIRST) == FIRST.replace(hour=3, minute=15, second=30)


@pytest.mark.parametrize(
    ("expression", "words"),
    [
        ("61 * * * *", "the minute '61' (column 1)"),
        ("0 0 * * 8", "the day of week '8' (column 9)"),
        ("0 25 * * *", "the hour '25' (column 3)"),
        ("0 0 0 32 * *", "the day of month '32' (column 7)"),
        ("* * *", "has 3 fields"),
        ("0 0 30 2 *", "names a date that never comes"),
        ("@dayly", "did you mean @daily?"),
        ("R * * * *", "jitter"),
        ("@every 0s", "less than a second"),
        ("@every nan", "@every nan"),
        ("@every inf", "@every inf"),
        ("@every 3000000d", "more than a hundred years"),
        ("@every soon", "soon"),
        ("", "has 0 fields"),
    ],
)
def test_a_bad_expression_is_answered_with_the_place_of_its_fault(expression: str, words: str) -> None:
    with pytest.raises(InvalidSchedule) as caught:
        parse(expression)
    assert words in str(caught.value)


def test_an_unknown_zone_is_answered_with_the_nearest_one() -> None:
    with pytest.raises(InvalidSchedule, match=r"did you mean Europe/Berlin\?"):
        parse("@daily", "Europe/Berln")
