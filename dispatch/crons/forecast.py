"""What schedules will bring: how many ticks each minute, and which of them meet a change of the clock. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Literal
from zoneinfo import ZoneInfo

from dispatch.crons.schedule import WallClock, change_between, parse, ticks, zone_of

_DAY = timedelta(days=1)
_SOME_MINUTE = datetime(2026, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Collision:
    """Wall times of one schedule that a change of the clock skips ("gap") or brings twice ("fold")."""

    kind: Literal["gap", "fold"]
    wall: datetime
    """The first of them, without a zone."""
    count: int
    """How many: of a gap they tick once together, at its end; of a fold each ticks the first time only."""
    fires_at: datetime
    """When the first of them ticks."""


def load(schedule: str, timezone: str, *, after: datetime, until: datetime) -> Counter[datetime]:
    """How many ticks there are in each minute of (after, until]; "@every" counts from `after`. Six fields are counted
    by whole minutes, so a tick at the very end of a gap may be left out."""
    found: Counter[datetime] = Counter()
    seconds, _, minutes = schedule.partition(" ")
    if not schedule.startswith("@") and len(schedule.split()) == 6:
        # by the minute, for a schedule of every second has 86,400 ticks a day
        pattern = parse(f"{seconds} * * * * *")
        each = sum(1 for _ in ticks(pattern, _SOME_MINUTE - timedelta(seconds=1), _SOME_MINUTE + timedelta(seconds=59)))
        rule = parse(minutes, timezone)
    else:
        each, rule = 1, parse(schedule, timezone, anchor=after)
    for tick in ticks(rule, after, until):
        found[tick.replace(second=0, microsecond=0)] += each
    return found


def collisions(schedule: str, timezone: str, *, after: datetime, until: datetime) -> Iterator[Collision]:
    """The wall times of a schedule that changes of the clock in (after, until] meet; "@every" meets none."""
    rule = parse(schedule, timezone)
    if not isinstance(rule, WallClock):
        return
    zone = zone_of(timezone)
    for change in _changes(zone, after, until):
        before, now = _offset(zone, change - timedelta(seconds=1)), _offset(zone, change)
        base = change.replace(tzinfo=None)
        first, end = base + min(before, now), base + max(before, now)
        walls = list(rule.walls(first, end))
        if walls:
            gap = now > before
            fires_at = change if gap else (walls[0] - before).replace(tzinfo=UTC)
            yield Collision("gap" if gap else "fold", walls[0], len(walls), fires_at)


def _changes(zone: ZoneInfo, after: datetime, until: datetime) -> Iterator[datetime]:
    """The instants at which the zone's offset changes."""
    day = after.astimezone(UTC)
    while day < until:
        following = min(day + _DAY, until.astimezone(UTC))
        if _offset(zone, day) != _offset(zone, following):
            yield change_between(zone, day, following)
        day = following


def _offset(zone: ZoneInfo, moment: datetime) -> timedelta:
    offset = moment.astimezone(zone).utcoffset()
    assert offset is not None
    return offset
