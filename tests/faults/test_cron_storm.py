"""Schedulers are killed and stopped while they lead: each tick of each entry makes one job, and none is missing."""

from __future__ import annotations

import os
import random
import signal
import time
from collections import Counter
from datetime import timedelta
from itertools import pairwise
from pathlib import Path

import pytest

from .cron_fleet import LEASE, Fleet, fleet, jobs_of, ticks_of

KINDS = ("sqlite", "postgres", "redis")
TASKS = """
from dispatch import cron, job

@job
async def beat(n: int) -> None: ...

for n in range({count}):
    cron("@every 1s", name=f"beat-{{n:02}}", misfire="all", overlap="allow", call=lambda n=n: beat.call(n))(beat)
"""


def storm(made: Fleet, *, seconds: float, kills: int, stops: int) -> None:
    """Kills and stops whoever leads, spread over the time."""
    acts = ["kill"] * kills + ["stop"] * stops
    random.Random(11).shuffle(acts)
    begun = time.monotonic()
    for number, act in enumerate(acts, 1):
        pid = made.leader()
        if act == "kill":
            made.kill(pid)
        else:
            os.kill(pid, signal.SIGSTOP)
            time.sleep(1.5 * LEASE)
            os.kill(pid, signal.SIGCONT)
        time.sleep(max(0.0, begun + seconds * number / len(acts) - time.monotonic()))


def judge(made: Fleet, *, entries: int, least: int) -> None:
    """One job a tick, one tick a second, from the first to the last, for every entry."""
    assert made.leader()  # so that the last gap is closed
    time.sleep(2.0)
    made.end()
    ticks, jobs = made.ask(ticks_of), made.ask(jobs_of)
    assert len(ticks) == entries
    for name, history in ticks.items():
        assert len(history) >= least, f"{name} ticked {len(history)} times\n{made.logs()}"
        assert {tick.outcome for tick in history} == {"fired"}, f"{name}: {[tick.outcome for tick in history]}"
        steps = {after.scheduled_at - before.scheduled_at for before, after in pairwise(history)}
        assert steps == {timedelta(seconds=1)}, f"{name} has gaps or doubles: {steps}"
    made_by_ticks = Counter(str(tick.job_id) for history in ticks.values() for tick in history)
    assert set(made_by_ticks.values()) == {1}
    assert Counter(job_id for job_id, _ in jobs) == made_by_ticks
    late = max((tick.fired_at - tick.scheduled_at).total_seconds() for history in ticks.values() for tick in history)
    print(f"{entries} entries: {len(jobs)} jobs, the latest tick {late:.2f} s late")


@pytest.mark.slow
@pytest.mark.timeout(120)
def test_each_tick_makes_one_job_while_leaders_are_killed_and_stopped(tmp_path: Path) -> None:
    with fleet("sqlite", tmp_path, tasks=TASKS.format(count=8)) as made:
        made.leader()
        storm(made, seconds=9, kills=2, stops=1)
        judge(made, entries=8, least=8)


@pytest.mark.proof
@pytest.mark.timeout(300)
@pytest.mark.parametrize("kind", KINDS)
def test_forty_entries_a_second_for_forty_five_seconds_with_twelve_kills_and_six_stops(
    kind: str, tmp_path: Path
) -> None:
    with fleet(kind, tmp_path, tasks=TASKS.format(count=40)) as made:
        made.leader()
        storm(made, seconds=45, kills=12, stops=6)
        judge(made, entries=40, least=44)
