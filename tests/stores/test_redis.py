"""What holds for the Redis store beside the conformance suite: its URLs, options, scripts, protocols and layouts."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator, Iterator, Sequence
from typing import Any

import pytest
import redis
from redis_calls import claim, complete, count, jobs, opened
from servers.postgres import new_namespace
from servers.redis import RedisServer, forget, redis_url

import dispatch.stores.redis
from dispatch.clock import ManualClock
from dispatch.entity import Reply
from dispatch.errors import (
    ConfigError,
    DataRejected,
    DuplicateJob,
    SchemaMismatch,
    StoreAway,
    StoreBusy,
    StoreCorrupt,
    StoreFull,
    StoreReadOnly,
    StoreTimeout,
    StoreUnreachable,
)
from dispatch.ids import JobID
from dispatch.jobs.model import JobState, NewJob, Unique
from dispatch.stores import open_store
from dispatch.stores.redis import RedisStore, address, scripts, server
from dispatch.stores.redis.errors import store_error
from dispatch.stores.redis.link import Link
from dispatch.stores.redis.wire import Call, Refusal
from dispatch.testing.conformance import cases, run_case


@pytest.fixture
async def store() -> AsyncIterator[RedisStore]:
    async with opened(redis_url()) as made:
        yield made
    forget(made.namespace)


@pytest.fixture
def own() -> Iterator[RedisServer]:
    """A server that the test may ruin."""
    started = RedisServer("--appendonly", "yes", "--appendfsync", "always")
    yield started
    started.close()


@pytest.mark.parametrize(
    ("url", "kind", "options"),
    [
        ("redis://host", "tcp", {"host": "host", "port": 6379, "db": 0}),
        (
            "valkey://u:p%40ss@h:7000/3",
            "tcp",
            {"host": "h", "port": 7000, "db": 3, "username": "u", "password": "p@ss"},
        ),
        ("rediss://h/1?ssl_ca_certs=/ca.pem", "tls", {"host": "h", "port": 6379, "db": 1, "ssl_ca_certs": "/ca.pem"}),
        ("valkeys://[::1]:7001", "tls", {"host": "::1", "port": 7001, "db": 0}),
        ("redis+unix:///run/redis.sock?db=2", "unix", {"path": "/run/redis.sock", "db": 2}),
    ],
)
def test_a_url_says_where_the_server_is(url: str, kind: str, options: dict[str, Any]) -> None:
    found = address.parse(url)
    assert (found.kind, dict(found.options)) == (kind, options)


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("redis://h/jobs", "'jobs' is no database"),
        ("redis://h?timeout=3", r"unknown parameter 'timeout'.*\[redis\]"),
        ("redis+unix://?db=0", "names no socket"),
        ("redis://h:99999", "Port"),
        ("redis://u:s3cret@h/x", r"redis://u:\*\*\*@h/x"),
    ],
)
def test_a_wrong_url_says_what_is_wrong_without_its_password(url: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message) as caught:
        open_store(url)
    assert "s3cret" not in str(caught.value)


def test_a_wrong_option_is_a_configuration_error() -> None:
    for options in ({"protocol": 4}, {"migrate": "later"}, {"namespace": "a{b}"}, {"speed": 3}):
        with pytest.raises(ConfigError):
            open_store("redis://h", **options)


def test_a_server_that_would_lose_jobs_or_is_too_old_is_refused() -> None:
    fine = {"redis_version": "7.0.15", "redis_mode": "standalone", "maxmemory_policy": "noeviction"}
    server.check(fine, "redis://h", allow_eviction=False)
    server.check({"redis_version": "7.2.4", "valkey_version": "9.0.1"}, "redis://h", allow_eviction=False)
    with pytest.raises(StoreUnreachable, match=r"6\.2\.1.*7\.0 or newer"):
        server.check({**fine, "redis_version": "6.2.1"}, "redis://h", allow_eviction=False)
    with pytest.raises(StoreUnreachable, match="cluster mode"):
        server.check({**fine, "redis_mode": "cluster"}, "redis://h", allow_eviction=False)
    with pytest.raises(ConfigError, match=r"allkeys-lru.*noeviction.*allow_eviction"):
        server.check({**fine, "maxmemory_policy": "allkeys-lru"}, "redis://h", allow_eviction=False)
    server.check({**fine, "maxmemory_policy": "allkeys-lru"}, "redis://h", allow_eviction=True)


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (Refusal("LOADING Redis is loading the dataset in memory"), StoreAway),
        (Refusal("MASTERDOWN Link with MASTER is down"), StoreAway),
        (Refusal("READONLY You can't write against a read only replica"), StoreReadOnly),
        (Refusal("MISCONF Redis is configured to save"), StoreReadOnly),
        (Refusal("OOM command not allowed"), StoreFull),
        (Refusal("BUSY Redis is busy running a script"), StoreBusy),
        (Refusal("WRONGTYPE Operation against"), StoreCorrupt),
        (Refusal("ERR DB index is out of range"), StoreUnreachable),
        (Refusal("ERR what"), StoreCorrupt),
        (Refusal("what"), StoreCorrupt),
        (TimeoutError(), StoreTimeout),
        (ConnectionResetError(), StoreAway),
        (ConnectionRefusedError("refused"), StoreAway),
    ],
)
def test_what_redis_says_becomes_a_store_error(error: Exception, kind: type[Exception]) -> None:
    assert type(store_error(error, "redis://h")) is kind
    assert store_error(ZeroDivisionError(), "redis://h") is None


def test_every_script_compiles_and_those_that_let_workers_go_on_may_run_without_memory() -> None:
    client = redis.Redis.from_url(redis_url())
    for name in scripts.names():
        script = scripts.load(name)
        assert client.script_load(script.source) in (script.sha, script.sha.encode()), name
    client.close()
    workers = ("claim", "renew", "finish", "steal", "cancel", "beat", "extend_term", "prune", "delete")
    starting = ("announce", "cron_announce", "configure", "register")
    for name in (*workers, *starting):
        assert "allow-oom" in scripts.load(name).source.partition("\n")[0], name
    for name in ("enqueue", "enqueue_plain", "enqueue_now", "publish", "put_record", "replay", "load"):
        assert "allow-oom" not in scripts.load(name).source.partition("\n")[0], name


@pytest.mark.parametrize("case", [c for c in cases() if c.name.startswith(("payloads.", "jobs_read.", "stream."))])
async def test_the_older_protocol_gives_the_same_answers(case: Any) -> None:
    async def make(clock: ManualClock) -> RedisStore:
        return RedisStore(redis_url(), namespace=new_namespace(), clock=clock, protocol=2)

    await run_case(case, make)


async def test_a_call_that_waited_for_its_turn_has_only_the_rest_of_its_time(monkeypatch: pytest.MonkeyPatch) -> None:
    limits: list[float] = []
    exchange = Link.exchange

    async def noted(self: Link, commands: Sequence[Call], limit: float) -> list[Any]:
        limits.append(limit)
        return await exchange(self, commands, limit)

    async with opened(redis_url(), connections=1, timeout=10) as store:
        monkeypatch.setattr(Link, "exchange", noted)
        taken = store._client.command("BLPOP", store._client.prefix + "nothing", "0.2")
        await asyncio.gather(taken, store._client.command("PING"))
        first, second = limits
        assert second < first - 0.15
    forget(store.namespace)


@pytest.fixture
def without_hiredis(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the module that imports it meets; the driver keeps the parser that it chose when it was imported."""
    monkeypatch.delattr(dispatch.stores.redis, "link", raising=False)
    monkeypatch.setitem(sys.modules, "dispatch.stores.redis.link", None)


