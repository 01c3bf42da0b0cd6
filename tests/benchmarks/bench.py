"""A place to measure in: an empty store, worker processes beside it, and what they cost."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from dispatch.ids import WorkerID

from . import marks

ROOT = Path(__file__).parents[2]
_TICKS = os.sysconf("SC_CLK_TCK")
_LOOK = 0.02


class Bench:
    """One measurement: a store, a queue of its own, a folder for marks."""

    def __init__(self, url: str, folder: Path, *, deadline: float) -> None:
        self.url = url
        self.queue = f"bench-{WorkerID.new().rpartition('_')[2]}"
        self.deadline = deadline
        self._folder = folder
        self._workers: list[subprocess.Popen[bytes]] = []

    def start_worker(self, *, concurrency: int = 400, environment: Mapping[str, str] | None = None) -> float:
        """Starts `dispatch run`; answers when, in CLOCK_MONOTONIC seconds."""
        began = time.monotonic()
        command = [sys.executable, "-m", "dispatch_cli", "run", "benchmarks.work"]
        path = os.pathsep.join(map(str, [ROOT / "tests", ROOT, ROOT / "cli"]))
        self._workers.append(
            subprocess.Popen(
                [*command, "--concurrency", str(concurrency), "--queue", self.queue],
                env={
                    **os.environ,
                    "PYTHONPATH": path,
                    "DISPATCH_STORE": self.url,
                    "DISPATCH_LOG__LEVEL": "warning",
                    marks.FOLDER: str(self._folder),
                    "BENCH_QUEUE": self.queue,
                    **(environment or {}),
                },
            )
        )
        return began

    def wait_for(self, started: int) -> marks.Marks:
        """What the workers noted once so many jobs have started; TimeoutError after the deadline."""
        until = time.monotonic() + self.deadline
        while (noted := marks.read(self._folder)).started < started:
            if any(worker.poll() is not None for worker in self._workers):
                raise RuntimeError(f"a worker ended by itself, after {noted.started} of {started} jobs")
            if time.monotonic() > until:
                raise TimeoutError(f"{noted.started} of {started} jobs started within {self.deadline:g} s")
            time.sleep(_LOOK)
        return noted

    def cpu_seconds(self) -> float:
        """CPU that the workers have used, kernel included."""
        fields = [Path(f"/proc/{worker.pid}/stat").read_text().rpartition(")")[2].split() for worker in self._workers]
        return sum(int(found[11]) + int(found[12]) for found in fields) / _TICKS

    def resident_mib(self) -> float:
        """The largest resident memory of one worker so far, in MiB."""
        peaks = []
        for worker in self._workers:
            lines = Path(f"/proc/{worker.pid}/status").read_text().splitlines()
            peaks += [int(line.split()[1]) / 1024 for line in lines if line.startswith("VmHWM")]
        return max(peaks, default=0.0)

    def stop_workers(self) -> None:
        """Ends what was started here."""
        for worker in self._workers:
            worker.send_signal(signal.SIGTERM)
        for worker in self._workers:
            try:
                worker.wait(10)
            except subprocess.TimeoutExpired:
                worker.kill()
                worker.wait()
        self._workers.clear()


@contextmanager
def fresh(url: str, *, deadline: float) -> Iterator[Bench]:
    """A bench on the store of that URL; "sqlite:///FOLDER/" stands for a new file in that folder.

    On any other store the measured jobs go to a queue of their own and stay there, completed.
    """
    marks_folder = Path(tempfile.mkdtemp(prefix="dispatch-bench-"))
    data = None
    if url.startswith("sqlite:///"):
        data = Path(tempfile.mkdtemp(prefix="dispatch-bench-", dir=url.removeprefix("sqlite:///")))
        url = f"sqlite:///{data}/bench.db"
    bench = Bench(url, marks_folder, deadline=deadline)
    try:
        yield bench
    finally:
        bench.stop_workers()
        for folder in filter(None, (marks_folder, data)):
            shutil.rmtree(folder)
