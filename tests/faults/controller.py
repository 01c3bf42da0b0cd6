"""Starts the processes of a run, does things to them, waits for facts, and leaves nothing behind."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from dispatch import Config, Dispatch
from dispatch.jobs.definition import Call
from dispatch.stores import open_store

from . import producer, work
from .checker import Plan, Report, check
from .events import Event, EventLog, Tail
from .history import Dump, Ledger
from .sql_ledger import SQLLedger
from .sqlite_ledger import SQLiteLedger

TESTS = Path(__file__).parents[1]
ROOT = TESTS.parent
_LOOK = 0.01


@dataclass(slots=True, eq=False)
class Process:
    """A process of the run."""

    popen: subprocess.Popen[bytes]
    output: Path
    stopped: bool = False
    worker: str | None = None
    """The worker's id, once it claims."""
    open: dict[tuple[str, int], Event] = field(default_factory=dict)
    """Handlers that have started and not ended: (job, epoch) → the start."""
    stale: int = 0
    """Outcomes that the store refused it."""
    exit: Event | None = None
    """What a worker that ended by itself said last."""
    producing: bool = False

    @property
    def pid(self) -> int:
        return self.popen.pid

    @property
    def up(self) -> bool:
        """It works, and a SIGTERM ends it gracefully; before that a signal just ends it."""
        return self.worker is not None or self.producing

    @property
    def alive(self) -> bool:
        return self.popen.returncode is None


