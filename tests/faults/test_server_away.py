"""The server is away when workers start, and again while they work: they wait for it and go on by themselves."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from servers.postgres import Server
from servers.redis import RedisServer

from dispatch.errors import StoreAway

from .checker import Plan
from .controller import TESTS, Controller
from .postgres_ledger import PostgresLedger
from .producer import naps
from .redis_ledger import ALWAYS, RedisLedger
from .server_storm import ServerLedger

LEASE = 2.0
BOUND = 10.0
"""Seconds after which an enqueue has said that the server is away: the longest that a connection may take, and more."""


@pytest.fixture(params=["postgres", "redis"])
def ledger(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[ServerLedger]:
    """Of a server of its own that keeps what it has acknowledged."""
    if request.param == "postgres":
        server = Server({})
        yield PostgresLedger(server)
        server.close()
        return
    monkeypatch.syspath_prepend(TESTS / "stores")
    from redis_audit import audit

    started = RedisServer(*ALWAYS)
    yield RedisLedger(started, audit=audit)
    started.close()


@pytest.mark.slow
@pytest.mark.timeout(120)
def test_workers_wait_for_a_server_that_is_away_at_their_start_and_outlive_its_absence(
    tmp_path: Path, ledger: ServerLedger
) -> None:
    with Controller(tmp_path, ledger=ledger, concurrency=10, lease=LEASE, heartbeat=0.4, max_crashes=20) as run:
        run.enqueue(naps("early", 50, 20))
        with run.outage():
            workers = [run.worker(), run.worker()]
            run.until(lambda: all("the store is away" in worker.output.read_text() for worker in workers), "they wait")
        run.until_done()
        run.enqueue(naps("work", 300, 200))
        for worker in workers:
            run.until_running(worker, 5)
        with run.outage():
            began = time.monotonic()
            with pytest.raises(StoreAway, match=r"Is it running|Check that it runs"):
                run.enqueue(naps("nowhere", 1, 20))
            assert time.monotonic() - began < BOUND
            run.until(lambda: time.monotonic() - began > 1.5 * LEASE, "the outage has lasted for more than a lease")
        run.until_done()
        assert all(worker.popen.poll() is None for worker in workers), "a worker died of the outage"
        run.finish()
        plan = Plan(jobs=350, outages=2, concurrency=10, max_crashes=20, forgetful=isinstance(ledger, PostgresLedger))
        run.verdict(plan, f"{type(ledger).__name__}: the server was away twice")
