"""Work done in other processes reaches a subscriber: in order per job, nothing lost or doubled, across restarts."""

from __future__ import annotations

import asyncio
import sys
from collections import defaultdict
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from subprocess import PIPE

import pytest
from servers import redis as redis_server
from servers.postgres import new_namespace, postgres_url

from dispatch import Config, Dispatch, Registry
from dispatch.stores import postgres_schema
from dispatch.streams import Event

WORKER = Path(__file__).with_name("feed_worker.py")
ORDINARY = ["job.enqueued", "job.started", "job.completed"]
RETRIED = ["job.enqueued", "job.started", "job.retrying", "job.started", "job.completed"]


@pytest.fixture
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Config]:
    namespace = new_namespace()
    match request.param:
        case "sqlite":
            yield Config(store=f"sqlite:///{tmp_path / 'feed.db'}", namespace=namespace)
        case "redis":
            yield Config(store=redis_server.redis_url(), namespace=namespace)
            redis_server.forget(namespace)
        case _:
            yield Config(store=postgres_url(), namespace=namespace, migrate="auto")
            asyncio.run(postgres_schema.drop(postgres_url(), namespace))


async def listened(config: Config, jobs: int, *, within: float) -> list[Event]:
    """What a reader gets of `jobs` jobs that two processes do, while it starts anew after each third of the events."""
    expected = sum(len(RETRIED if number % 10 == 0 else ORDINARY) for number in range(jobs // 2)) * 2
    events: list[Event] = []
    position: int | None = None
    workers: list[asyncio.subprocess.Process] = []
    try:
        async with asyncio.timeout(within):
            for part in (1, 2, 3):
                async with Dispatch(config=config, registry=Registry()) as app:
                    feed = await app.feed.subscribe("queue:mine", tenant=None, after=position, buffer=20_000)
                    if not workers:
                        workers = [await started(config, name, jobs // 2) for name in ("left", "right")]
                    while len(events) < expected * part // 3:
                        for item in await feed.pull(500):
                            assert isinstance(item, Event), f"{item} after {len(events)} events"
                            events.append(item)
                    position = events[-1].position
            for worker in workers:
                _, said = await worker.communicate()
                assert worker.returncode == 0, said.decode()
    finally:
        for worker in workers:
            with suppress(ProcessLookupError):
                worker.kill()
    return events


async def started(config: Config, name: str, jobs: int) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        sys.executable, str(WORKER), config.store, config.namespace, name, str(jobs), stderr=PIPE
    )


def check(events: list[Event], jobs: int) -> None:
    assert len({event.id for event in events}) == len(events)
    positions = [event.position for event in events]
    assert positions == sorted(set(positions))
    by_job: defaultdict[str, list[str]] = defaultdict(list)
    for event in events:
        by_job[event.data["job_id"]].append(event.type)
    told = list(by_job.values())
    assert len(told) == jobs
    assert all(types in (ORDINARY, RETRIED) for types in told)
    assert sum(types == RETRIED for types in told) == jobs // 10


@pytest.mark.parametrize("place", ["sqlite", "redis", "postgresql"], indirect=True)
@pytest.mark.timeout(60)
async def test_a_few_hundred_events_across_two_restarts_of_the_reader(place: Config) -> None:
    check(await listened(place, 100, within=50), 100)


@pytest.mark.proof
@pytest.mark.parametrize("place", ["sqlite", "redis", "postgresql"], indirect=True)
@pytest.mark.timeout(300)
async def test_ten_thousand_events_across_two_restarts_of_the_reader(place: Config) -> None:
    check(await listened(place, 3_200, within=280), 3_200)
