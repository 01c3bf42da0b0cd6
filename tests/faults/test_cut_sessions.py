"""Sessions cut by the server, again and again, also while workers start and stop: no worker ends by itself."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any

import asyncpg
import pytest
from dispatch_relay import RelayExtension
from servers.postgres import Server
from servers.redis import RedisServer

from dispatch import Config, Dispatch
from dispatch.engine.opening import open_patiently
from dispatch.engine.run import RunOptions, run_worker
from dispatch.registry import Registry

WORKERS = 4
CUTS, STARTS = 150, 24
"""So many, and at least so many."""
Cut = Callable[[], Awaitable[None]]

registry = Registry()


@registry.job(max_retries=1000)
async def work(number: int) -> int:
    await asyncio.sleep(0.01)
    return number


@asynccontextmanager
async def postgres() -> AsyncIterator[tuple[str, Cut]]:
    server = Server()
    connection = await asyncpg.connect(server.url)

    async def cut() -> None:
        await connection.execute(
            "SELECT pg_terminate_backend(pid) FROM (SELECT pid FROM pg_stat_activity WHERE pid <> pg_backend_pid() "
            "AND backend_type = 'client backend' ORDER BY random() LIMIT 1) AS one"
        )

    try:
        yield server.url, cut
    finally:
        await connection.close()
        server.close()


@asynccontextmanager
async def redis() -> AsyncIterator[tuple[str, Cut]]:
    server = RedisServer()
    admin: Any = server.admin

    async def cut() -> None:
        others = {one["id"] for one in admin.client_list()} - {str(admin.client_id())}
        if others:
            admin.client_kill_filter(_id=random.choice(sorted(others)))

    try:
        yield server.url, cut
    finally:
        admin.close()
        server.close()


@pytest.mark.slow
@pytest.mark.timeout(180)
@pytest.mark.parametrize("server", [postgres, redis])
async def test_no_worker_ends_by_itself_because_its_sessions_are_cut(
    server: Callable[[], Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dispatch.engine.opening._LONGEST_PAUSE", 0.3)
    config = Config(
        migrate="auto",
        concurrency=5,
        lease=timedelta(seconds=10),
        heartbeat_interval=timedelta(seconds=0.4),
        max_crashes=1000,
    )
    starts = cuts = 0

    def app_of(url: str) -> Dispatch:
        return Dispatch(url, config=config, registry=registry, plugins=[RelayExtension(allow_http=True)])

    def enough() -> bool:
        return starts >= STARTS and cuts >= CUTS

    async def workers(url: str) -> None:
        """One worker after the other, each told to stop after a moment of its life."""
        nonlocal starts
        while not enough():
            app, stop = app_of(url), asyncio.Event()
            await open_patiently(app)
            asyncio.get_running_loop().call_later(random.uniform(0.1, 1.0), stop.set)
            async with app:
                report = await run_worker(app, RunOptions(signals=False), stop=stop)
            assert report.reason == "stopped"
            starts += 1

    async def cutter(cut: Cut) -> None:
        nonlocal cuts
        while cuts < CUTS:
            await cut()
            cuts += 1
            await asyncio.sleep(random.uniform(0, 0.06))

    async with server() as (url, cut):
        async with app_of(url) as app:
            handles = await app.enqueue_calls([work.call(n) for n in range(100)])
        async with asyncio.TaskGroup() as group:
            group.create_task(cutter(cut))
            for _ in range(WORKERS):
                group.create_task(workers(url))
        async with app_of(url) as app:
            await app.start()
            for handle in handles:
                await app.jobs.wait(handle.id, timeout=60)
