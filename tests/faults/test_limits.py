"""Limits over several worker processes on one SQLite file: never exceeded, never leaked, while workers are killed;
rates without bursts; a backlog of one tenant that keeps no other one waiting."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import pytest

from dispatch import Limit, QueueConfig, Scope
from dispatch.jobs.definition import Call

from . import work
from .checker import Plan
from .controller import Controller
from .history import Move
from .storm import Storm, Weather

MAX_CRASHES = 20
MOST = 5
SECOND = 1_000_000


def naps(count: int, ms: int, first: int = 0, **options: Any) -> list[tuple[str, Call[Any]]]:
    """(serial, call) of that many naps on the loop."""
    serials = [f"job-{number}" for number in range(first, first + count)]
    return [(serial, work.nap.options(idempotency_key=serial, **options).call(serial, ms)) for serial in serials]


def most_running(moves: Iterable[Move]) -> int:
    """The largest number of rows in state running, over all changes in their order."""
    running = most = 0
    for move in moves:
        running += (move.new == "running") - (move.old == "running")
        most = max(most, running)
    return most


def configure(run: Controller, config: QueueConfig) -> None:
    async def store() -> None:
        async with run.app() as app:
            await app.queues.configure(config)

    asyncio.run(store())


def started_at(run: Controller) -> list[int]:
    """When jobs were claimed, by the store's clock, in order."""
    rows = run.query("SELECT at FROM fault_moves WHERE new = 'running' ORDER BY at")
    return [int(str(at)) for (at,) in rows]


