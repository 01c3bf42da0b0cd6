"""What holds for the Redis store beside the conformance suite: its server, its scripts, and what goes wrong there."""

from __future__ import annotations

import asyncio
import signal
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
import redis
from redis_audit import audit
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
from dispatch.ids import JobID, WorkerID
from dispatch.jobs.model import CountOptions, Job, JobState, NewJob, Transition, Unique, Verdict
from dispatch.stores import open_store
from dispatch.stores.redis import RedisStore, address, scripts, server
from dispatch.stores.redis.errors import store_error
from dispatch.stores.redis.wire import Refusal
from dispatch.testing.conformance import cases, run_case

WORKER = WorkerID.new()


@asynccontextmanager
async def opened(url: str, **options: Any) -> AsyncIterator[RedisStore]:
    """A store in a namespace of its own."""
    store = RedisStore(url, namespace=options.pop("namespace", new_namespace()), **options)
    await store.open()
    try:
        yield store
    finally:
        await store.close()


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


def jobs(count: int, **options: Any) -> list[NewJob]:
    return [NewJob(JobID.new(), "work", b"{}", **options) for _ in range(count)]


async def claim(store: RedisStore, limit: int) -> list[Job]:
    answer = await store.jobs.claim(WORKER, queues={"default": limit}, names=["work"], limit=limit, lease=30.0)
    return answer.jobs


async def complete(store: RedisStore, claimed: list[Job]) -> list[Reply]:
    given = [Transition(job.id, job.epoch, Verdict.COMPLETE, result=b"1") for job in claimed]
    return [answer.reply for answer in await store.jobs.finish(WORKER, given)]


async def count(store: RedisStore, state: JobState) -> int:
    return (await store.jobs.count(CountOptions()))[state]


async def again(act: Any) -> Any:
    """What `act` answers once the store does; fails when that takes too long."""
    async with asyncio.timeout(20):
        while True:
            try:
                return await act()
            except (StoreUnreachable, StoreReadOnly):
                await asyncio.sleep(0.02)


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


async def test_a_large_batch_is_enqueued_whole_or_not_at_all(store: RedisStore) -> None:
    many = jobs(650)
    assert [answer.created for answer in await store.jobs.enqueue(many)] == [True] * 650
    assert [answer.created for answer in await store.jobs.enqueue(many)] == [False] * 650
    await store.jobs.enqueue(jobs(1, unique=Unique("taken")))
    with pytest.raises(DuplicateJob, match="taken"):
        await store.jobs.enqueue([*jobs(640), *jobs(1, unique=Unique("taken", on_conflict="raise"))])
    doubled = [*jobs(1, unique=Unique("new")), *jobs(400), *jobs(1, unique=Unique("new", on_conflict="raise"))]
    with pytest.raises(DuplicateJob, match="new"):
        await store.jobs.enqueue(doubled)
    assert await count(store, JobState.PENDING) == 651
    keyed = [job for n in range(300) for job in jobs(1, unique=Unique(f"k{n % 250}"))]
    answers = await store.jobs.enqueue(keyed)
    assert sum(answer.created for answer in answers) == 250
    audit(redis_url(), store.namespace)


async def test_more_than_a_script_takes_is_claimed_renewed_and_finished(store: RedisStore) -> None:
    await store.jobs.enqueue(jobs(650))
    claimed = await claim(store, 600)
    assert len({job.id for job in claimed}) == 600
    renewed = await store.jobs.renew(WORKER, [(job.id, job.epoch) for job in claimed[:450]], lease=30.0)
    assert (len(renewed.held), renewed.lost, len(renewed.unnamed)) == (450, [], 150)
    assert await complete(store, claimed) == [Reply.APPLIED] * 600
    assert (await count(store, JobState.COMPLETED), await count(store, JobState.PENDING)) == (600, 50)
    assert await store.jobs.prune(completed=-1.0, failed=None, cancelled=None, limit=500) == 500
    audit(redis_url(), store.namespace)


async def test_plain_rows_and_others_are_claimed_together_and_end_as_they_must(store: RedisStore) -> None:
    given = [*jobs(3), *jobs(1, unique=Unique("k")), *jobs(2, metadata={"a": "b"}), *jobs(1, expires_in=60.0), *jobs(3)]
    for job in given:
        await store.jobs.enqueue([job])
    claimed = await claim(store, 20)
    assert [job.id for job in claimed] == [job.id for job in given]
    assert [job.unique_key for job in claimed] == [job.unique and "k" for job in given]
    assert [job.metadata for job in claimed] == [job.metadata for job in given]
    stored = [await store.jobs.get(job.id) for job in claimed]
    assert stored == claimed
    audit(redis_url(), store.namespace)
    await store.jobs.cancel(claimed[0].id)
    audit(redis_url(), store.namespace)
    assert await complete(store, claimed) == [Reply.APPLIED] * 10
    assert await count(store, JobState.COMPLETED) == 10
    audit(redis_url(), store.namespace)


