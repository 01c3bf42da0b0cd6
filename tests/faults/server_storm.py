"""A storm over workers that reach their server through a proxy which cuts replies, and a crash of that server."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Protocol

from .checker import Plan, Report
from .controller import Controller
from .history import Ledger
from .producer import naps
from .proxy import CuttingProxy
from .storm import Storm, Weather

# A job that a storm hits four times would rightly be condemned as one that kills its workers; here all shall complete.
MAX_CRASHES = 20
PORTION = 100
LEASE = 4.0
"""Seconds; a server that waits for the disk at each write may be slow for some of them."""
BETWEEN_CUTS = 1.0


class ServerLedger(Ledger, Protocol):
    """The ledger of a store that has a server."""

    def cut_connections(self) -> int:
        """Ends the connections of all actors; answers how many."""


def survive(
    folder: Path,
    ledger: ServerLedger,
    proxy: CuttingProxy,
    storm: Storm,
    *,
    jobs: int,
    ms: int,
    first: int,
    forgetful: bool,
    title: str,
    before_the_crash: Callable[[Controller], None] = lambda run: None,
) -> Report:
    """Lets the storm blow, with connections cut all the while, then a crash of the server, and the rest of the work."""
    way = ledger.url.replace(ledger.url.rpartition(":")[2].partition("/")[0], str(proxy.port))
    options = {"concurrency": 20, "lease": LEASE, "heartbeat": LEASE / 5, "max_crashes": MAX_CRASHES}
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

        proxy.tell = lambda worker: run.log.add("cut", worker=worker)
        enqueue(first)
        weather = Weather(run, replace(storm, feed=feed))
        weather.blow()
        enqueue(max(jobs - made, PORTION))
        before_the_crash(run)
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
            forgetful=forgetful,
        )
        report = run.verdict(plan, title)
        print(f"{title}: {cut} connections ended by the server, {dict(proxy.cuts)} replies cut after the commit")
        assert cut and proxy.cuts["finish"] and proxy.cuts["claim"]
        assert weather.zombies == storm.stops
        return report
