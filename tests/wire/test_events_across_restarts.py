"""A client hears of everything that other processes do, once and in order, over restarts of the server it talks to."""

from __future__ import annotations

import asyncio
import os
import sys
from collections import defaultdict
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest
from servers.postgres import free_port, new_namespace, postgres_url
from servers.redis import redis_url

from dispatch import Dispatch, Registry
from dispatch.client import Client
from dispatch.config import load

pytestmark = pytest.mark.proof
JOBS = 3_400
"""Three events each: more than 10,000."""
_TASKS = """
from dispatch import job


@job
async def noop(number: int) -> None: ...
"""
STORES: dict[str, Callable[[Path], str]] = {
    "sqlite": lambda folder: f"sqlite:///{folder}/feed.db",
    "postgres": lambda folder: postgres_url(),
    "redis": lambda folder: redis_url(),
}


class Command:
    """A `dispatch` process."""

    def __init__(self, folder: Path, environment: dict[str, str], *words: str) -> None:
        self._folder, self._environment, self._words = folder, environment, words

    async def start(self) -> None:
        self.process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "dispatch_cli",
            *self._words,
            cwd=self._folder,
            env=self._environment,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.DEVNULL,
        )

    async def kill(self) -> None:
        with suppress(ProcessLookupError):
            self.process.kill()
        await self.process.wait()


@pytest.mark.parametrize("kind", list(STORES))
async def test_ten_thousand_events_arrive_once_and_in_order_over_two_restarts(kind: str, tmp_path: Path) -> None:
    (tmp_path / "feedtasks.py").write_text(_TASKS)
    store, namespace, port = STORES[kind](tmp_path), new_namespace(), free_port()
    environment = {
        **os.environ,
        "DISPATCH_STORE": store,
        "DISPATCH_NAMESPACE": namespace,
        "PYTHONPATH": os.pathsep.join([str(tmp_path), *sys.path]),
    }
    server = Command(tmp_path, environment, "serve", "--port", str(port))
    workers = [Command(tmp_path, environment, "run", "feedtasks", "-c", "100") for _ in range(2)]
    registry = Registry()

    @registry.job
    async def noop(number: int) -> None: ...

    config = load(env=environment, cwd=tmp_path).config
    async with Dispatch(config=config, registry=registry) as app:
        token = (await app.keys.create("feed", scopes=["subscribe", "stats:read"])).token
        await server.start()
        client = await _connected(f"http://127.0.0.1:{port}", token)
        try:
            events = await client.subscribe("jobs")
            for worker in workers:
                await worker.start()
            seen: dict[str, list[str]] = defaultdict(list)
            ids: set[str] = set()
            told = restarts = 0
            position: int | None = None
            calls = [noop.call(number) for number in range(JOBS)]
            enqueuing = asyncio.create_task(_enqueue(app, calls))
            async with asyncio.timeout(240):
                while told < 3 * JOBS:
                    event = await anext(events)
                    if event.type == "lagged":  # read too slowly: what was left out is there to be asked for
                        await events.close()
                        events = await client.subscribe("jobs", after=position)
                        continue
                    position = event.after
                    assert event.type.startswith("job."), event
                    assert event.id not in ids
                    ids.add(event.id)
                    seen[event.data["job_id"]].append(event.type)
                    told += 1
                    if told in (2_000, 6_000):
                        restarts += 1
                        await server.kill()
                        await server.start()
            await enqueuing
            assert restarts == 2
            assert len(seen) == JOBS
            assert {tuple(types) for types in seen.values()} == {("job.enqueued", "job.started", "job.completed")}
        finally:
            await client.close()
            for command in (server, *workers):
                if hasattr(command, "process"):
                    await command.kill()


async def _enqueue(app: Dispatch, calls: list[object]) -> None:
    for start in range(0, len(calls), 200):
        await app.enqueue_calls(calls[start : start + 200])  # type: ignore[arg-type]
        await asyncio.sleep(0)


async def _connected(url: str, token: str) -> Client:
    async with asyncio.timeout(60):
        while True:
            try:
                return await Client.connect(url, token=token, timeout=60)
            except ConnectionError:
                await asyncio.sleep(0.05)