async def test_a_row_that_the_server_has_evicted_is_missing_when_it_ends(store: RedisStore) -> None:
    await store.jobs.enqueue([*jobs(5), *jobs(1, unique=Unique("k"))])
    client = redis.Redis.from_url(redis_url())
    for together in (2, 4):
        gone, *others = await claim(store, together)
        client.delete(f"{{{store.namespace}}}:j:{gone.id}")
        assert await complete(store, [gone, *others]) == [Reply.MISSING] + [Reply.APPLIED] * len(others)
        assert await store.jobs.get(gone.id) is None
        assert await complete(store, others) == [Reply.APPLIED] * len(others)
    client.close()
    audit(redis_url(), store.namespace)


async def test_a_job_completed_twice_in_a_call_keeps_its_first_result(store: RedisStore) -> None:
    await store.jobs.enqueue([*jobs(2), *jobs(1, unique=Unique("k"))])
    for together in (1, 2):
        job, *others = await claim(store, together)
        said = [Transition(job.id, job.epoch, Verdict.COMPLETE, result=result) for result in (b"1", b"2")]
        said += [Transition(other.id, other.epoch, Verdict.COMPLETE) for other in others]
        assert [answer.reply for answer in await store.jobs.finish(WORKER, said)] == [Reply.APPLIED] * (together + 1)
        kept = await store.jobs.get(job.id)
        assert kept is not None
        assert kept.result == b"1"
    audit(redis_url(), store.namespace)


async def test_forgotten_scripts_are_brought_again(store: RedisStore) -> None:
    client = redis.Redis.from_url(redis_url())
    client.script_flush()
    await store.jobs.enqueue(jobs(500))
    client.script_flush()
    claimed = await claim(store, 450)
    client.script_flush()
    assert await complete(store, claimed) == [Reply.APPLIED] * 450
    client.close()
    assert await count(store, JobState.PENDING) == 50


async def test_a_call_cancelled_at_any_await_leaves_a_store_that_answers_right(store: RedisStore) -> None:
    await store.jobs.enqueue(jobs(40))
    (kept,) = await store.jobs.enqueue(jobs(1, priority=-9))
    for steps in range(25):
        act = asyncio.ensure_future(claim(store, 1) if steps % 2 else store.jobs.get(kept.id))
        for _ in range(steps):
            await asyncio.sleep(0)
        act.cancel()
        await asyncio.wait([act])
        found = await store.jobs.get(kept.id)
        assert found is not None
        assert found.id == kept.id
    lost = (await store.jobs.renew(WORKER, [], lease=30.0)).unnamed
    assert set(await store.jobs.release(WORKER, lost)) <= {Reply.APPLIED}
    assert await count(store, JobState.PENDING) == 41
    audit(redis_url(), store.namespace)


async def test_the_audit_notices_an_index_that_disagrees(store: RedisStore) -> None:
    await store.jobs.enqueue(jobs(2))
    audit(redis_url(), store.namespace)
    client = redis.Redis.from_url(redis_url())
    (ready,) = client.keys(f"{{{store.namespace}}}:r:*")
    client.zpopmin(ready)
    client.close()
    with pytest.raises(AssertionError, match="r:7:default"):
        audit(redis_url(), store.namespace)


async def test_at_maxmemory_enqueues_are_refused_and_workers_go_on(own: RedisServer) -> None:
    async with opened(own.url) as store:
        await store.jobs.enqueue(jobs(30))
        claimed = await claim(store, 10)
        own.admin.config_set("maxmemory", 1)
        for given in (jobs(1), jobs(450), jobs(1, unique=Unique("k")), jobs(400, unique=Unique("l"))):
            with pytest.raises(StoreFull, match="maxmemory"):
                await store.jobs.enqueue(given)
        assert len((await store.jobs.renew(WORKER, [(job.id, job.epoch) for job in claimed], lease=30.0)).held) == 10
        assert await complete(store, claimed[:5]) == [Reply.APPLIED] * 5
        assert await store.jobs.release(WORKER, [(job.id, job.epoch) for job in claimed[5:]]) == [Reply.APPLIED] * 5
        assert len(await claim(store, 25)) == 25
        own.admin.config_set("maxmemory", 0)
        assert len(await store.jobs.enqueue(jobs(450))) == 450
        audit(own.url, store.namespace)


