"""A folder with a seeded store and a tasks module, and the command run in this process or another."""

from __future__ import annotations

import asyncio
import contextlib
import io
import json
import logging
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from dispatch_cli.apikey import EXAMPLE as APIKEY
from dispatch_cli.main import main

from dispatch.cluster.model import Announcement, NewWorker
from dispatch.crons.model import CronSpec, Fire, NewTick
from dispatch.events.model import Event
from dispatch.ids import CronID, JobID, RunID, WorkerID
from dispatch.jobs.model import Failure, NewJob, Transition, Verdict
from dispatch.registry import default_registry
from dispatch.store import Store
from dispatch.stores import open_store
from dispatch.workflows.model import FinishRun, NewCheckpoint, NewRun, Park, Record, WaitFor, driver_id

SOON = datetime(2100, 1, 1, 2, tzinfo=UTC)
TASKS = '''"""Jobs for the examples."""
from dispatch import WorkflowContext, cron, current_job, job, workflow


@job(max_retries=0)
def add(x: int, y: int = 2) -> int:
    """Adds two numbers."""
    return x + y


@job(queue="mailers", max_retries=1)
async def send_email(to: str) -> str:
    """Sends nothing."""
    return f"sent to {to}"


@job(max_retries=0)
def explode() -> None:
    raise ValueError("no \\x1b[31mgood")


@job
async def order(x: int) -> str:
    return (await add.enqueue(x)).id


@cron("0 3 * * *", name="nightly", timezone="Europe/Berlin")
@job
async def nightly_report() -> None: ...


@workflow(version=2, queue="shop")
async def checkout(ctx: WorkflowContext, order: int, token: str = "") -> None:
    await ctx.step("charge", add, order)
    await ctx.sleep("1h", name="pause")
    await ctx.step("ship", add, order)
    await ctx.wait_for_event("payment.cleared", key=f"order-{order}", name="payment")
'''


@dataclass(frozen=True)
class Seeds:
    """Ids of what the seeded store holds."""

    pending: str
    completed: str
    failed: str
    running: str
    odd: str
    letter: str
    other_letter: str
    worker: str
    run_done: str
    run_waiting: str
    run_failed: str
    event: str
    apikey: str


