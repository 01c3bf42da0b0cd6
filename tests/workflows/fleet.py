"""Worker processes over one store: started, killed, started again, and gone at the end."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Awaitable, Callable
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from dispatch import Config, Dispatch, Registry
from dispatch.workflows import RunState

from .processes import registry

ROOT = Path(__file__).parents[2]


def place(kind: str, folder: Path) -> tuple[str, str]:
    """The URL and the namespace of a new store of this kind."""
    if kind == "sqlite":
        return f"sqlite:///{folder}/runs.db", "dispatch"
    from servers.postgres import new_namespace, postgres_url
    from servers.redis import redis_url

    return postgres_url() if kind == "postgres" else redis_url(), new_namespace()


class Fleet:
    """Keeps `size` workers alive: one that has died is followed by another."""

    def __init__(
        self, url: str, namespace: str, folder: Path, *, size: int, module: str = "workflows.processes"
    ) -> None:
        self._command = [sys.executable, "-m", module, url, namespace, str(folder)]
        self._folder = folder
        self._size = size
        self._processes: list[subprocess.Popen[bytes]] = []
        self.kills = 0

    def __enter__(self) -> Self:
        self.refill()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for process in self._processes:
            if process.poll() is None:
                process.kill()
            process.wait()
        if error is not None:
            error.add_note((self._folder / "output").read_text()[-3000:])

    def refill(self) -> None:
        """Starts what is missing."""
        self._processes = [process for process in self._processes if process.poll() is None]
        while len(self._processes) < self._size:
            with (self._folder / "output").open("ab") as output:
                self._processes.append(
                    subprocess.Popen(
                        self._command,
                        env=os.environ | {"PYTHONPATH": os.pathsep.join((str(ROOT / "tests"), str(ROOT)))},
                        cwd=self._folder,
                        stdout=output,
                        stderr=output,
                    )
                )

    def kill(self, pid: int | None = None) -> None:
        """Kills the oldest worker, or this one; another one takes its place."""
        (process,) = [process for process in self._processes if process.pid == (pid or self.pids[0])]
        process.send_signal(signal.SIGKILL)
        process.wait()
        self.kills += 1
        self.refill()

    @property
    def pids(self) -> list[int]:
        """The workers' processes, oldest first."""
        return [process.pid for process in self._processes]

    async def until(self, fact: Callable[[], Awaitable[Any]], *, within: float, every: float = 0.05) -> None:
        """Waits for a fact, looking every so many seconds, and keeps the fleet at its size meanwhile."""
        async with asyncio.timeout(within):
            while not await fact():
                self.refill()
                await asyncio.sleep(every)


class Scene:
    """A store and a folder that a fleet works over."""

    def __init__(self, kind: str, folder: Path, registry: Registry = registry) -> None:
        self.folder = folder
        self.url, self.namespace = place(kind, folder)
        self._registry = registry

    def app(self) -> Dispatch:
        """An app of this process on the store; it runs no worker."""
        return Dispatch(self.url, config=Config(namespace=self.namespace), registry=self._registry)

    def fleet(self, size: int) -> Fleet:
        """Workers over the store."""
        return Fleet(self.url, self.namespace, self.folder, size=size)

    def plan_death(self, *points: str) -> None:
        """The first worker that comes to one of these points dies there."""
        for point in points:
            (self.folder / f"die-{point}").touch()

    def noted(self) -> Counter[str]:
        """What has happened, and how often."""
        log = self.folder / "log"
        return Counter(log.read_text().splitlines() if log.exists() else [])

    def order(self, verb: str) -> list[str]:
        """What was done (or undone), each once, in the order of the first times."""
        lines = (self.folder / "log").read_text().splitlines()
        return list(dict.fromkeys(line.split(" ", 1)[1] for line in lines if line.startswith(f"{verb} ")))

    @property
    def deaths(self) -> int:
        """How many workers died where they were told to."""
        return sum(count for line, count in self.noted().items() if line.startswith("died "))


def counted(app: Dispatch, state: RunState, number: int, *names: str) -> Callable[[], Awaitable[bool]]:
    """Whether that many runs of these workflows are in a state."""

    async def look() -> bool:
        return (await app.workflows.count(names=names))[state] >= number

    return look
