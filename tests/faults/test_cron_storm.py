"""Schedulers are killed and stopped while they lead: each tick of each entry makes one job, and none is missing."""

from __future__ import annotations

import asyncio
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from itertools import pairwise
from pathlib import Path
from typing import TypeVar

import pytest

from dispatch.crons.model import ListOptions as CronOptions
from dispatch.crons.model import Tick
from dispatch.entity import LARGEST_PAGE
from dispatch.jobs.model import ListOptions
from dispatch.store import Store
from dispatch.stores import open_store

T = TypeVar("T")
LEASE = 2.0
ROOT = Path(__file__).parents[2]
TASKS = """
from dispatch import cron, job

@job
async def beat(n: int) -> None: ...

for n in range({count}):
    cron("@every 1s", name=f"beat-{{n:02}}", misfire="all", overlap="allow", call=lambda n=n: beat.call(n))(beat)
"""


@dataclass
class Fleet:
    """Worker processes on one store, found again by what the store says of them."""

    url: str
    folder: Path
    processes: dict[int, subprocess.Popen[bytes]] = field(default_factory=dict)

    def start(self) -> None:
        """Starts one more worker."""
        environment = os.environ | {
            "PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "cli"), str(ROOT / "plugins")]),
            "DISPATCH_LEASE": f"{LEASE}s",
            "DISPATCH_LEADER_LEASE": f"{LEASE}s",
            "DISPATCH_HEARTBEAT_INTERVAL": f"{LEASE / 5}s",
            "DISPATCH_POLL_INTERVAL": "0.2s",
        }
        command = [sys.executable, "-m", "dispatch_cli", "run", "ticking.py", "--store", self.url, "-c", "40"]
        with (self.folder / f"worker-{len(self.processes)}.log").open("wb") as output:
            process = subprocess.Popen(command, cwd=self.folder, env=environment, stdout=output, stderr=output)
        self.processes[process.pid] = process

    def ask(self, question: Callable[[Store], Awaitable[T]]) -> T:
        """What the store answers."""

        async def run() -> T:
            store = open_store(self.url, migrate="auto")
            await store.open()
            try:
                return await question(store)
            finally:
                await store.close()

        return asyncio.run(run())

    def leader(self, *, within: float = 20.0) -> int:
        """The pid of the worker that leads, once one of ours does."""
        deadline = time.monotonic() + within
        while time.monotonic() < deadline:
            pid = self.ask(_leader_pid)
            if pid in self.processes and self.processes[pid].poll() is None:
                return pid
            time.sleep(0.1)
        raise AssertionError(f"nobody leads after {within} s\n{self.logs()}")

    def kill(self, pid: int) -> None:
        """SIGKILL, and another worker in its place."""
        self.processes[pid].kill()
        self.processes[pid].wait()
        self.start()

    def logs(self) -> str:
        """The end of what each worker said."""
        return "\n".join(f"--- {file.name}\n{file.read_text()[-1500:]}" for file in sorted(self.folder.glob("*.log")))


async def _leader_pid(store: Store) -> int:
    leadership = await store.cluster.leadership()
    worker = None if leadership is None else await store.cluster.get(leadership.leader)
    return 0 if worker is None else worker.pid


@contextmanager
def fleet(url: str, folder: Path, *, entries: int, workers: int = 3) -> Iterator[Fleet]:
    (folder / "ticking.py").write_text(TASKS.format(count=entries))
    made = Fleet(url, folder)
    made.ask(lambda store: store.ping())
    try:
        for _ in range(workers):
            made.start()
        yield made
    finally:
        for process in made.processes.values():
            if process.poll() is None:
                process.send_signal(signal.SIGCONT)
                process.kill()
            process.wait()


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


async def _ticks(store: Store) -> dict[str, list[Tick]]:
    entries = (await store.crons.list(CronOptions(limit=LARGEST_PAGE))).items
    return {entry.name: list(await store.crons.history(entry.id, limit=10_000))[::-1] for entry in entries}


async def _jobs(store: Store) -> list[tuple[str, str]]:
    """(id, arguments) of every job there is."""
    found, cursor = list[tuple[str, str]](), None
    while True:
        page = await store.jobs.list(ListOptions(limit=LARGEST_PAGE, cursor=cursor))
        found += [(str(job.id), job.payload.decode()) for job in page.items]
        cursor = page.next_cursor
        if cursor is None:
            return found


def judge(made: Fleet, *, entries: int, least: int) -> None:
    """One job a tick, one tick a second, from the first to the last, for every entry."""
    assert made.leader()  # so that the last gap is closed
    time.sleep(2.0)
    for process in made.processes.values():
        if process.poll() is None:
            process.terminate()
    for process in made.processes.values():
        process.wait(30)
    ticks, jobs = made.ask(_ticks), made.ask(_jobs)
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
    with fleet(f"sqlite:///{tmp_path}/jobs.db", tmp_path, entries=8) as made:
        made.leader()
        storm(made, seconds=9, kills=2, stops=1)
        judge(made, entries=8, least=8)


@pytest.mark.proof
@pytest.mark.timeout(300)
def test_forty_entries_a_second_for_forty_five_seconds_with_twelve_kills_and_six_stops(tmp_path: Path) -> None:
    with fleet(f"sqlite:///{tmp_path}/jobs.db", tmp_path, entries=40) as made:
        made.leader()
        storm(made, seconds=45, kills=12, stops=6)
        judge(made, entries=40, least=44)