def hold_under_kills(folder: Path, *, keyed: bool, kills: int, jobs: int) -> None:
    """Three workers with 20 slots each, random kills, at most MOST of the jobs running: by the queue or by a key."""
    options = {"concurrency": Limit(key="k", max=MOST, name="limited")} if keyed else {}
    with Controller(folder, concurrency=20, lease=2.0, heartbeat=0.4, max_crashes=MAX_CRASHES) as run:
        if not keyed:
            configure(run, QueueConfig("default", max_concurrency=MOST))
        run.enqueue(naps(jobs, 40, **options))
        made = jobs

        def feed() -> None:
            nonlocal made
            if run.unfinished() < 3 * MOST:
                run.enqueue(naps(jobs, 40, first=made, **options))
                made += jobs

        Weather(run, Storm(kills=kills, stops=0, workers=3, every=0.7, feed=feed)).blow()
        run.until_done(timeout=120)
        run.finish()
        moves = run.dump().moves
        assert most_running(moves) == MOST
        assert run.query("SELECT count(*) FROM jobs WHERE state = 'running' OR blocked = 1 OR ready > 0") == [(0,)]
        assert run.query("SELECT count(*) FROM concurrency_keys") == [(0,)]
        plan = Plan(kills=kills, hits=kills // 2, jobs=jobs, workers=3, max_crashes=MAX_CRASHES)
        run.verdict(plan, f"limit by {'key' if keyed else 'queue'}, {kills} kills")
        run.enqueue(naps(MOST, 2_000, first=made, **options))
        run.until_running(run.worker(), MOST)


@pytest.mark.slow
@pytest.mark.timeout(150)
@pytest.mark.parametrize("keyed", [False, True], ids=["queue", "key"])
def test_three_workers_keep_a_limit_while_they_are_killed(tmp_path: Path, keyed: bool) -> None:
    hold_under_kills(tmp_path, keyed=keyed, kills=3, jobs=100)


@pytest.mark.proof
@pytest.mark.timeout(400)
@pytest.mark.parametrize("keyed", [False, True], ids=["queue", "key"])
def test_three_workers_keep_a_limit_through_fifteen_kills(tmp_path: Path, keyed: bool) -> None:
    hold_under_kills(tmp_path, keyed=keyed, kills=15, jobs=600)


def rate_is_kept(folder: Path, *, seconds: int, within: float) -> None:
    """Three workers on a queue of 50 starts a second with a bucket of 10."""
    rate, burst = 50, 10
    with Controller(folder, concurrency=20, lease=5.0, heartbeat=1.0) as run:
        configure(run, QueueConfig("default", rate_limit=rate, rate_burst=burst))
        for worker in [run.worker() for _ in range(3)]:
            run.until(lambda worker=worker: worker.worker, "the worker is ready")
        run.enqueue(naps(rate * (seconds + 5), 0))
        run.until(lambda: len(started_at(run)) > rate * seconds, "enough have started", timeout=3 * seconds + 20)
        run.finish()
        starts = started_at(run)
        assert_no_burst(starts, rate, burst)
        first = [at for at in starts if at - starts[0] <= seconds * SECOND]
        share = len(first) / (rate * seconds)
        print(f"{len(first)} starts in {seconds} s at {rate}/s: {share:.3f}")
        assert share <= 1 + burst / (rate * seconds)
        assert share >= 1 - within


def assert_no_burst(starts: Sequence[int], rate: int, burst: int) -> None:
    """In any second no more than the rate and a bucket; over any span no more than rate × span and a bucket."""
    last = 0
    for end, at in enumerate(starts):
        while at - starts[last] >= SECOND:
            last += 1
        assert end - last + 1 <= rate + burst, f"{end - last + 1} starts within a second"
    for end, at in enumerate(starts):
        assert end + 1 <= burst + 1 + rate * (at - starts[0]) / SECOND


def test_a_burst_would_be_noticed() -> None:
    even = [number * SECOND // 50 for number in range(500)]
    assert_no_burst(even, 50, 10)
    with pytest.raises(AssertionError):
        assert_no_burst(sorted(even + [even[200]] * 20), 50, 10)


def test_one_row_too_many_would_be_noticed() -> None:
    def move(job: str, old: str, new: str) -> Move:
        return Move(job, old, new, None, None, 0, 0)

    moves = [move("a", "pending", "running"), move("b", "pending", "running"), move("a", "running", "completed")]
    assert most_running(moves) == 2


@pytest.mark.slow
@pytest.mark.timeout(120)
def test_three_workers_keep_a_rate_without_bursts(tmp_path: Path) -> None:
    rate_is_kept(tmp_path, seconds=3, within=0.5)


@pytest.mark.proof
@pytest.mark.timeout(200)
def test_three_workers_keep_a_rate_for_twenty_seconds_within_five_percent(tmp_path: Path) -> None:
    rate_is_kept(tmp_path, seconds=20, within=0.05)


def another_tenant_does_not_wait(folder: Path, backlog: int) -> None:
    """A tenant's backlog, then one job of another tenant, while a worker works."""
    many, other = Scope("shop", "many"), Scope("shop", "other")
    with Controller(folder, concurrency=20, lease=5.0, heartbeat=1.0) as run:
        configure(run, QueueConfig("default", fair=True))
        run.enqueue(naps(backlog, 20, scope=many))
        worker = run.worker()
        run.until_running(worker)
        run.enqueue(naps(1, 0, first=backlog, scope=other))
        mine = "SELECT started_at - created_at FROM jobs WHERE org_id = 'other' AND started_at IS NOT NULL"
        run.until(lambda: run.query(mine), "the other tenant's job starts")
        ((waited,),) = run.query(mine)
        left = Counter(str(state) for (state,) in run.query("SELECT state FROM jobs WHERE org_id = 'many'"))
        print(f"waited {int(str(waited)) / SECOND:.3f} s beside {left['pending']} jobs of the other tenant")
        assert left["pending"] > backlog / 2
        assert int(str(waited)) <= 2 * SECOND


@pytest.mark.slow
@pytest.mark.timeout(120)
def test_a_backlog_of_one_tenant_does_not_keep_another_waiting(tmp_path: Path) -> None:
    another_tenant_does_not_wait(tmp_path, backlog=3_000)


@pytest.mark.proof
@pytest.mark.timeout(300)
def test_a_hundred_thousand_jobs_of_one_tenant_do_not_keep_another_waiting(tmp_path: Path) -> None:
    another_tenant_does_not_wait(tmp_path, backlog=100_000)
