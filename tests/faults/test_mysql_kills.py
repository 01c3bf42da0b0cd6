"""Workers on MariaDB are killed again and again, and the server once: nothing is lost, nothing ends twice."""

from __future__ import annotations

import asyncio
import os
import random
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest
from servers.mysql import Server

from dispatch.errors import StoreError
from dispatch.ids import JobID
from dispatch.jobs.model import CountOptions, JobState, NewJob
from dispatch.stores import open_store

_WORK = """
import asyncio, os
from dispatch import job, current_job

@job
async def nap() -> None:
    with open(os.environ["RAN"], "a") as ran:
        ran.write(current_job().job.id + "\\n")
    await asyncio.sleep(0.02)
"""
_QUICKLY = {
    **{"DISPATCH_LEASE": "2s", "DISPATCH_HEARTBEAT_INTERVAL": "0.4s", "DISPATCH_MAX_CRASHES": "50"},
    **{"DISPATCH_POLL_INTERVAL": "0.2s", "DISPATCH_LEADER_LEASE": "2s", "DISPATCH_CONCURRENCY": "8"},
}


class Workers:
    """Worker processes, of which one at a time is killed and replaced."""

    def __init__(self, folder: Path, url: str, count: int) -> None:
        (folder / "work.py").write_text(_WORK)
        self.ran = folder / "ran"
        self.ran.touch()
        self._folder, self._url = folder, url
        self._alive = [self._begun() for _ in range(count)]

    def _begun(self) -> subprocess.Popen[bytes]:
        with (self._folder / "log").open("ab") as log:
            return subprocess.Popen(
                [sys.executable, "-m", "dispatch_cli", "run", "work.py", "--store", self._url],
                cwd=self._folder,
                env={**os.environ, **_QUICKLY, "RAN": str(self.ran)},
                stdout=log,
                stderr=subprocess.STDOUT,
            )

    def kill_one(self, rng: random.Random) -> None:
        place = rng.randrange(len(self._alive))
        self._alive[place].kill()
        self._alive[place].wait()
        self._alive[place] = self._begun()

    def stop(self) -> None:
        for process in self._alive:
            process.kill()
            process.wait()

    def runs(self) -> Counter[str]:
        return Counter(self.ran.read_text().split())


async def _storm(folder: Path, *, jobs: int, kills: int, crash: bool, within: float) -> None:
    rng = random.Random(3)
    server = Server(settings=("innodb-flush-log-at-trx-commit=1",))
    store = open_store(server.url)
    await store.open()
    workers = Workers(folder, server.url, 3)
    try:
        made = [NewJob(JobID.new(), "nap", b"{}") for _ in range(jobs)]
        for start in range(0, jobs, 50):
            await store.jobs.enqueue(made[start : start + 50])

        async def completed() -> int:
            try:
                return (await store.jobs.count(CountOptions())).get(JobState.COMPLETED, 0)
            except StoreError:
                return 0

        async def until(done: int) -> None:
            async with asyncio.timeout(within):
                while await completed() < done:
                    await asyncio.sleep(0.1)

        await until(1)
        for kill in range(kills):
            await until(jobs * kill // (kills + 1))
            workers.kill_one(rng)
            if crash and kill == kills // 2:
                server.stop()
                server.start()
        await until(jobs)
        ends = {state: count for state, count in (await store.jobs.count(CountOptions())).items() if count}
        assert ends == {JobState.COMPLETED: jobs}
        runs = workers.runs()
        assert set(runs) == {str(job.id) for job in made}, "nothing is lost"
        extra = sum(runs.values()) - jobs
        # each kill hits what one worker had; the crash of the server what all had
        assert extra <= (kills + (3 if crash else 0)) * 8 * 2, "each extra start has its fault"
    finally:
        workers.stop()
        await store.close()
        server.close()


@pytest.mark.slow
@pytest.mark.proof
@pytest.mark.timeout(600)
async def test_jobs_survive_kills_of_their_workers_and_a_crash_of_the_server(tmp_path: Path) -> None:
    await _storm(tmp_path, jobs=1000, kills=12, crash=True, within=300)