@pytest.mark.usefixtures("without_hiredis")
@pytest.mark.parametrize("protocol", [2, 3])
async def test_without_hiredis_the_driver_does_the_same(protocol: int) -> None:
    async with opened(redis_url(), protocol=protocol) as store:
        assert {type(link).__name__ for link in store._client._idle} == {"DriverLink"}
        await store.jobs.enqueue(jobs(450))
        with pytest.raises(DuplicateJob):
            await store.jobs.enqueue([*jobs(1, unique=Unique("k")), *jobs(1, unique=Unique("k", on_conflict="raise"))])
        client = redis.Redis.from_url(redis_url())
        client.script_flush()
        client.close()
        assert await complete(store, await claim(store, 450)) == [Reply.APPLIED] * 450
        with pytest.raises(DataRejected):
            await store.jobs.enqueue([NewJob(JobID.new(), "\ud800", b"{}")])
        async with opened(redis_url(), namespace=store.namespace) as other:
            seen = store.wakeups.version
            waiting = asyncio.create_task(store.wakeups.wait(seen, 20.0))
            while not waiting.done():
                await other.jobs.enqueue(jobs(1))
                await asyncio.wait([waiting], timeout=0.05)
            assert await waiting != seen
    forget(store.namespace)


@pytest.mark.usefixtures("without_hiredis")
async def test_without_hiredis_a_server_that_is_not_there_or_wants_a_password_is_told(own: RedisServer) -> None:
    with pytest.raises(StoreUnreachable, match=r"cannot be reached"):
        await RedisStore("redis://127.0.0.1:1").open()
    own.admin.config_set("requirepass", "s3cret")
    with pytest.raises(StoreUnreachable, match="password"):
        await RedisStore(own.url).open()
    with pytest.raises(StoreUnreachable, match="wrong"):
        await RedisStore(own.url.replace("//", "//:not@")).open()


