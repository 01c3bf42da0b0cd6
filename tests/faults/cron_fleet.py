"""Worker processes on one store of any kind, for tests of cron: started, found by what the store says, killed."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from dispatch.crons.model import ListOptions as CronOptions
from dispatch.crons.model import Tick
from dispatch.entity import LARGEST_PAGE
from dispatch.jobs.model import ListOptions
from dispatch.store import Store
from dispatch.stores import open_store

T = TypeVar("T")
LEASE = 2.0
ROOT = Path(__file__).parents[2]


@dataclass
class Fleet:
    """Worker processes on one store, found again by what the store says of them."""

    url: str
    folder: Path
    namespace: str = "dispatch"
    processes: dict[int, subprocess.Popen[bytes]] = field(default_factory=dict)

    def start(self, tasks: str = "ticking.py", **variables: str) -> int:
        """Starts one more worker for these tasks; answers its pid."""
        environment = os.environ | {
            "PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "cli"), str(ROOT / "plugins")]),
            "DISPATCH_LEASE": f"{LEASE}s",
            "DISPATCH_LEADER_LEASE": f"{LEASE}s",
            "DISPATCH_HEARTBEAT_INTERVAL": f"{LEASE / 5}s",
            "DISPATCH_POLL_INTERVAL": "0.2s",
            "DISPATCH_NAMESPACE": self.namespace,
            **variables,
        }
        command = [sys.executable, "-m", "dispatch_cli", "run", tasks, "--store", self.url, "-c", "40"]
        with (self.folder / f"worker-{len(self.processes)}.log").open("wb") as output:
            process = subprocess.Popen(command, cwd=self.folder, env=environment, stdout=output, stderr=output)
        self.processes[process.pid] = process
        return process.pid

    def ask(self, question: Callable[[Store], Awaitable[T]]) -> T:
        """What the store answers."""

        async def run() -> T:
            store = open_store(self.url, namespace=self.namespace, migrate="auto")
            await store.open()
            try:
                return await question(store)
            finally:
                await store.close()

        return asyncio.run(run())

    def leader(self, *, within: float = 60.0) -> int:
        """The pid of the worker that leads, once one of ours does."""
        deadline = time.monotonic() + within
        while time.monotonic() < deadline:
            pid = self.ask(_leader_pid)
            if pid in self.processes and self.processes[pid].poll() is None:
                return pid
            time.sleep(0.1)
        raise AssertionError(f"nobody leads after {within} s\n{self.logs()}")

    async def manned(self, store: Store) -> bool:
        """Whether every process that runs has come so far as to be a worker."""
        alive = {worker.pid for worker in await store.cluster.list(live=True)}
        return all(pid in alive for pid, process in self.processes.items() if process.poll() is None)

    def kill(self, pid: int) -> None:
        """SIGKILL, and another worker in its place."""
        self.processes[pid].kill()
        self.processes[pid].wait()
        self.start()

    def until(self, question: Callable[[Store], Awaitable[bool]], *, within: float = 90.0) -> None:
        """Returns once the store's answer is yes."""
        deadline = time.monotonic() + within
        while not self.ask(question):
            assert time.monotonic() < deadline, f"not within {within} s\n{self.logs()}"
            time.sleep(0.05)

    def end(self) -> None:
        """Lets every worker end gracefully."""
        running = [process for process in self.processes.values() if process.poll() is None]
        for process in running:
            process.terminate()
        for process in running:
            process.wait(30)

    def logs(self) -> str:
        """The end of what each worker said."""
        return "\n".join(f"--- {file.name}\n{file.read_text()[-1500:]}" for file in sorted(self.folder.glob("*.log")))


async def _leader_pid(store: Store) -> int:
    leadership = await store.cluster.leadership()
    worker = None if leadership is None else await store.cluster.get(leadership.leader)
    return 0 if worker is None else worker.pid


@contextmanager
def fleet(kind: str, folder: Path, *, tasks: str, workers: int = 3) -> Iterator[Fleet]:
    """A fleet on a fresh store of that kind; every worker is gone at the end."""
    (folder / "ticking.py").write_text(tasks)
    made = _fleet_on(kind, folder)
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


def _fleet_on(kind: str, folder: Path) -> Fleet:
    if kind == "sqlite":
        return Fleet(f"sqlite:///{folder}/jobs.db", folder)
    from servers.postgres import new_namespace

    if kind == "postgres":
        from servers.postgres import postgres_url

        return Fleet(postgres_url(), folder, new_namespace())
    from servers.redis import redis_url

    return Fleet(redis_url(), folder, new_namespace())


async def ticks_of(store: Store) -> dict[str, list[Tick]]:
    """Each entry's ticks, oldest first."""
    entries = (await store.crons.list(CronOptions(limit=LARGEST_PAGE))).items
    return {entry.name: list(await store.crons.history(entry.id, limit=10_000))[::-1] for entry in entries}


async def jobs_of(store: Store) -> list[tuple[str, str]]:
    """(id, arguments) of every job there is."""
    found, cursor = list[tuple[str, str]](), None
    while True:
        page = await store.jobs.list(ListOptions(limit=LARGEST_PAGE, cursor=cursor))
        found += [(str(job.id), job.payload.decode()) for job in page.items]
        cursor = page.next_cursor
        if cursor is None:
            return found