@dataclass(frozen=True)
class Ran:
    """What a command did."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)

    @property
    def lines(self) -> list[str]:
        return self.out.splitlines()


async def _seed(store: Store) -> Seeds:
    ids = [JobID.new() for _ in range(7)]
    pending, completed, failed, running, odd, first, second = ids
    letter = b'{"amount": 3, "api_key": "s3cret"}'
    await store.jobs.enqueue(
        [
            NewJob(completed, "add", b'{"x": 1}', tags=("nightly",)),
            NewJob(failed, "add", b'{"x": 2}'),
            NewJob(running, "add", b'{"x": 3}', queue="slow"),
            NewJob(first, "charge_card", letter, queue="mailers", metadata={"token": "hidden", "team": "a"}),
            NewJob(second, "charge_card", letter, queue="mailers"),
        ]
    )
    worker = WorkerID.new()
    await store.cluster.register(
        NewWorker(worker, "here", 1, queues=("default",), names=("add",), concurrency=1, lease=3600)
    )
    claimed = await store.jobs.claim(
        worker, queues={"default": 9, "mailers": 9, "slow": 9}, names=["add", "charge_card"], limit=9, lease=3600
    )
    epochs = {job.id: job.epoch for job in claimed.jobs}
    trace = Failure(
        "ValueError", "card \x1b[31mrefused", 'Traceback (most recent call last):\n  File "pay.py"\nValueError'
    )
    fail = {"failure": trace, "reason": "exhausted"}
    ended = await store.jobs.finish(
        worker,
        [
            Transition(completed, epochs[completed], Verdict.COMPLETE, result=b'{"sum": 3}'),
            Transition(failed, epochs[failed], Verdict.FAIL, failure=trace, reason="failed"),
            Transition(first, epochs[first], Verdict.FAIL, dead_letter=True, **fail),
            Transition(second, epochs[second], Verdict.FAIL, dead_letter=True, **fail),
        ],
    )
    await store.cluster.announce(
        [
            Announcement(
                "add",
                "job",
                schema={"properties": {"x": {}, "y": {}}, "required": ["x"], "additionalProperties": False},
            ),
            Announcement("send_email", "job", queue="mailers", schema={"properties": {"to": {"type": "string"}}}),
        ]
    )
    await store.jobs.enqueue(
        [NewJob(pending, "send_email", b'{"to": "ada"}', queue="mailers"), NewJob(odd, "odd", b"\xff\x1b[2J no json")]
    )
    await _seed_crons(store, worker)
    await store.queues.pause("slow", by="ada", reason="the disk is full", duration=3600)
    letters = [done.dead_letter for done in ended if done.dead_letter is not None]
    runs, event = await _seed_runs(store, worker)
    apikey = {"hash": "0" * 64, "name": "deploy", "scopes": ["job:read"], "scope": ["", ""], "created_by": "ada"}
    await store.records.put("apikey", APIKEY, json.dumps(apikey).encode())
    return Seeds(pending, completed, failed, running, odd, letters[0], letters[1], worker, *runs, event, APIKEY)


def _new_run(order: int) -> NewRun:
    run_id = RunID.new()
    payload = b'{"order": %d, "token": "s3cret"}' % order
    driver = NewJob(driver_id(run_id), "checkout@2", payload, kind="workflow", run_id=run_id, queue="shop")
    return NewRun(run_id, "checkout", 2, driver)


async def _seed_runs(store: Store, worker: WorkerID) -> tuple[list[str], str]:
    """One run that has completed, one that waits for an event, one that has failed; and an event."""
    workflows = store.workflows
    news = [_new_run(n) for n in (1, 2, 3)]
    for new in news:
        await workflows.create([new])
        (job,) = (await store.jobs.claim(worker, queues={"shop": 1}, names=["checkout@2"], limit=1, lease=3600)).jobs
        held = (new.id, job.id, job.epoch)
        steps = [
            NewCheckpoint("charge", "step", b'{"amount": 3, "password": "s3cret"}', started_at=job.started_at),
            NewCheckpoint("pause", "sleep", b'{"until": "2026-05-01T09:00:00+00:00"}'),
            NewCheckpoint("ship", "step", b'"%d"' % len(new.id + str(new.driver.payload))),
        ]
        await workflows.record(worker, [Record(*held, steps)])
        if new is news[0]:
            await workflows.finish(worker, [FinishRun(*held, "completed", result=b'{"sent": true}')])
        elif new is news[1]:
            await workflows.wait(
                worker, [WaitFor(*held, "payment", ("payment.cleared",), key="order-2", timeout=86400)]
            )
            (loaded,) = await workflows.load([job.id])
            await workflows.park(worker, [Park(*held, loaded.run.wake_seq)])
        else:
            wrong = Failure("ValueError", "sold \x1b[31mout", "Traceback: sold out")
            await workflows.compensate(worker, job.id, job.epoch, failure=wrong, reason="exhausted")
            await workflows.finish(worker, [FinishRun(*held, "failed", reason="exhausted", dead_letter=False)])
    checkout = {"properties": {"order": {"type": "integer"}}, "required": ["order"], "additionalProperties": False}
    await store.cluster.announce(
        [Announcement("checkout", "workflow", queue="shop", schema=checkout, version=version) for version in (2, 3)]
    )
    event = await store.events.publish(Event("stock.arrived", b'{"sku": "a-1"}', key="a-1"))
    return [new.id for new in news], event.id


async def _seed_crons(store: Store, worker: WorkerID) -> None:
    """An entry of live code with a history, one that somebody made and disabled, one whose code is gone; a leader."""
    nightly = CronSpec(name="nightly", schedule="0 3 * * *", target="nightly_report", timezone="Europe/Berlin")
    gone = CronSpec(name="gone", schedule="@daily", target="report")
    await store.crons.announce(worker, {spec.digest: spec for spec in (nightly, gone)})
    await store.crons.settle(next_fire_at={spec.digest: SOON for spec in (nightly, gone)})
    await store.crons.announce(worker, {nightly.digest: nightly})
    await store.crons.settle(next_fire_at={})
    paused = CronSpec(name="paused", schedule="@hourly", target="add", payload=b'{"x": 1, "api_key": "s3cret"}')
    await store.crons.create(paused, entry_id=CronID.new(), next_fire_at=SOON)
    await store.crons.disable("paused", reason="the disk is full", by="ada")
    entry = await store.crons.get("nightly")
    assert entry is not None
    past = SOON - timedelta(days=365)
    ticks = [NewTick(past, "missed"), NewTick(past + timedelta(days=1), "manual")]
    await store.crons.fire([Fire(entry.id, entry.revision, SOON, ticks, SOON)])
    await store.cluster.acquire_leadership(worker, lease=3600)


@pytest.fixture(scope="session")
def template(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Seeds]:
    """A seeded store, made once."""
    folder = tmp_path_factory.mktemp("template")

    async def make() -> Seeds:
        store = open_store(f"sqlite:///{folder}/dispatch.db")
        await store.open()
        try:
            return await _seed(store)
        finally:
            await store.close()

    return folder, asyncio.run(make())


@pytest.fixture(autouse=True)
def clean(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """No DISPATCH_* variables, no colours by force; definitions, modules and log handlers as they were."""
    for name in [*os.environ]:
        if name.startswith("DISPATCH_") or name in ("NO_COLOR", "FORCE_COLOR"):
            monkeypatch.delenv(name)
    shelves = (default_registry.jobs, default_registry.workflows, default_registry.crons)
    before: list[dict[Any, Any]] = [dict(shelf) for shelf in shelves]
    path, modules = [*sys.path], {*sys.modules}
    root = logging.getLogger("dispatch")
    handlers, level, propagate, last_resort = [*root.handlers], root.level, root.propagate, logging.lastResort
    yield
    for shelf, kept in zip(shelves, before, strict=True):
        shelf.clear()
        shelf.update(kept)
    sys.path[:] = path
    for name in {*sys.modules} - modules:
        if name.startswith("examples_") or name.partition(".")[0] == "myapp":
            del sys.modules[name]
    root.handlers[:], root.propagate, logging.lastResort = handlers, propagate, last_resort
    root.setLevel(level)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty project, current while the test runs."""
    (tmp_path / "examples_tasks.py").write_text(TASKS)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def seeds(folder: Path, template: tuple[Path, Seeds]) -> Seeds:
    """A project with a copy of the seeded store."""
    for file in template[0].glob("dispatch.db*"):
        shutil.copy(file, folder / file.name)
    return template[1]


def run(*argv: str, stdin: str = "") -> Ran:
    """The command in this process, piped."""
    out, err, before = io.StringIO(), io.StringIO(), sys.stdin
    sys.stdin = io.StringIO(stdin)
    try:
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            code = main(argv)
    finally:
        sys.stdin = before
    return Ran(code, out.getvalue(), err.getvalue())


def spawn(*argv: str, **options: Any) -> subprocess.Popen[str]:
    """The command in a process of its own."""
    return subprocess.Popen(
        [sys.executable, "-m", "dispatch_cli", *argv],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        **options,
    )
