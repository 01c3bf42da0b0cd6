"""What happens in `dispatch demo`, act by act, over the public API alone."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections.abc import Awaitable, Callable
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from dispatch import Dispatch, hookimpl
from dispatch.clock import boot_seconds
from dispatch.config import load
from dispatch.dlq.model import DLQEntry
from dispatch.errors import JobFailed
from dispatch.jobs.model import CountOptions, Failure, Job, JobState, ListOptions
from dispatch_cli import demo_tasks as tasks

_PATIENCE = 30.0
_SEALED = 3


@dataclass
class Facts:
    """What the demo did, counted by the store."""

    files: int = 0
    completed: int = 0
    retried: int = 0
    dead_letters: int = 0
    replayed: int = 0
    workers_killed: int = 0
    taken_over: int = 0
    lost: int = 0
    report: str = ""

    def document(self) -> dict[str, Any]:
        """As JSON."""
        return asdict(self)


class Story:
    """Tells the demo on a console while it makes it happen."""

    def __init__(self, folder: Path, sources: list[Path], *, console: Console) -> None:
        self._folder = folder
        self._sources = sources
        self._console = console
        self._facts = Facts(files=len(sources))

    async def tell(self) -> Facts:
        """All acts, in order."""
        config = load(file=self._folder / "dispatch.toml", env={}, cwd=self._folder).config
        app = Dispatch(config=config, registry=tasks.registry, plugins=[self])
        self._say(f"Working in {self._folder}")
        async with app:
            await app.start()
            await self._batch(app)
            await self._retries(app)
            await self._dead_letter(app)
            await app.stop()
            await self._killed_worker(app)
            await self._count(app)
        return self._facts

    async def _batch(self, app: Dispatch) -> None:
        self._act("1", f"{len(self._sources)} files, two jobs each, enqueued in one transaction per kind")
        where = str(self._folder)
        started = boot_seconds()
        indexed = await tasks.index_file.enqueue_many([tasks.index_file.call(str(f), where) for f in self._sources])
        packed = await tasks.compress_file.enqueue_many(
            [tasks.compress_file.call(str(f), where) for f in self._sources]
        )
        sizes = [await handle.result(timeout=_PATIENCE) for handle in indexed]
        copies = [await handle.result(timeout=_PATIENCE) for handle in packed]
        elapsed = boot_seconds() - started
        lines = sum(size["lines"] for size in sizes)
        before, after = (sum(copy[key] for copy in copies) for key in ("before", "after"))
        self._say(f"{len(sizes) + len(copies)} jobs done in {elapsed:.2f} s: {lines:,} lines indexed,")
        self._say(f"{before / 1024:,.0f} KB compressed to {after / 1024:,.0f} KB")

    async def _retries(self, app: Dispatch) -> None:
        self._act("2", "a job that fails twice is tried again after a pause, and recovers")
        handle = await tasks.notify_mirror.enqueue(len(self._sources))
        self._say(await handle.result(timeout=_PATIENCE), "green")

    async def _dead_letter(self, app: Dispatch) -> None:
        self._act("3", "a job that cannot succeed becomes a dead letter; fixed and replayed, it does")
        handle = await tasks.write_report.enqueue(str(self._folder))
        try:
            await handle.result(timeout=_PATIENCE)
        except JobFailed as error:
            self._say(f"gave up: {error.type}: {error.message.rpartition(error.type + ': ')[2]}", "red")
        entry = await self._open_letter(app)
        self._say(f"dead letter {entry.id}")
        self._say('settings.json says {"top_words": "ten"}; corrected to {"top_words": 10}')
        (self._folder / "settings.json").write_text('{"top_words": 10}\n')
        job_id = await app.dlq.replay(entry.id)
        self._facts.replayed += 1
        self._say(f"$ dispatch dlq replay {entry.id}", "bold")
        job = await app.jobs.wait(job_id, timeout=_PATIENCE)
        report = self._folder / "report.md"
        self._facts.report = report.read_text() if job.state is JobState.COMPLETED else ""
        self._say(f"replayed as {job_id}: {job.state}, {report.name} is written", "green")

    async def _killed_worker(self, app: Dispatch) -> None:
        self._act("4", f"a worker process takes {_SEALED} long jobs, and is killed with SIGKILL")
        where = str(self._folder)
        longest = sorted(self._sources, key=lambda file: -file.stat().st_size)[:_SEALED]
        handles = await tasks.seal_file.enqueue_many([tasks.seal_file.call(str(file), where) for file in longest])
        victim = self._second_worker()
        try:
            await self._until(lambda: self._running(app, _SEALED), "the second worker did not take the jobs")
        finally:
            victim.kill()
            victim.wait()
        self._facts.workers_killed += 1
        self._say(f"kill -9 {victim.pid}: its {_SEALED} jobs stay behind, marked as running", "red")
        started = boot_seconds()
        self._say("another worker starts; when the leases lapse (1.5 s) it takes the jobs over")
        await app.start()
        for handle in handles:
            await handle.result(timeout=_PATIENCE)
        self._say(f"all {_SEALED} jobs done {boot_seconds() - started:.1f} s after the kill", "green")
        await app.stop()

    def _second_worker(self) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", "dispatch_cli", "run", "dispatch_cli.demo_tasks:registry"]
        environment = {name: text for name, text in os.environ.items() if not name.startswith("DISPATCH_")}
        with (self._folder / "second-worker.log").open("wb") as log:
            return subprocess.Popen(
                [*command, "--config", str(self._folder / "dispatch.toml"), "--log-format", "json"],
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )

    async def _running(self, app: Dispatch, count: int) -> bool:
        return len((await app.jobs.list(ListOptions(states=(JobState.RUNNING,)))).items) >= count

    async def _open_letter(self, app: Dispatch) -> DLQEntry:
        page = await app.dlq.list()
        self._facts.dead_letters += len(page.items)
        return page.items[0]

    async def _until(self, true: Callable[[], Awaitable[bool]], otherwise: str) -> None:
        deadline = boot_seconds() + _PATIENCE
        while not await true():
            if boot_seconds() > deadline:
                raise TimeoutError(otherwise)
            await asyncio.sleep(0.05)

    async def _count(self, app: Dispatch) -> None:
        counts = await app.jobs.count(CountOptions())
        facts = self._facts
        facts.completed = counts[JobState.COMPLETED]
        expected = 2 * facts.files + 1 + 1 + _SEALED
        facts.lost = expected - facts.completed

    # -- the plugin: what the worker tells while it works ------------------------------------------------------------

    @hookimpl
    def job_retrying(self, job: Job, attempt: int, next_run_at: datetime) -> None:
        self._facts.retried += 1
        error = job.error or Failure("", "")
        self._say(f"{job.name}: attempt {attempt} failed: {error.type}: {error.message}", "yellow")

    @hookimpl
    def job_stolen(self, job: Job) -> None:
        self._facts.taken_over += 1
        self._say(f"{job.name} {job.id} taken over", "yellow")

    # -- the screen ----------------------------------------------------------------------------------------------------

    def _act(self, number: str, title: str) -> None:
        head = Table.grid(padding=(0, 2, 0, 0))
        head.add_row(Text(number, "bold cyan"), Text(title, "bold cyan"))
        self._console.print()
        self._console.print(head)

    def _say(self, text: str, style: str = "") -> None:
        self._console.print(Padding(Text(text, style), (0, 0, 0, 3), expand=False))

    def summary(self, facts: Facts, elapsed: float, *, kept: Path | None) -> None:
        """The table at the end."""
        table = Table(box=None, show_header=False, pad_edge=False, padding=(0, 2, 0, 3))
        table.add_column(style="bold")
        table.add_column(justify="right")
        for name, value in (
            ("files read", facts.files),
            ("jobs completed", facts.completed),
            ("failed attempts retried", facts.retried),
            ("dead letters, replayed", facts.replayed),
            ("workers killed", facts.workers_killed),
            ("jobs taken over", facts.taken_over),
            ("jobs lost", facts.lost),
            ("seconds", f"{elapsed:.1f}"),
        ):
            table.add_row(name, str(value))
        self._act("=", "what the store counted")
        self._console.print(table)
        self._console.print()
        if kept is not None:
            self._say(f"Look around: dispatch job list --store sqlite:///{kept}/demo.db")
        self._say("Your own: dispatch run yourapp.tasks")
