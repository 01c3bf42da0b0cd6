"""Webhooks while workers are killed and sinks misbehave: each event arrives under one id, no endpoint delays others."""

from __future__ import annotations

import asyncio
import itertools
import os
import random
import signal
import subprocess
import sys
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from dispatch_relay import RelayExtension
from dispatch_relay.addresses import Allowed
from dispatch_relay.sender import Sender
from dispatch_relay.signing import new_secret
from servers.postgres import Server, new_namespace, postgres_url
from servers.redis import RedisServer

from dispatch import Config, Dispatch
from dispatch.dlq.model import ListOptions as Letters
from dispatch.jobs.model import ListOptions
from dispatch.registry import Registry
from dispatch.scope import use_scope

from .relay_worker import LOCAL, config, extension, work
from .webhook_sink import Received, Reply, sink

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
FATES = ("ok", "errors", "hangs", "busy", "resets")
"""Each is the path of an endpoint and the tenant whose events it gets; "all" gets everybody's, "gone" answers 410."""


@dataclass
class Behaviour:
    """Every event fails once on most endpoints, each in its way."""

    seen: dict[tuple[str, str], int] = field(default_factory=lambda: defaultdict(int))

    def __call__(self, received: Received) -> Reply:
        fate = received.path.removeprefix("/")
        self.seen[fate, received.id] += 1
        if fate == "gone":
            return Reply(410)
        if self.seen[fate, received.id] > 1:
            return Reply(204, body=b"")
        match fate:
            case "errors":
                return Reply(500, body=b"oops")
            case "hangs" if len(self.seen) % 10 == 0:
                return Reply(hang=True)
            case "busy":
                return Reply(429, {"Retry-After": "1"})
            case "resets":
                return Reply(reset=True)
        return Reply()


