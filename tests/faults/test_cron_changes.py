"""Entries change while they fire: deploys, switches, a leader's death, a worker whose clock is wrong."""

from __future__ import annotations

import json
import signal
from collections import Counter
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from itertools import pairwise
from pathlib import Path

import pytest

from dispatch.crons.model import Tick
from dispatch.crons.plan import schedule_of
from dispatch.entity import Reply
from dispatch.store import Store

from .cron_fleet import LEASE, Fleet, fleet, jobs_of, ticks_of

FAKETIME = next(iter(Path("/usr/lib").glob("*/faketime/libfaketime.so.1")), None)
VERSION = """
from dispatch import cron, job

@cron("@every 1s", name="beat", misfire="all", overlap="allow", call=lambda: beat.call({number}))
@job
async def beat(n: int) -> None: ...

@cron("@every 1s", name="{own}", misfire="all", overlap="allow")
@job
async def {own}() -> None: ...
"""
EVERYWHERE = pytest.mark.parametrize(
    "kind",
    [
        pytest.param("sqlite", marks=pytest.mark.slow),
        pytest.param("postgres", marks=pytest.mark.proof),
        pytest.param("redis", marks=pytest.mark.proof),
    ],
)
FIRST, SECOND = VERSION.format(number=1, own="old"), VERSION.format(number=2, own="new")


def ticked(name: str, least: int) -> Callable[[Store], Awaitable[bool]]:
    """Whether the entry has ticked so often."""

    async def ask(store: Store) -> bool:
        return len((await ticks_of(store)).get(name, ())) >= least

    return ask


def each_second_once(made: Fleet, history: list[Tick]) -> None:
    """One fired tick for each second from the first to the last."""
    assert {tick.outcome for tick in history} == {"fired"}, [tick.outcome for tick in history]
    steps = Counter(after.scheduled_at - before.scheduled_at for before, after in pairwise(history))
    assert {*steps} == {timedelta(seconds=1)}, f"gaps or doubles: {steps}\n{made.logs()}"


@EVERYWHERE
@pytest.mark.timeout(120)
def test_a_rolling_restart_onto_new_code_loses_and_doubles_no_tick(kind: str, tmp_path: Path) -> None:
    with fleet(kind, tmp_path, tasks=FIRST, workers=2) as made:
        (tmp_path / "second.py").write_text(SECOND)
        made.until(ticked("beat", 2))
        for pid in [*made.processes]:
            made.start("second.py")
            made.until(ticked("new", 1))
            made.processes[pid].send_signal(signal.SIGTERM)
            made.processes[pid].wait(30)

        async def settled(store: Store) -> bool:
            old, new = await store.crons.get("old"), await store.crons.get("new")
            return old is not None and old.orphaned and new is not None and not new.orphaned

        made.until(settled)
        seen = len(made.ask(ticks_of)["beat"])
        made.until(ticked("beat", seen + 2))
        made.end()
        ticks, jobs = made.ask(ticks_of), made.ask(jobs_of)
        each_second_once(made, ticks["beat"])
        each_second_once(made, ticks["new"])
        by_id = {job_id: json.loads(payload) for job_id, payload in jobs}
        versions = [by_id[str(tick.job_id)]["n"] for tick in ticks["beat"]]
        assert versions == sorted(versions), "the old code came back"
        assert {*versions} == {1, 2}
        assert len(jobs) == sum(len(history) for history in ticks.values())
        beat = made.ask(lambda store: store.crons.get("beat"))
        assert beat is not None
        assert beat.revision == 2, "the two versions took turns"


@pytest.mark.parametrize(
    ("kind", "rounds"),
    [
        pytest.param("sqlite", 2, marks=pytest.mark.slow),
        *(pytest.param(kind, 5, marks=pytest.mark.proof) for kind in ("sqlite", "postgres", "redis")),
    ],
)
@pytest.mark.timeout(120)
def test_a_disable_while_it_fires_sticks(kind: str, rounds: int, tmp_path: Path) -> None:
    with fleet(kind, tmp_path, tasks=FIRST, workers=2) as made:
        made.until(ticked("beat", 1))
        for _ in range(rounds):
            assert made.ask(lambda store: store.crons.disable("beat", reason="test")) is Reply.APPLIED
            before = made.ask(ticks_of)
            made.until(ticked("old", len(before["old"]) + 2))
            assert made.ask(ticks_of)["beat"] == before["beat"]
            assert made.ask(_enabled_again) is Reply.APPLIED
            made.until(ticked("beat", len(before["beat"]) + 1))
        made.end()
        history = made.ask(ticks_of)["beat"]
        assert {tick.outcome for tick in history} == {"fired"}
        assert len({tick.job_id for tick in history}) == len(history)


async def _enabled_again(store: Store) -> Reply:
    entry = await store.crons.get("beat")
    assert entry is not None
    assert not entry.enabled
    now = (await store.crons.due(limit=0)).now
    return await store.crons.enable("beat", next_fire_at=schedule_of(entry).after(now))


@pytest.mark.proof
@pytest.mark.timeout(120)
@pytest.mark.parametrize("kind", ["sqlite", "postgres", "redis"])
def test_when_the_leader_is_killed_the_next_tick_fires_within_its_lease_and_a_second(kind: str, tmp_path: Path) -> None:
    with fleet(kind, tmp_path, tasks=FIRST, workers=3) as made:
        made.until(ticked("beat", 2))
        for _ in range(3):
            made.until(made.manned)
            pid = made.leader()
            made.kill(pid)
            killed_at = made.ask(_now)

            async def fired_since(store: Store, since: datetime = killed_at) -> bool:
                return any(tick.fired_at > since for tick in (await ticks_of(store))["beat"])

            made.until(fired_since)
            first = min(tick.fired_at for tick in made.ask(ticks_of)["beat"] if tick.fired_at > killed_at)
            gap = (first - killed_at).total_seconds()
            print(f"fired {gap:.2f} s after the leader's death")
            assert gap <= LEASE + 1
        made.end()
        each_second_once(made, made.ask(ticks_of)["beat"])


async def _now(store: Store) -> datetime:
    return (await store.crons.due(limit=0)).now


@pytest.mark.slow
@pytest.mark.timeout(120)
@pytest.mark.skipif(FAKETIME is None, reason="needs libfaketime: apt-get install faketime")
@pytest.mark.parametrize("kind", ["postgres", pytest.param("redis", marks=pytest.mark.proof)])
def test_a_leader_whose_clock_is_an_hour_ahead_fires_by_the_servers_clock(kind: str, tmp_path: Path) -> None:
    with fleet(kind, tmp_path, tasks=FIRST, workers=1) as made:
        (first,) = made.processes
        made.until(ticked("beat", 2))
        skewed = made.start(LD_PRELOAD=str(FAKETIME), FAKETIME="+3600s", FAKETIME_DONT_FAKE_MONOTONIC="1")
        made.processes[first].kill()
        made.processes[first].wait()
        assert made.leader() == skewed
        seen = len(made.ask(ticks_of)["beat"])
        made.until(ticked("beat", seen + 3))
        made.end()
        history = made.ask(ticks_of)["beat"]
        each_second_once(made, history)
        late = [(tick.fired_at - tick.scheduled_at).total_seconds() for tick in history]
        assert -0.001 < min(late) <= max(late) < 1800