async def test_a_server_that_evicts_is_refused_when_the_store_is_opened(own: RedisServer) -> None:
    own.admin.config_set("maxmemory-policy", "allkeys-lru")
    with pytest.raises(ConfigError, match="allkeys-lru"):
        await RedisStore(own.url).open()
    async with opened(own.url, allow_eviction=True) as store:
        await store.jobs.enqueue(jobs(1))


async def test_what_was_acknowledged_survives_a_kill_of_the_server(own: RedisServer) -> None:
    async with opened(own.url) as store:
        await store.jobs.enqueue(jobs(20))
        claimed = await claim(store, 10)
        await complete(store, claimed[:5])
        own.stop(signal.SIGKILL)
        with pytest.raises(StoreUnreachable, match="cannot be reached"):
            await store.jobs.get(claimed[0].id)
        own.start()
        assert await again(lambda: complete(store, claimed[:5])) == [Reply.APPLIED] * 5, "as often as it is said"
        assert await complete(store, claimed[5:]) == [Reply.APPLIED] * 5
        assert (await count(store, JobState.COMPLETED), await count(store, JobState.PENDING)) == (10, 10)
        audit(own.url, store.namespace)


async def test_a_listener_hears_again_after_the_server_was_gone(own: RedisServer) -> None:
    async with opened(own.url) as store, opened(own.url, namespace=store.namespace) as other:
        seen = await store.wakeups.wait(store.wakeups.version, timeout=0.2)
        own.stop(signal.SIGKILL)
        own.start()
        waiter = asyncio.ensure_future(store.wakeups.wait(seen, timeout=20.0))
        await again(lambda: other.jobs.enqueue(jobs(1)))
        async with asyncio.timeout(10):
            assert await waiter != seen


async def test_who_is_told_hears_of_a_change_before_anybody_who_waits_and_no_more_once_that_is_ended(
    own: RedisServer,
) -> None:
    async with opened(own.url) as store, opened(own.url, namespace=store.namespace) as other:
        heard: list[int] = []
        come = asyncio.Event()

        def changed() -> None:
            heard.append(store.wakeups.version)
            come.set()

        hush = store.wakeups.tell(changed)
        await store.jobs.enqueue(jobs(1))
        assert heard == [store.wakeups.version], "of its own"
        seen = await store.wakeups.wait(store.wakeups.version, timeout=20.0)  # the subscription has begun
        come.clear()
        await other.jobs.enqueue(jobs(1))
        async with asyncio.timeout(10):
            await come.wait()
        assert heard[-1] > seen, "of others"
        hush()
        before = len(heard)
        await store.jobs.enqueue(jobs(1))
        assert len(heard) == before


async def test_a_replica_refuses_writes_until_it_leads(own: RedisServer) -> None:
    async with opened(own.url) as store:
        await store.jobs.enqueue(jobs(1))
        own.admin.config_set("replica-serve-stale-data", "yes")
        own.admin.replicaof("127.0.0.1", 1)
        with pytest.raises(StoreReadOnly, match="read-only replica"):
            await store.jobs.enqueue(jobs(1))
        own.admin.replicaof("NO", "ONE")
        await again(lambda: store.jobs.enqueue(jobs(1)))
        assert await count(store, JobState.PENDING) == 2


async def test_connections_that_the_server_has_cut_are_not_used_again(own: RedisServer) -> None:
    async with opened(own.url) as store:
        await asyncio.gather(*(store.jobs.enqueue(jobs(1)) for _ in range(8)))
        own.admin.execute_command("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
        await asyncio.sleep(0)
        await again(store.ping)
        assert await count(store, JobState.PENDING) == 8


async def test_a_password_that_is_missing_or_wrong_is_told_without_showing_it(own: RedisServer) -> None:
    own.admin.config_set("requirepass", "s3cret")
    for url in (own.url, own.url.replace("redis://", "redis://:wr0ng@")):
        with pytest.raises(StoreUnreachable, match="password") as caught:
            await RedisStore(url).open()
        assert "wr0ng" not in str(caught.value)
    async with opened(own.url.replace("redis://", "redis://:s3cret@")) as store:
        await store.jobs.enqueue(jobs(1))
        assert "s3cret" not in store.url


async def test_a_server_that_is_not_there_is_told_at_once() -> None:
    with pytest.raises(StoreUnreachable, match=r"cannot be reached.*Is it running"):
        await RedisStore("redis://127.0.0.1:1", timeout=2.0).open()
