"""When a schedule ticks: cron expressions on a zone's wall clock and `@every` periods, as pure functions of time.

The rule at changes of the clock: a wall time that does not exist ticks at the first instant after the gap, one that
happens twice ticks once, the first time. `@every` follows elapsed time.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import takewhile
from typing import TYPE_CHECKING, Protocol
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError, available_timezones

from dispatch.clock import LONGEST, seconds

if TYPE_CHECKING:
    from croniter import croniter

_EVERY = "@every "
_WORDS = ("@hourly", "@daily", "@midnight", "@weekly", "@monthly", "@yearly", "@annually")
_FIELDS = ("minute", "hour", "day of month", "month", "day of week")
_SECOND = timedelta(seconds=1)
_YEARS_AHEAD = 50
_SOME_MIDNIGHT = datetime(2026, 1, 1, tzinfo=UTC).replace(tzinfo=None)


class InvalidSchedule(ValueError):
    """A schedule or zone that says nothing; the text names the field at fault and its place."""


class Schedule(Protocol):
    """A rule that says when."""

    def after(self, moment: datetime) -> datetime | None:
        """The first tick after `moment` (aware), in UTC; None when there is none."""
        ...

    def walk(self, moment: datetime) -> Iterator[datetime]:
        """Each tick after `moment`, in order."""
        ...


def ticks(schedule: Schedule, after: datetime, until: datetime) -> Iterator[datetime]:
    """The ticks in (after, until], in order."""
    return takewhile(lambda tick: tick <= until, schedule.walk(after))


def parse(expression: str, timezone: str = "UTC", *, anchor: datetime | None = None) -> Schedule:
    """The schedule of an expression.

    Args:
        expression: five fields (minute hour day month weekday), six (second first), a word such as "@daily", or
            "@every 30s".
        timezone: the IANA zone on whose wall clock the fields are read.
        anchor: from when the periods of "@every" are counted; without it they start at the moment asked about.

    Raises:
        InvalidSchedule: the expression or the zone says nothing, or its date never comes.
    """
    zone = zone_of(timezone)
    if expression.startswith(_EVERY):
        return Every(_period(expression), anchor)
    if expression.startswith("@") and expression not in _WORDS:
        near = difflib.get_close_matches(expression, [*_WORDS, "@every"], 1)
        hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(_WORDS)} and @every 30s"
        raise InvalidSchedule(f"{expression!r} is no schedule; {hint}")
    return WallClock(_checked(expression), zone)


class Every:
    """A tick each period of elapsed time."""

    def __init__(self, period: timedelta, anchor: datetime | None = None) -> None:
        self._period = period
        self._anchor = anchor.astimezone(UTC) if anchor else None

    def after(self, moment: datetime) -> datetime:
        """The first multiple of the period, counted from the anchor, after `moment`."""
        moment = moment.astimezone(UTC)
        anchor = self._anchor or moment
        return anchor + self._period * ((moment - anchor) // self._period + 1)

    def walk(self, moment: datetime) -> Iterator[datetime]:
        """Multiples of the period, without end."""
        tick = self.after(moment)
        while True:
            yield tick
            tick += self._period


class WallClock:
    """Cron fields on the wall clock of a zone."""

    def __init__(self, expression: str, zone: ZoneInfo) -> None:
        self._expression = expression
        self._zone = zone

    def after(self, moment: datetime) -> datetime | None:
        """The first tick after `moment`, or None when the fields' date does not come within fifty years."""
        return next(self.walk(moment), None)

    def walk(self, moment: datetime) -> Iterator[datetime]:
        """The ticks after `moment`, until the fields' date does not come within fifty years."""
        from croniter import CroniterBadDateError

        latest = moment.astimezone(UTC)
        walls = _iterator(self._expression, self._wall_before(latest))
        while True:
            try:
                tick = self._instant(walls.get_next(datetime))
            except (CroniterBadDateError, OverflowError):
                return
            if tick > latest:
                yield tick
                latest = tick

    def walls(self, first: datetime, end: datetime) -> Iterator[datetime]:
        """The wall times (naive) in [first, end) that the fields name, whether they exist or not."""
        from croniter import CroniterBadDateError

        walls = _iterator(self._expression, first - timedelta(microseconds=1))
        while True:
            try:
                wall = walls.get_next(datetime)
            except (CroniterBadDateError, OverflowError):
                return
            if wall >= end:
                return
            yield wall

    def _wall_before(self, utc: datetime) -> datetime:
        """The wall time from which to look for the next tick: within an hour that happens twice, its end."""
        local = utc.astimezone(self._zone)
        if not local.fold:
            return local.replace(tzinfo=None)
        back = local.replace(fold=0)
        change = change_between(self._zone, back.astimezone(UTC), utc)
        return (change - _SECOND).astimezone(self._zone).replace(tzinfo=None) + timedelta(microseconds=999_999)

    def _instant(self, wall: datetime) -> datetime:
        """The instant of a wall time: the first of two; of a time that does not exist, the end of the gap."""
        early = wall.replace(tzinfo=self._zone).astimezone(UTC)
        if early.astimezone(self._zone).replace(tzinfo=None) == wall:
            return early
        late = wall.replace(tzinfo=self._zone, fold=1).astimezone(UTC)
        return change_between(self._zone, min(early, late), max(early, late))


