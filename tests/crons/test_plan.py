"""What a due entry does: a table of moments and rules."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from dispatch.crons.model import CronEntry, CronSpec, Fire
from dispatch.crons.plan import CAP, STEP, Rules, first_fire, jitter, manual_tick, plan
from dispatch.ids import CronID

NOON = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)
RULES = Rules(misfire_window=3600, on_time=30)


def entry(due: datetime, *, schedule: str = "* * * * *", **fields: Any) -> CronEntry:
    own = {name: fields.pop(name) for name in list(fields) if name in CronEntry.__dataclass_fields__}
    spec = CronSpec(name="report", schedule=schedule, target="report", **fields)
    made = CronEntry(CronID.new(), NOON, NOON, spec, anchor=NOON - timedelta(days=1), next_fire_at=due)
    return replace(made, **own)


def minutes_ago(fire: Fire, outcome: str) -> list[float]:
    """How long before noon the ticks of that outcome are, oldest first."""
    return [(NOON - tick.scheduled_at).total_seconds() / 60 for tick in fire.ticks if tick.outcome == outcome]


def in_steps(due: CronEntry) -> list[Fire]:
    """The firings until nothing is due."""
    fires = [plan(due, NOON, RULES)]
    while (following := fires[-1].next_fire_at) is not None and following <= NOON:
        fires.append(plan(replace(due, next_fire_at=following, enabled=True), NOON, RULES))
    return fires


@pytest.mark.parametrize("misfire", ["skip", "once", "all"])
def test_a_punctual_tick_fires_under_every_misfire_rule(misfire: str) -> None:
    fire = plan(entry(NOON, misfire=misfire), NOON + timedelta(seconds=2), RULES)
    assert (minutes_ago(fire, "fired"), minutes_ago(fire, "missed")) == ([0], [])
    assert fire.next_fire_at == NOON + timedelta(minutes=1)
    assert (fire.revision, fire.expected) == (1, NOON)


@pytest.mark.parametrize(
    ("misfire", "fired", "missed"),
    [("skip", [0], [4, 3, 2, 1]), ("once", [1, 0], [4, 3, 2]), ("all", [4, 3, 2, 1, 0], [])],
)
def test_late_ticks_follow_the_misfire_rule(misfire: str, fired: list[float], missed: list[float]) -> None:
    fire = plan(entry(NOON - timedelta(minutes=4), misfire=misfire), NOON, RULES)
    assert (minutes_ago(fire, "fired"), minutes_ago(fire, "missed")) == (fired, missed)


def test_ticks_before_the_window_are_missed_even_under_all() -> None:
    due = entry(NOON - timedelta(minutes=4), misfire="all", misfire_window=150.0)
    fire = plan(due, NOON, RULES)
    assert (minutes_ago(fire, "fired"), minutes_ago(fire, "missed")) == ([2, 1, 0], [4, 3])


def test_a_year_of_missed_seconds_is_neither_walked_nor_listed_whole() -> None:
    due = entry(NOON - timedelta(days=365), schedule="@every 1s", misfire="all", anchor=NOON - timedelta(days=366))
    fires = in_steps(due)
    fired = [minutes for fire in fires for minutes in minutes_ago(fire, "fired")]
    missed = [minutes for fire in fires for minutes in minutes_ago(fire, "missed")]
    assert fired == [seconds / 60 for seconds in reversed(range(CAP))]
    assert missed == [seconds / 60 for seconds in reversed(range(CAP, 2 * CAP))]
    assert fires[-1].next_fire_at == NOON + timedelta(seconds=1)


@pytest.mark.parametrize(("misfire", "wanted"), [("all", 46), ("once", 32), ("skip", 31)])
def test_many_ticks_are_fired_in_steps_that_are_what_one_firing_would_be(misfire: str, wanted: int) -> None:
    due = entry(NOON - timedelta(seconds=45), schedule="@every 1s", misfire=misfire, anchor=NOON - timedelta(days=1))
    fires = in_steps(due)
    moments = [tick.scheduled_at for fire in fires for tick in fire.ticks]
    assert moments == [NOON - timedelta(seconds=n) for n in reversed(range(46))]
    assert sum(tick.outcome == "fired" for fire in fires for tick in fire.ticks) == wanted
    assert max(len(minutes_ago(fire, "fired")) for fire in fires) == STEP


def test_what_came_up_while_an_entry_was_disabled_does_not_fire_when_it_is_back() -> None:
    back = entry(NOON - timedelta(minutes=10), misfire="all", enabled=False, disabled_until=NOON - timedelta(minutes=2))
    fire = plan(back, NOON, RULES)
    assert (minutes_ago(fire, "fired"), minutes_ago(fire, "missed")) == ([1, 0], [])


def test_periods_stay_on_their_grid_however_late_a_tick_is_fired_and_whenever_its_entry_was_stored() -> None:
    late = entry(NOON - timedelta(seconds=3), schedule="@every 40s", anchor=NOON - timedelta(seconds=42.99))
    fire = plan(late, NOON, RULES)
    assert fire.next_fire_at == NOON + timedelta(seconds=37)


def test_a_year_of_missed_seconds_is_planned_like_a_few_of_them() -> None:
    options: dict[str, Any] = {"schedule": "* * * * * *", "misfire": "all", "misfire_window": 400 * 86400.0}
    year, hour = (plan(entry(NOON - ago, **options), NOON, RULES) for ago in (timedelta(days=365), timedelta(hours=1)))
    assert [(tick.scheduled_at, tick.outcome) for tick in year.ticks] == [
        (tick.scheduled_at, tick.outcome) for tick in hour.ticks
    ]
    assert year.next_fire_at == hour.next_fire_at


def test_a_rare_tick_is_found_however_long_ago_it_was() -> None:
    late = entry(datetime(2026, 1, 5, 12, tzinfo=UTC), schedule="0 12 5 1 *", misfire_window=400 * 86400.0)
    (tick,) = plan(late, NOON, RULES).ticks
    assert (tick.scheduled_at, tick.outcome) == (late.next_fire_at, "fired")


def test_an_entry_whose_pause_has_just_ended_waits_for_its_next_tick() -> None:
    paused = entry(NOON - timedelta(hours=1), schedule="30 * * * *", enabled=False, disabled_until=NOON)
    fire = plan(paused, NOON + timedelta(seconds=1), RULES)
    assert (fire.ticks, fire.next_fire_at) == ([], NOON + timedelta(minutes=30))


def test_an_entry_fires_at_the_time_it_was_given_even_off_its_schedule() -> None:
    given = entry(NOON - timedelta(seconds=7), schedule="*/5 * * * *")
    fire = plan(given, NOON, RULES)
    assert [(tick.scheduled_at, tick.outcome) for tick in fire.ticks] == [
        (given.next_fire_at, "fired"),
        (NOON, "fired"),
    ]


@pytest.mark.parametrize(
    ("overlap", "on_conflict", "cancels"),
    [("allow", None, False), ("skip", "skip", False), ("queue", "replace", False), ("cancel_old", "replace", True)],
)
def test_the_overlap_rule_travels_as_the_unique_key_of_the_job(
    overlap: str, on_conflict: str | None, cancels: bool
) -> None:
    due = entry(NOON, overlap=overlap)
    (tick,) = plan(due, NOON, RULES).ticks
    assert tick.job is not None
    unique = tick.job.unique
    assert (unique and unique.on_conflict, tick.cancel_old) == (on_conflict, cancels)
    assert unique is None or unique.key == f"cron:{due.id}"
    flow = entry(NOON, overlap=overlap, kind="workflow", version=2)
    (tick,) = plan(flow, NOON, RULES).ticks
    assert tick.run is not None
    unique = tick.run.driver.unique
    assert (unique and unique.on_conflict, tick.cancel_old) == (on_conflict, cancels)
    assert not manual_tick(flow, NOON).cancel_old


def test_the_job_of_a_tick_knows_its_moment_and_what_the_entry_fixed() -> None:
    due = entry(NOON, options={"queue": "reports", "priority": 3, "tags": ["nightly"]}, payload=b'{"n":1}')
    (tick,) = plan(due, NOON, RULES).ticks
    job = tick.job
    assert job is not None
    assert (job.name, job.payload, job.queue, job.priority, job.tags) == (
        "report",
        b'{"n":1}',
        "reports",
        3,
        ("nightly",),
    )
    assert (job.scheduled_at, job.run_at) == (NOON, None)


def test_jitter_delays_a_tick_always_by_the_same_and_never_by_more() -> None:
    due = entry(NOON, jitter=30.0)
    delays = {jitter(due.id, NOON + timedelta(minutes=n), 30.0).total_seconds() for n in range(200)}
    assert all(0 <= delay < 30 for delay in delays)
    assert len(delays) > 150
    (tick,) = plan(due, NOON, RULES).ticks
    assert tick.job is not None
    assert tick.job.run_at == NOON + jitter(due.id, NOON, 30.0)
    assert tick.scheduled_at == NOON


def test_an_entry_that_is_new_ticks_first_at_its_next_time() -> None:
    assert first_fire(CronSpec(name="a", schedule="30 12 * * *", target="a"), NOON) == NOON + timedelta(minutes=30)
    assert first_fire(CronSpec(name="a", schedule="@every 1h", target="a"), NOON) == NOON + timedelta(hours=1)
