"""Forwarders of an outbox that are killed at any moment: what was committed comes to Redis exactly once."""

from __future__ import annotations

import asyncio
import random
import signal
import sqlite3
import subprocess
import sys
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from servers.postgres import new_namespace, postgres_url
from servers.redis import forget, redis_url

from dispatch.ids import JobID, WorkerID
from dispatch.jobs.model import CountOptions, NewJob, Transition, Verdict
from dispatch.stores import open_store
from dispatch.stores.outbox import WithOutbox

_FORWARD = """
import asyncio, sys
from dispatch.engine.forwarder import Forwarder
from dispatch.stores import open_store

async def main(redis, outbox, namespace):
    store, rows = open_store(redis, namespace=namespace), open_store(outbox, namespace=namespace)
    await store.open()
    await rows.open()
    forwarder = Forwarder(store, rows, poll=0.05, lease=1.0)
    while True:
        await forwarder.run_once()

asyncio.run(main(*sys.argv[1:]))
"""


class Forwarders:
    """Two processes that move jobs, of which one at a time is killed and replaced."""

    def __init__(self, *arguments: str) -> None:
        self._command = [sys.executable, "-c", _FORWARD, *arguments]
        self._alive = [self._begun() for _ in range(2)]

    def _begun(self) -> subprocess.Popen[bytes]:
        return subprocess.Popen(self._command)

    def kill_one(self, rng: random.Random) -> None:
        place = rng.randrange(len(self._alive))
        self._alive[place].kill()
        self._alive[place].wait()
        self._alive[place] = self._begun()

    def stop(self) -> None:
        for process in self._alive:
            process.kill()
            assert process.wait(20) == -signal.SIGKILL


@pytest.fixture
async def stores(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[tuple[WithOutbox, str, str]]:
    namespace = new_namespace()
    url = postgres_url() if request.param == "postgres" else f"sqlite:///{tmp_path}/shop.db"
    made = WithOutbox(open_store(redis_url(), namespace=namespace), open_store(url, namespace=namespace))
    await made.open()
    yield made, url, namespace
    await made.close()
    forget(namespace)


async def _buy(stores: WithOutbox, url: str, orders: int, rng: random.Random) -> set[JobID]:
    """Commits or rolls back orders with their jobs; answers the ids that were committed."""
    inside: Any = stores.jobs
    await inside.prepare_inside()
    committed = set()
    for _ in range(orders):
        jobs = [NewJob(JobID.new(), "work", b"{}") for _ in range(rng.randint(1, 3))]
        keeps = rng.random() < 0.7
        if url.startswith("sqlite"):
            await asyncio.to_thread(_in_file, inside, url.removeprefix("sqlite:///"), jobs, keeps)
        else:
            connection = await asyncpg.connect(url)
            transaction = connection.transaction()
            await transaction.start()
            await inside.enqueue_inside(connection, jobs)
            await (transaction.commit() if keeps else transaction.rollback())
            await connection.close()
        committed |= {job.id for job in jobs} if keeps else set()
    return committed


def _in_file(inside: Any, file: str, jobs: list[NewJob], keeps: bool) -> None:
    db = sqlite3.connect(file, timeout=30.0)
    db.execute("BEGIN IMMEDIATE")
    inside.enqueue_inside_here(db, jobs)
    if keeps:
        db.commit()
    else:
        db.rollback()
    db.close()


async def _work(stores: WithOutbox, ran: Counter[JobID], over: asyncio.Event) -> None:
    """Runs what comes, and removes it at once: a job that came a second time would run again."""
    worker, jobs = WorkerID.new(), stores.store.jobs
    while not over.is_set():
        claimed = await jobs.claim(worker, queues={"default": 50}, names=["work"], limit=50, lease=60.0)
        ran.update(job.id for job in claimed.jobs)
        await jobs.finish(worker, [Transition(job.id, job.epoch, Verdict.COMPLETE) for job in claimed.jobs])
        for job in claimed.jobs:
            await jobs.delete(job.id)
        await asyncio.sleep(0.01)


async def _storm(stores: WithOutbox, url: str, namespace: str, *, orders: int, kills: int) -> None:
    rng = random.Random(7)
    ran: Counter[JobID] = Counter()
    over = asyncio.Event()
    forwarders = Forwarders(redis_url(), url, namespace)
    working = asyncio.ensure_future(_work(stores, ran, over))
    try:
        committed: set[JobID] = set()
        for _ in range(kills):
            committed |= await _buy(stores, url, orders // kills, rng)
            await asyncio.sleep(rng.uniform(0.0, 0.1))
            forwarders.kill_one(rng)

        async def all_moved() -> bool:
            open_rows = await stores.outbox.jobs.count(CountOptions())
            return set(ran) >= committed and not any(open_rows.values())

        async with asyncio.timeout(90):
            while not await all_moved():
                await asyncio.sleep(0.1)
    finally:
        forwarders.stop()
        over.set()
        await working
    assert set(ran) == committed, "what was rolled back never existed"
    assert max(ran.values()) == 1, "nothing comes twice"


@pytest.mark.slow
@pytest.mark.parametrize("stores", ["sqlite"], indirect=True)
async def test_what_was_committed_comes_once_whoever_is_killed(stores: tuple[WithOutbox, str, str]) -> None:
    await _storm(*stores, orders=60, kills=6)


@pytest.mark.slow
@pytest.mark.proof
@pytest.mark.timeout(600)
@pytest.mark.parametrize("stores", ["sqlite", "postgres"], indirect=True)
async def test_what_was_committed_comes_once_whoever_is_killed_many_times(stores: tuple[WithOutbox, str, str]) -> None:
    await _storm(*stores, orders=600, kills=40)