async def test_an_empty_namespace_becomes_a_store_unless_told_not_to() -> None:
    namespace = new_namespace()
    async with opened(redis_url(), namespace=namespace, migrate="never") as store:
        assert (await store.schema()).pending == ("0003_start",)
        with pytest.raises(SchemaMismatch, match="is no store yet; run `dispatch store migrate`"):
            await store.jobs.enqueue(jobs(1))
        assert await store.migrate() == ["0003_start"]
        assert await store.migrate() == []
        await store.jobs.enqueue(jobs(1))
    forget(namespace)


@pytest.mark.parametrize(
    ("schema", "advice"), [(99, "upgrade"), (1, "Copy it with the version"), (2, "Copy it with the version")]
)
async def test_a_namespace_of_another_layout_is_refused_and_stays_as_it_is(schema: int, advice: str) -> None:
    namespace = new_namespace()
    client = redis.Redis.from_url(redis_url())
    client.set(f"{{{namespace}}}:schema", schema)
    for migrate in ("auto", "empty", "never"):
        with pytest.raises(SchemaMismatch, match=rf"schema {schema}\b.*{advice}"):
            await RedisStore(redis_url(), namespace=namespace, migrate=migrate).open()
    assert client.get(f"{{{namespace}}}:schema") == str(schema).encode()
    client.close()
    forget(namespace)


async def test_namespaces_do_not_see_each_other(store: RedisStore) -> None:
    await store.jobs.enqueue(jobs(3))
    async with opened(redis_url()) as other:
        assert await claim(other, 5) == []
        assert await count(other, JobState.PENDING) == 0
    forget(other.namespace)


async def test_without_a_test_clock_the_time_is_the_servers(store: RedisStore) -> None:
    client = redis.Redis.from_url(redis_url())
    before = client.time()
    await store.jobs.enqueue(jobs(1))
    (job,) = await claim(store, 1)
    after = client.time()
    client.close()
    assert job.started_at is not None
    assert before <= divmod(round(job.started_at.timestamp() * 1_000_000), 1_000_000) <= after