class Controller:
    """One run in one folder: a store (a SQLite file there, unless another ledger is given), an event log, and the
    processes that use them."""

    def __init__(
        self,
        folder: Path,
        *,
        store: Path | None = None,
        ledger: Ledger | None = None,
        workers_url: str | None = None,
        **worker: object,
    ) -> None:
        self.db = (store or folder) / "jobs.db"
        self.ledger = ledger or SQLiteLedger(self.db)
        self._workers_url = workers_url or self.ledger.url
        self.events = folder / "events.jsonl"
        self.log = EventLog(self.events)
        self.processes: list[Process] = []
        self._folder = folder
        self._tail = Tail(self.events)
        self._worker = worker
        self._by_pid: dict[int, Process] = {}
        asyncio.run(self._prepare())

    async def _prepare(self) -> None:
        async with self.app():
            pass
        self.ledger.write_down()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for process in self.processes:
            if process.popen.poll() is None:
                process.popen.kill()
                process.popen.wait()
        self.log.close()
        self.ledger.close()
        if error is not None:
            error.add_note("\n".join(f"--- {p.output.name}\n{p.output.read_text()[-1500:]}" for p in self.processes))

    def app(self) -> Dispatch:
        """An app on the run's store, to enqueue with."""
        store = open_store(self.ledger.url, namespace=self.ledger.namespace)
        return Dispatch(store, config=Config(), registry=work.registry)

    def enqueue(self, calls: Sequence[tuple[str, Call[Any]]]) -> None:
        """Enqueues (serial, call) pairs from this process."""

        async def run() -> None:
            async with self.app() as app:
                await producer.enqueue(app, self.log, calls)

        asyncio.run(run())

    # -- processes -----------------------------------------------------------------------------------------------

    def worker(self, **options: object) -> Process:
        """Starts a worker."""
        return self._spawn("worker", self._worker | options)

    def producer(self, prefix: str, **options: object) -> Process:
        """Starts a process that enqueues in a tight loop."""
        return self._spawn("producer", {"prefix": prefix, **options})

    def _spawn(self, module: str, options: dict[str, object]) -> Process:
        output = self._folder / f"{module}-{len(self.processes)}.log"
        command = [sys.executable, "-m", f"faults.{module}", "--log", str(self.events)]
        command += ["--store", self._workers_url, "--namespace", self.ledger.namespace]
        command += [f"--{name.replace('_', '-')}={value}" for name, value in options.items() if value is not None]
        environment = os.environ | {"PYTHONPATH": os.pathsep.join((str(TESTS), str(ROOT)))}
        with output.open("wb") as file:
            popen = subprocess.Popen(command, stdout=file, stderr=file, env=environment, cwd=self._folder)
        process = Process(popen, output)
        self.processes.append(process)
        self._by_pid[process.pid] = process
        return process

    def kill(self, process: Process) -> None:
        """SIGKILL."""
        self.log.add("kill", pid=process.pid)
        process.popen.kill()
        self.reap(process)

    def stop(self, process: Process) -> None:
        """SIGSTOP; returns once the process stands still."""
        self.log.add("stop", pid=process.pid)
        os.kill(process.pid, signal.SIGSTOP)
        os.waitid(os.P_PID, process.pid, os.WSTOPPED)
        process.stopped = True

    def resume(self, process: Process) -> None:
        """SIGCONT."""
        os.kill(process.pid, signal.SIGCONT)
        process.stopped = False
        self.log.add("cont", pid=process.pid)

    def terminate(self, process: Process) -> None:
        """SIGTERM; the process ends when it is ready to."""
        self.log.add("term", pid=process.pid)
        process.popen.terminate()

    def reap(self, process: Process, timeout: float = 30.0) -> int:
        """Waits for the end of a process; answers its exit code."""
        code = process.popen.wait(timeout)
        self.log.add("dead", pid=process.pid, code=code)
        return code

    # -- the store -----------------------------------------------------------------------------------------------

    @contextlib.contextmanager
    def outage(self) -> Iterator[None]:
        """Nobody can write inside the block."""
        with contextlib.ExitStack() as away:
            self.log.add("outage")
            away.enter_context(self.ledger.outage())
            yield
        self.log.add("outage_over")

    def query(self, sql: str, *params: object) -> list[tuple[object, ...]]:
        """One look at the store's tables, where it has some."""
        assert isinstance(self.ledger, SQLLedger)
        return self.ledger.query(sql, *params)

    def unfinished(self) -> int:
        """How many jobs have not reached a terminal state."""
        return self.ledger.unfinished()

    # -- facts ---------------------------------------------------------------------------------------------------

    def look(self) -> list[Event]:
        """Reads what the actors have logged since the last look, and answers all of it."""
        for event in self._tail.poll():
            process = self._by_pid.get(event["by"])
            if process is None:
                continue
            match event["kind"]:
                case "ready":
                    process.worker = event["worker"]
                case "producing":
                    process.producing = True
                case "start":
                    process.open[event["job"], event["epoch"]] = event
                case "end" | "broken_off":
                    process.open.pop((event["job"], event["epoch"]), None)
                case "answered":
                    process.stale += sum(reply == "stale" for *_, reply in event["answers"])
                case "exit":
                    process.exit = event
        return self._tail.events

    def seen(self, kind: str, **fields: object) -> list[Event]:
        """The events of a kind with these fields, so far."""
        return [e for e in self.look() if e["kind"] == kind and all(e.get(k) == v for k, v in fields.items())]

    def until(self, fact: Callable[[], object], what: str, *, timeout: float = 90.0) -> None:
        """Waits until the fact is true; fails when it is not within the timeout, or when a worker ends unasked."""
        deadline = time.monotonic() + timeout
        while True:
            self.look()
            if fact():
                return
            if time.monotonic() > deadline:
                raise AssertionError(f"not within {timeout:g} s: {what}")
            time.sleep(_LOOK)

    def until_running(self, process: Process, least: int = 1) -> None:
        """Waits until the worker runs at least so many handlers."""
        self.until(lambda: len(process.open) >= least, f"{process.output.name} runs {least} handlers")

    def until_done(self, *, timeout: float = 60.0) -> None:
        """Waits until no job is left."""
        self.until(lambda: self.unfinished() == 0, "every job has ended", timeout=timeout)

    def finish(self) -> None:
        """Ends all workers and producers gracefully; each must say goodbye with exit code 0."""
        left = [process for process in self.processes if process.alive]
        for process in left:
            self.until(lambda it=process: it.up, f"{process.output.name} is up")
            self.terminate(process)
        codes = {process.output.name: self.reap(process) for process in left}
        assert set(codes.values()) <= {0}, f"exit codes {codes}"

    def dump(self) -> Dump:
        return self.ledger.dump()

    def verdict(self, plan: Plan, title: str) -> Report:
        """Lets the checker judge the run, prints its figures, and fails on any violation."""
        report = check(self.look(), self.dump(), plan)
        print(f"{title}: {report.figures}")
        assert not report.violations, "\n".join([*report.violations[:20], str(report.figures)])
        return report
