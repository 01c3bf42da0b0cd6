"""Workers on one PostgreSQL server are killed, stopped, cut off, and outlive its crash: nothing is lost or doubled."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from servers.postgres import Server

from .postgres_ledger import PostgresLedger
from .proxy import CuttingProxy, PostgresEar
from .server_storm import survive
from .storm import Storm


@pytest.fixture
def server() -> Iterator[Server]:
    """A server of its own that keeps what it has acknowledged, as it does by default."""
    made = Server({})
    yield made
    made.close()


def blow(folder: Path, server: Server, storm: Storm, *, jobs: int, first: int, title: str) -> None:
    """The storm, over jobs of 50 ms, with claims that a crash may undo: their commits do not wait for the disk."""
    ledger = PostgresLedger(server)
    with CuttingProxy(server.port, PostgresEar) as proxy:
        survive(folder, ledger, proxy, storm, jobs=jobs, ms=50, first=first, forgetful=True, title=title)
    assert ledger.deadlocks() == 0
    ledger.close()


@pytest.mark.slow
@pytest.mark.timeout(150)
def test_kills_cuts_and_a_crash_of_the_server_lose_nothing_and_end_nothing_twice(
    tmp_path: Path, server: Server
) -> None:
    storm = Storm(kills=2, stops=1, workers=2, every=0.7)
    blow(tmp_path, server, storm, jobs=400, first=100, title="small storm on PostgreSQL")


@pytest.mark.proof
@pytest.mark.timeout(1200)
def test_ten_thousand_jobs_survive_forty_kills_ten_zombies_cuts_and_a_crash_of_the_server(
    tmp_path: Path, server: Server
) -> None:
    storm = Storm(kills=40, stops=10, workers=4, every=1.0, timeout=800)
    blow(tmp_path, server, storm, jobs=10_000, first=4_000, title="PostgreSQL: 40 kills, 10 stops, 10,000 jobs")