def change_between(zone: ZoneInfo, before: datetime, after: datetime) -> datetime:
    """The first whole second in (before, after] at which the zone has the offset that it has at `after`."""
    low, high = int(before.timestamp()), int(after.timestamp())
    target = after.astimezone(zone).utcoffset()
    while high - low > 1:
        middle = (low + high) // 2
        if datetime.fromtimestamp(middle, zone).utcoffset() == target:
            high = middle
        else:
            low = middle
    return datetime.fromtimestamp(high, UTC)


def _iterator(expression: str, wall: datetime) -> croniter[datetime]:
    from croniter import croniter

    return croniter(
        expression,
        wall,
        ret_type=datetime,
        second_at_beginning=True,
        max_years_between_matches=_YEARS_AHEAD,
    )


def zone_of(name: str) -> ZoneInfo:
    """The IANA zone of that name. Raises InvalidSchedule, with the nearest name."""
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        near = difflib.get_close_matches(name, available_timezones(), 1)
        hint = f"did you mean {near[0]}?" if near else "such as UTC or Europe/Berlin"
        raise InvalidSchedule(f"{name!r} is no IANA time zone; {hint}") from None


def _period(expression: str) -> timedelta:
    try:
        period = seconds(expression.removeprefix(_EVERY).strip())
    except ValueError as error:
        raise InvalidSchedule(f"{expression!r}: {error}") from None
    if period < 1:
        raise InvalidSchedule(f"{expression!r}: the period is less than a second")
    if not period <= LONGEST:
        raise InvalidSchedule(f"{expression!r}: the period is no number, or more than a hundred years")
    return timedelta(seconds=period)


def _checked(expression: str) -> str:
    """The expression, once each field and their combination have been found to mean something."""
    from croniter import CroniterBadDateError, CroniterError

    if expression in _WORDS:
        return expression
    fields = expression.split()
    if len(fields) not in (5, 6):
        raise InvalidSchedule(
            f"{expression!r} has {len(fields)} fields; a schedule has 5 (minute hour day month weekday), "
            "or 6 with the second first"
        )
    names = _FIELDS if len(fields) == 5 else ("second", *_FIELDS)
    for place, (name, field) in enumerate(zip(names, fields, strict=True)):
        fault = _fault(field, place, len(fields))
        if fault:
            column = len(" ".join(fields[:place])) + bool(place) + 1
            raise InvalidSchedule(f"{expression!r}: the {name} {field!r} (column {column}) {fault}")
    text = " ".join(fields)
    try:
        _iterator(text, _SOME_MIDNIGHT).get_next(datetime)
    except CroniterBadDateError:
        raise InvalidSchedule(f"{expression!r} names a date that never comes") from None
    except (CroniterError, ValueError) as error:
        raise InvalidSchedule(f"{expression!r} is no schedule: {error}") from None
    return text


def _fault(field: str, place: int, count: int) -> str:
    """What is wrong with one field, or nothing."""
    from croniter import CroniterBadDateError, CroniterError

    if field[:1].upper() in ("H", "R") and not field[1:2].isalpha():
        return "asks for a random time; write the time, and spread load with jitter"
    alone = ["*"] * count
    alone[place] = field
    try:
        _iterator(" ".join(alone), _SOME_MIDNIGHT).get_next(datetime)
    except CroniterBadDateError:
        return ""
    except (CroniterError, ValueError, KeyError, IndexError):
        return "means nothing there"
    return ""
