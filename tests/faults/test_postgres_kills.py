"""Workers on one PostgreSQL server are killed, stopped, cut off, and outlive its crash: nothing is lost or doubled."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from servers.postgres import Server

from .checker import Plan, Report
from .controller import Controller
from .postgres_ledger import PostgresLedger
from .producer import naps
from .proxy import CuttingProxy
from .storm import Storm, Weather

MAX_CRASHES = 20
PORTION = 100
BETWEEN_CUTS = 1.0


@pytest.fixture
def server() -> Iterator[Server]:
    """A server of its own that keeps what it has acknowledged, as it does by default."""
    made = Server({})
    yield made
    made.close()


def survive(folder: Path, server: Server, storm: Storm, *, jobs: int, ms: int, first: int, title: str) -> Report:
    """A storm over workers whose connections are cut all the while, a crash of the server, and the rest of the work."""
    ledger = PostgresLedger(server)
    with CuttingProxy(server.port) as proxy:
        way = f"postgresql://postgres@127.0.0.1:{proxy.port}/postgres"
        options = {"concurrency": 20, "lease": 2.0, "heartbeat": 0.4, "max_crashes": MAX_CRASHES}
        with Controller(folder, ledger=ledger, workers_url=way, **options) as run:
            made = cut = 0
            next_cut = 0.0

            def enqueue(count: int) -> None:
                nonlocal made
                run.enqueue(naps(f"job-{made}", count, ms))
                made += count

            def feed() -> None:
                nonlocal cut, next_cut
                if run.unfinished() < PORTION:
                    enqueue(PORTION)
                if time.monotonic() < next_cut:
                    return
                next_cut = time.monotonic() + BETWEEN_CUTS
                proxy.cut_next("claim")
                proxy.cut_next("finish")
                # a worker that cannot reach its store when it starts says so and ends
                if all(worker.worker for worker in run.processes if worker.alive):
                    cut += ledger.cut_connections()

            enqueue(first)
            weather = Weather(run, replace(storm, feed=feed))
            weather.blow()
            enqueue(max(jobs - made, PORTION))
            run.until(lambda: any(worker.open for worker in run.processes if worker.alive), "somebody runs something")
            with run.outage():
                pass
            run.until_done(timeout=200)
            run.finish()
            plan = Plan(
                kills=storm.kills,
                stops=storm.stops,
                outages=1,
                hits=storm.kills // 2 + storm.stops,
                zombies=storm.stops > 0,
                jobs=jobs,
                workers=storm.workers,
                max_crashes=MAX_CRASHES,
                forgetful=True,
            )
            report = run.verdict(plan, title)
            print(f"{title}: {cut} sessions ended by the server, {dict(proxy.cuts)} replies cut after the commit")
            assert cut and proxy.cuts["finish"] and proxy.cuts["claim"] and ledger.deadlocks() == 0
            assert weather.zombies == storm.stops
            return report


@pytest.mark.slow
@pytest.mark.timeout(150)
def test_kills_cuts_and_a_crash_of_the_server_lose_nothing_and_end_nothing_twice(
    tmp_path: Path, server: Server
) -> None:
    storm = Storm(kills=2, stops=1, workers=2, every=0.7)
    survive(tmp_path, server, storm, jobs=400, ms=50, first=100, title="small storm on PostgreSQL")


@pytest.mark.proof
@pytest.mark.timeout(400)
def test_ten_thousand_jobs_survive_twenty_kills_three_zombies_cuts_and_a_crash_of_the_server(
    tmp_path: Path, server: Server
) -> None:
    storm = Storm(kills=20, stops=3, workers=4, every=1.0, timeout=200)
    survive(tmp_path, server, storm, jobs=10_000, ms=50, first=4_000, title="20 kills, 3 stops, 10,000 jobs, 4 workers")
