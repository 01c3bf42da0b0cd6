"""What timetables will bring: ticks by the minute, and what changes of the clock do to them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import islice

import pytest

from dispatch.crons.forecast import Collision, collisions, load
from dispatch.crons.schedule import parse, ticks

YEAR = datetime(2026, 1, 1, tzinfo=UTC)
DAY = timedelta(days=1)


@pytest.mark.parametrize(
    ("schedule", "ticks_a_day", "fullest"),
    [
        ("0 3 * * *", 1, 1),
        ("*/5 * * * *", 288, 1),
        ("* * * * *", 1440, 1),
        ("* * * * * *", 86_400, 60),
        ("*/20 * 9 * * *", 180, 3),
        ("@every 1s", 86_400, 60),
        ("@every 90s", 960, 1),
        ("0 0 1 2 *", 0, 0),
    ],
)
def test_a_day_of_a_schedule_is_counted_by_the_minute(schedule: str, ticks_a_day: int, fullest: int) -> None:
    after = YEAR - timedelta(seconds=1)
    found = load(schedule, "UTC", after=after, until=after + DAY)
    assert found.total() == ticks_a_day
    assert max(found.values(), default=0) == fullest
    assert all(minute.second == 0 for minute in found)


def test_a_schedule_by_the_second_is_counted_as_its_ticks_are() -> None:
    after = datetime(2026, 3, 27, 23, 59, 59, tzinfo=UTC)
    until = after + timedelta(hours=3)
    for schedule in ("*/7 */13 * * * *", "30 * * * * *", "0,1,2 0 2,3 * * *"):
        found = load(schedule, "Europe/Berlin", after=after, until=until)
        assert found.total() == sum(1 for _ in ticks(parse(schedule, "Europe/Berlin"), after, until))


def test_times_in_the_gap_and_in_the_repeated_hour_are_found() -> None:
    found = list(collisions("30 2 * * *", "Europe/Berlin", after=YEAR, until=YEAR + 366 * DAY))
    assert found == [
        Collision("gap", datetime(2026, 3, 29, 2, 30), 1, datetime(2026, 3, 29, 1, 0, tzinfo=UTC)),
        Collision("fold", datetime(2026, 10, 25, 2, 30), 1, datetime(2026, 10, 25, 0, 30, tzinfo=UTC)),
    ]
    for one in found:
        on_that_day = datetime.combine(one.wall, datetime.min.time(), UTC)
        (tick,) = ticks(parse("30 2 * * *", "Europe/Berlin"), on_that_day - timedelta(hours=1), on_that_day + DAY / 2)
        assert tick == one.fires_at


@pytest.mark.parametrize(
    ("schedule", "zone", "counts"),
    [
        ("*/15 * * * *", "America/New_York", [4, 4]),
        ("0 12 * * *", "America/New_York", []),
        ("*/15 * * * *", "Australia/Lord_Howe", [2, 2]),
        ("*/15 * * * *", "Asia/Tokyo", []),
        ("@every 15m", "America/New_York", []),
    ],
)
def test_as_many_times_collide_as_the_clock_is_moved_by(schedule: str, zone: str, counts: list[int]) -> None:
    found = collisions(schedule, zone, after=YEAR, until=YEAR + 365 * DAY)
    assert [one.count for one in found] == counts


@pytest.mark.parametrize("schedule", ["*/15 * * * *", "30 2 * * *", "15 */2 * * * *", "@every 17m"])
@pytest.mark.parametrize("zone", ["Europe/Berlin", "America/New_York", "Australia/Lord_Howe"])
@pytest.mark.parametrize("day", [datetime(2026, 3, 28, 22, tzinfo=UTC), datetime(2026, 10, 24, 22, tzinfo=UTC)])
def test_a_walk_finds_what_asking_again_and_again_finds(schedule: str, zone: str, day: datetime) -> None:
    rule = parse(schedule, zone, anchor=day)
    asked, moment = [], day
    for _ in range(60):
        following = rule.after(moment)
        assert following is not None
        asked.append(moment := following)
    assert list(islice(rule.walk(day), 60)) == asked
