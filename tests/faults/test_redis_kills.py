"""Workers on one Redis server are killed, stopped, cut off, see it full and killed: nothing is lost or doubled."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from servers.redis import RedisServer

from .controller import TESTS, Controller
from .producer import naps
from .proxy import CuttingProxy, RedisEar
from .redis_ledger import ALWAYS, RedisLedger
from .server_storm import survive
from .storm import Storm


@pytest.fixture
def ledger(monkeypatch: pytest.MonkeyPatch) -> Iterator[RedisLedger]:
    """Of a server of its own that has on disk what it answers."""
    monkeypatch.syspath_prepend(TESTS / "stores")
    from redis_audit import audit

    server = RedisServer(*ALWAYS)
    yield RedisLedger(server, audit=audit)
    server.close()


def blow(folder: Path, ledger: RedisLedger, storm: Storm, *, jobs: int, first: int, title: str) -> None:
    """The storm, over jobs of 50 ms, and a time without memory before the crash."""

    def before_the_crash(run: Controller) -> None:
        run.enqueue(naps("patient", 300 * storm.workers, 500))
        run_out_of_memory(run, ledger)

    with CuttingProxy(ledger.server.port, RedisEar) as proxy:
        survive(
            folder,
            ledger,
            proxy,
            storm,
            jobs=jobs,
            ms=50,
            first=first,
            forgetful=False,
            title=title,
            before_the_crash=before_the_crash,
        )


def run_out_of_memory(run: Controller, ledger: RedisLedger) -> None:
    """Enqueues are refused while the workers go on, one of them killed and replaced; then enqueues are taken again."""
    producer = run.producer("during", ms=20, pause=0.01)
    run.until(lambda: _taken(run) > 3, "enqueues are taken")
    with ledger.full():
        run.until(lambda: len(run.seen("refused")) > 3, "enqueues are refused")
        run.until(lambda: any(worker.open for worker in run.processes if worker.alive), "somebody runs something")
        run.kill(next(worker for worker in run.processes if worker.alive and worker.open))
        replacement = run.worker()
        run.until_running(replacement)
        left = ledger.unfinished()
        run.until(lambda: ledger.unfinished() < left - 20, "work goes on without memory")
    taken = _taken(run)
    run.until(lambda: _taken(run) > taken + 3, "enqueues are taken again")
    run.terminate(producer)
    assert run.reap(producer) == 0
    assert {event["error"] for event in run.seen("refused")} == {"StoreFull"}
    assert "nothing was written" in run.seen("refused")[0]["message"]


def _taken(run: Controller) -> int:
    return sum(event["jobs"][0][0].startswith("during") for event in run.seen("acked"))


@pytest.mark.slow
@pytest.mark.timeout(150)
def test_kills_cuts_no_memory_and_a_kill_of_the_server_lose_nothing_and_end_nothing_twice(
    tmp_path: Path, ledger: RedisLedger
) -> None:
    storm = Storm(kills=2, stops=1, workers=2, every=0.7)
    blow(tmp_path, ledger, storm, jobs=500, first=100, title="small storm on Redis")


@pytest.mark.proof
@pytest.mark.timeout(1200)
def test_ten_thousand_jobs_survive_forty_kills_ten_zombies_cuts_no_memory_and_a_kill_of_the_server(
    tmp_path: Path, ledger: RedisLedger
) -> None:
    storm = Storm(kills=40, stops=10, workers=4, every=1.0, timeout=800)
    blow(tmp_path, ledger, storm, jobs=10_000, first=4_000, title="Redis: 40 kills, 10 stops, 10,000 jobs")