@contextmanager
def workers(store: str, namespace: str, count: int, log: Path) -> Iterator[Callable[[], None]]:
    """Worker processes; the function that is given kills one and starts another."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), *filter(None, sys.path)])}
    running: list[subprocess.Popen[bytes]] = []

    def start() -> None:
        with log.open("ab") as out:
            command = [sys.executable, "-m", "tests.plugins.relay_worker", store, namespace]
            running.append(subprocess.Popen(command, env=environment, stdout=out, stderr=out, cwd=ROOT))

    def kill() -> None:
        process = running.pop(random.randrange(len(running)))
        process.send_signal(signal.SIGKILL)
        assert process.wait(10) == -signal.SIGKILL, log.read_text()[-2000:]
        start()

    for _ in range(count):
        start()
    try:
        yield kill
    finally:
        for process in running:
            process.kill()
            process.wait(10)


@asynccontextmanager
async def outside(store: str, namespace: str) -> AsyncIterator[tuple[Dispatch, RelayExtension]]:
    """An app that enqueues and looks, and runs nothing."""
    relay = extension(0.5)
    async with Dispatch(store, config=config(namespace), registry=Registry(), plugins=[relay]) as app:
        yield app, relay


async def storm(store: str, folder: Path, *, events: int, kills: int, every: float, limit: float) -> None:
    """Jobs end on three workers of which one is killed now and then; their webhooks go to seven endpoints."""
    namespace = new_namespace()
    secret, behaviour = new_secret(), Behaviour()
    async with sink(secret, behaviour) as server, outside(store, namespace) as (app, relay):
        webhooks = relay.webhooks(app)
        for fate in FATES:
            tenant = f"app/{fate}"
            await webhooks.add(
                fate, f"{server.url}/{fate}", events=["job.completed"], tenant=tenant, secret=secret, concurrency=4
            )
        await webhooks.add("all", f"{server.url}/all", events=["job.completed"], secret=secret, concurrency=4)
        await webhooks.add("gone", f"{server.url}/gone", events=["job.completed"], secret=secret, concurrency=4)
        with workers(store, namespace, 3, folder / "workers.log") as kill_one:
            expected: dict[str, set[str]] = {fate: set() for fate in FATES}
            number = itertools.count()
            killed = 0
            for batch in range(kills):
                for fate in FATES:
                    with use_scope("app", fate):
                        calls = [work.call(next(number)) for _ in range(events // kills // len(FATES))]
                        handles = await app.enqueue_calls(calls)
                    expected[fate] |= {str(handle.id) for handle in handles}
                await asyncio.sleep(every)
                kill_one()
                killed = batch + 1
            everything = set().union(*expected.values())
            assert killed == kills and len(everything) == events

            def got(path: str) -> set[str]:
                arrived = [one for one in server.received if one.path == f"/{path}"]
                return {
                    one.body["data"]["job_id"] for one in arrived if behaviour.seen[path, one.id] >= _needed(path, one)
                }

            def done() -> bool:
                return got("all") >= everything and all(got(fate) >= expected[fate] for fate in FATES)

            await server.reached(done, limit)
            await _all_ended(app, limit)
        assert all(one.verified for one in server.received)
        ids = {one.body["data"]["job_id"]: one.id for one in server.received if one.path == "/all"}
        assert len(set(ids.values())) == events
        for one in server.received:
            if one.body["type"] == "dispatch.job.completed":
                assert ids[one.body["data"]["job_id"]] == one.id
                assert one.body["data"]["job_name"] == "work"
        for fate in FATES:
            assert got(fate) == expected[fate]
        gone = [one for one in server.received if one.path == "/gone"]
        assert 1 <= len(gone) <= 4 * (1 + kills)  # those under way at once, and as many where a worker was killed
        assert not (await webhooks.get("gone")).enabled
        assert [letter.job_name for letter in (await app.dlq.list(Letters())).items] == []
        told = (await app.store.stream.read_after(["job.completed", "job.started", "job.enqueued"], 0)).entries
        assert all(b"relay.deliver" not in entry.data for entry in told)


def _needed(path: str, one: Received) -> int:
    """How many attempts it took: the first one was refused on purpose by these."""
    return 2 if path in ("errors", "busy", "resets") else 1


async def _all_ended(app: Dispatch, limit: float) -> None:
    """Waits until no delivery is waiting or running."""
    from dispatch.jobs.model import JobState

    going = [JobState.PENDING, JobState.RUNNING, JobState.RETRYING]
    async with asyncio.timeout(limit):
        while (await app.jobs.list(ListOptions(states=going, kinds=("delivery", "job"), limit=1))).items:
            await app.store.wakeups.wait(app.store.wakeups.version, 0.2)


@pytest.mark.slow
@pytest.mark.timeout(120)
async def test_webhooks_survive_kills_and_bad_sinks(tmp_path: Path) -> None:
    await storm(f"sqlite:///{tmp_path}/dispatch.db", tmp_path, events=60, kills=2, every=1.0, limit=60)


@pytest.mark.proof
@pytest.mark.timeout(1300)
async def test_a_thousand_events_on_sqlite_while_workers_are_killed_ten_times(tmp_path: Path) -> None:
    await storm(f"sqlite:///{tmp_path}/dispatch.db", tmp_path, events=1000, kills=10, every=2.0, limit=600)


@pytest.mark.proof
@pytest.mark.timeout(1300)
async def test_a_thousand_events_on_postgresql_while_workers_are_killed_ten_times(tmp_path: Path) -> None:
    server = Server({})
    try:
        await storm(server.url, tmp_path, events=1000, kills=10, every=2.0, limit=600)
    finally:
        server.close()


@pytest.mark.proof
@pytest.mark.timeout(1300)
async def test_three_hundred_events_on_redis_while_workers_are_killed_four_times(tmp_path: Path) -> None:
    server = RedisServer("--appendonly", "yes", "--appendfsync", "always")
    try:
        await storm(server.url, tmp_path, events=300, kills=4, every=2.0, limit=600)
    finally:
        server.close()


@pytest.mark.slow
async def test_a_crash_right_after_the_commit_of_an_outcome_loses_no_webhook(tmp_path: Path) -> None:
    store, secret = f"sqlite:///{tmp_path}/dispatch.db", new_secret()
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), *filter(None, sys.path)])}
    async with sink(secret) as server, outside(store, "dispatch") as (app, relay):
        await relay.webhooks(app).add("a", server.url, events=["job.completed"], secret=secret)
        [handle] = await app.enqueue_calls([work.call(1)])
        dying = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "tests.plugins.relay_worker", store, "dispatch", "die"),
            env=environment,
            cwd=ROOT,
            stdout=subprocess.DEVNULL,
        )
        assert await asyncio.wait_for(dying.wait(), 30) == -signal.SIGKILL
        assert (await handle.result(timeout=5)) == 1
        assert server.received == []
        with workers(store, "dispatch", 1, tmp_path / "workers.log"):
            await server.reached(lambda: bool(server.received), 30)
        assert [one.body["data"]["job_id"] for one in server.received] == [handle.id]
        assert server.received[0].verified


@pytest.mark.slow
async def test_on_postgresql_what_is_rolled_back_with_the_users_transaction_is_told_to_nobody() -> None:
    import asyncpg

    secret = new_secret()
    relay = extension(5.0)
    registry = Registry()
    registry.add(work)
    app = Dispatch(postgres_url(), config=config(new_namespace()), registry=registry, plugins=[relay])
    async with sink(secret) as server, app:
        await relay.webhooks(app).add("a", server.url, events=["job.enqueued"], secret=secret)
        connection = await asyncpg.connect(postgres_url())
        transaction = connection.transaction()
        await transaction.start()
        await work.options(connection=connection).enqueue(1)
        await transaction.rollback()
        async with connection.transaction():
            kept = await work.options(connection=connection).enqueue(2)
        await connection.close()
        await app.start()
        later = await app.enqueue(work, 3)
        await server.reached(lambda: len(server.received) == 2, 20)
        assert {one.body["data"]["job_id"] for one in server.received} == {kept.id, later.id}


@pytest.mark.slow
async def test_endpoints_that_hang_do_not_hold_up_the_others(tmp_path: Path) -> None:
    """Their attempts take all of 15 seconds; everybody else has everything long before."""
    secret = new_secret()
    reply = lambda one: Reply(hang=one.path.startswith("/hangs"))  # noqa: E731
    relay = RelayExtension(allow_http=True, allow_hosts=LOCAL, sender=Sender(Allowed(LOCAL), timeout=15.0))
    registry = Registry()
    registry.add(work)
    async with sink(secret, reply) as server:
        app = Dispatch(f"sqlite:///{tmp_path}/dispatch.db", config=Config(), registry=registry, plugins=[relay])
        async with app:
            webhooks = relay.webhooks(app)
            for name in ("hangs1", "hangs2", "hangs3", "well1", "well2"):
                await webhooks.add(name, f"{server.url}/{name}", events=["job.completed"], secret=secret)
            await app.start()
            await app.enqueue_calls([work.call(n) for n in range(50)])

            def arrived(name: str) -> int:
                return len({one.id for one in server.received if one.path == f"/{name}"})

            await server.reached(lambda: arrived("well1") == 50 and arrived("well2") == 50, 14.0)
            assert arrived("hangs1") == arrived("hangs2") == arrived("hangs3") == 2
            await app.stop(0)
